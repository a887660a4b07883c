"""`init`: a commented modelbreeder.toml, with what is found on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from router.cli.frame import home_of, say

if TYPE_CHECKING:
    from router.detecting import Found


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)


def init(
    context: typer.Context,
    *,
    force: Annotated[bool, typer.Option("--force", help="Write it anew where there is one already.")] = False,
) -> None:
    """Write a commented modelbreeder.toml with all keys, the default policy, and the model servers found here.

    Keys of vendors are looked for by name in the environment, Ollama and llama-server on their usual ports of this
    machine; nobody else is asked.
    """
    from registry.config_file import write_config
    from router.detecting import clouds_in, servers_on_loopback
    from router.first_config import first_config

    home = home_of(context)
    clouds, left_out = clouds_in(os.environ)
    servers = servers_on_loopback()
    write_config(home.config_file, first_config(clouds, servers), force=force)
    say("\n".join(told(home.config_file, clouds, servers, left_out)))


def told(file: Path, clouds: Sequence[Found], servers: Sequence[Found], left_out: Sequence[str]) -> list[str]:
    """Return what to tell of a new file, and what to do next."""
    lines = [f"{file} is written: every key with its default, and the default policy rule by rule."]
    lines += [f"  upstreams.{one.name}: {one.where}, {_models(one)}" for one in (*clouds, *servers)]
    lines += [f"  {why}" for why in left_out]
    if clouds:
        lines.append(f"  policy.cloud: {clouds[0].name}/{clouds[0].models[0]}; change it to the model that you use")
    else:
        lines.append("  policy.cloud: unset, as no vendor's key was found; fill in [upstreams.…] and policy.cloud")
    if servers and servers[0].models:
        lines.append(f"  {servers[0].name} can be the general local base: see [local]")
    return [*lines, "Next: modelbreeder policy check, then modelbreeder serve"]


def _models(one: Found) -> str:
    listed = one.row.get("models")
    names = [str(name) for name in listed] if isinstance(listed, list) else []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"models {', '.join(names[:3])}{more}" if names else "no model yet"
