"""`spec`: a rough draft as a dense specification, made on the user's own machines, to be checked by a person."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.errors import ConfigError, ConflictError, DataError
from registry.home import Home
from router.cli.frame import JsonOption, home_of, read_text, say, say_json, settings_of

if TYPE_CHECKING:
    from router.specifying import Specified


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="spec")(write_specification)


def write_specification(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A draft; - for standard input.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A new file for the specification.")] = None,
    data_class: Annotated[str | None, typer.Option(help="The data class of the draft, for the record.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a dense specification of a draft with the local model, and say what contradicts itself or is not defined."""
    home, draft = home_of(context), read_text(source)
    if not draft.strip():
        raise DataError(f"{source} is empty; write what is to be done, as rough as you like")
    if output is not None and output.exists():
        raise ConflictError(f"{output} exists, and may hold your edits; name another file, or remove it")
    made = asyncio.run(_specify(home, draft, data_class))
    if output is not None:
        _write(output, made.specification.text)
    if as_json:
        say_json(_as_json(made, output))
        return
    if output is None:
        say(made.specification.text)
    for line in _summary(made, output):
        say(line)


async def _specify(home: Home, draft: str, data_class: str | None) -> Specified:
    from router.deps import open_deps, real_outside
    from router.specifying import check_local_lane, specify

    settings = settings_of(home)
    check_local_lane(settings)
    known = settings.policy.data_classes
    if data_class is not None and data_class not in known:
        raise ConfigError(f"--data-class is {data_class!r}; it must be one of {', '.join(sorted(known))}")
    async with open_deps(home, settings, real_outside(settings, os.environ)) as deps:
        return await specify(deps.turns, draft, data_class=data_class)


def _write(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}; name another file with -o") from error


def _summary(made: Specified, output: Path | None) -> list[str]:
    found = made.specification
    saved = found.tokens_before - found.tokens_after
    told = (
        f"{found.tokens_before:,} -> {found.tokens_after:,} tokens, {saved:,} saved"
        if saved > 0
        else (f"{found.tokens_before:,} -> {found.tokens_after:,} tokens, nothing saved")
    )
    where = f"; check {output} before you send it" if output else "; check it before you send it"
    dropped = (
        [f"{found.unfounded} findings of the model are not in the draft, and were dropped"] if found.unfounded else []
    )
    return [*([found.review] if found.review else []), *dropped, f"{told}, by {made.model}{where}"]


def _as_json(made: Specified, output: Path | None) -> dict[str, object]:
    from dataclasses import asdict

    found = made.specification
    return {
        **asdict(found),
        "specification": found.text,
        "model": made.model,
        "interactions": list(made.interactions),
        "file": None if output is None else str(output),
    }
