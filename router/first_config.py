"""The first `modelbreeder.toml` of a home, of the model servers that were found. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from registry.config_file import config_text
from router.detecting import Found
from router.policy_notes import file_notes


def first_config(clouds: Sequence[Found], servers: Sequence[Found]) -> str:
    """Return the text of a configuration with these servers; the first cloud is the policy's."""
    rows = {one.name: one.row for one in (*clouds, *servers)}
    policy = {"cloud": f"{clouds[0].name}/{clouds[0].models[0]}"} if clouds else {}
    notes = file_notes()
    for server in servers:
        notes["local"] = (*notes.get("local", ()), *_how_to_use(server))
    return config_text({"upstreams": rows, "policy": policy}, notes)


def _how_to_use(server: Found) -> Sequence[str]:
    if not server.models:
        return ()
    known = "context" in server.row
    sized = "" if known else f", and upstreams.{server.name}.context to the tokens that it is run with"
    said = f'set runtime = "{server.name}" and base = "{server.models[0]}"{sized}'
    return (f"To let {server.name} serve general tasks, {said}.",)
