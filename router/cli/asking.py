"""`explain` and `run`: one request, routed in this process, with or without an answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.errors import ConfigError
from registry.home import Home
from router.cli.decisions import COLUMNS, candidate_rows, facts
from router.cli.frame import JsonOption, home_of, read_text, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.errors import ModelBreederError
    from registry.settings import Settings
    from router.chat import JsonObject
    from router.deps import Deps
    from router.dialects.protocol import Request
    from router.exchange import Incoming

WorkflowOption = Annotated[str | None, typer.Option(help="The workflow that the task belongs to.")]
_OPTIONS = {"x-modelbreeder-workflow": "--workflow", "x-modelbreeder-lane": "--lane"}
LaneOption = Annotated[str | None, typer.Option(help="The lane to take: local, cloud, or a lane's full name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(explain)
    app.command(name="run")(run_request)


def explain(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="TEXT|FILE", help="A text, or a file with a text or a request.")],
    workflow: WorkflowOption = None,
    lane: LaneOption = None,
    surface: Annotated[
        str | None, typer.Option(help="What the request is, where it is no chat: as in anthropic.messages.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say in one sentence where a request would go and why, and show all candidates, without sending it."""
    home = home_of(context)
    text = read_text(source) if source == "-" or _is_file(source) or _names_a_file(source) else source
    with _usable():
        told = asyncio.run(_explain(home, settings_of(home), incoming_of(text, workflow, lane, surface)))
    if as_json:
        say_json(told)
        return
    say(str(told["sentence"]))
    for name, fact in facts(told):
        say(f"{name:9} {fact}")
    say_table(COLUMNS, candidate_rows(told))


@contextmanager
def _usable() -> Iterator[None]:
    """Turn what is wrong with the request itself into a ConfigError, as what is wrong with an option is one."""
    from router.problems import InvalidRequestError

    try:
        yield
    except InvalidRequestError as error:
        raise ConfigError(str(error)) from error


def run_request(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A text or a chat request; - for standard input.")],
    lane: LaneOption = None,
    workflow: WorkflowOption = None,
    as_json: JsonOption = False,
) -> None:
    """Route a request, answer it, record it; print the answer and where its record lies."""
    home = home_of(context)
    incoming = incoming_of(read_text(source), workflow, lane)
    answer, headers, record, error = asyncio.run(_answer(home, settings_of(home), incoming))
    if as_json:
        told = {name: headers.get(f"x-modelbreeder-{name}") for name in ("interaction", "lane", "model", "reason")}
        failure = None if error is None else str(error)
        say_json({**told, "answer": answer, "record": str(record), "error": failure})
    else:
        say("\n".join([*([] if answer is None else [answer]), f"record: {record}"]))
    if error is not None:
        raise error


def incoming_of(text: str, workflow: str | None, lane: str | None, surface: str | None = None) -> Incoming:
    """Return a request: of the named surface, else a chat request where it is one, else a turn of text."""
    from router.dialects.chat import Chat
    from router.exchange import Incoming
    from router.explaining import read_question
    from router.hints import parse_hints

    hints = {"x-modelbreeder-workflow": workflow, "x-modelbreeder-lane": lane}
    headers = {name: value for name, value in hints.items() if value is not None}
    _check_options(headers, surface)
    dialect, request = (Chat(), _request(text)) if surface is None else read_question(text.encode(), surface)
    return Incoming(dialect, request, parse_hints(headers.items(), request.body.get("metadata"), request.body), headers)


def _check_options(headers: Mapping[str, str], surface: str | None) -> None:
    """Raise ConfigError, which names the option, where the value of one cannot be read."""
    from router.dialects.known import dialects
    from router.hints import parse_hints
    from router.problems import InvalidRequestError

    for header, value in headers.items():
        try:
            parse_hints([(header, value)])
        except InvalidRequestError as error:
            raise ConfigError(str(error).replace(header, _OPTIONS[header])) from error
    known = [dialect.surface for dialect in dialects()]
    if surface is not None and surface not in known:
        raise ConfigError(f"--surface is {surface!r}; it must be one of {', '.join(known)}")


def _request(text: str) -> Request:
    from router.dialects.chat import Chat
    from router.explaining import text_request

    if not _looks_like_request(text):
        return text_request(text, None)
    request = Chat().read(text.encode())
    body = {key: value for key, value in request.body.items() if key not in ("stream", "stream_options")}
    return type(request)(body, request.model, stream=False, wants_usage=False)


def _looks_like_request(text: str) -> bool:
    import orjson

    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return isinstance(value, dict) and "messages" in value


def _names_a_file(source: str) -> bool:
    """Say whether an argument is meant as a file, so that one that is not there is not explained as a text."""
    return len(source.split()) == 1 and Path(source).suffix in (".json", ".txt", ".md")


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):
        return False


async def _explain(home: Home, settings: Settings, incoming: Incoming) -> JsonObject:
    from router.deps import open_deps, real_outside

    async with open_deps(home, settings, real_outside(settings, os.environ)) as deps:
        return await explained(deps, incoming)


async def explained(deps: Deps, incoming: Incoming) -> JsonObject:
    """Return what `explain` tells of a request, inspected as one that comes to the daemon."""
    from functools import partial

    from router.explaining import explain_beside
    from router.inspection import inspected

    name, now, turns = deps.outside.new_id(), deps.outside.clock(), deps.turns
    inspect = partial(inspected, deps.router, turns.inspectors, incoming, name, now, turns.monotonic)
    return await explain_beside(deps.router, incoming, name, now, inspect)


async def _answer(
    home: Home, settings: Settings, incoming: Incoming
) -> tuple[str | None, Mapping[str, str], Path, ModelBreederError | None]:
    """Return the answer, its headers, where its record was exported, and the error that took its place."""
    from router.chat import answer_text, parse_object
    from router.deps import open_deps, real_outside
    from router.exchange import CollectingWire, TurnError

    async with open_deps(home, settings, real_outside(settings, os.environ)) as deps:
        wire = CollectingWire()
        try:
            await deps.turns.respond(incoming, wire)
        except TurnError as error:
            return None, error.headers, _export(deps, home, error.headers), error.cause
        return answer_text(parse_object(wire.body)), wire.headers, _export(deps, home, wire.headers), None


def _export(deps: Deps, home: Home, headers: Mapping[str, str]) -> Path:
    from router.records import export_record

    return export_record(deps.ledger, headers["x-modelbreeder-interaction"], home.runs)
