"""`feedback`: a verdict on an answer."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from registry.entities import Feedback
from registry.errors import ConfigError
from registry.home import Home
from router.cli.frame import JsonOption, home_of, read_text, say, say_json, settings_of

if TYPE_CHECKING:
    from registry.settings import Settings
    from router.verdicts import FeedbackBody


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(feedback)


def feedback(
    context: typer.Context,
    interaction: Annotated[str, typer.Argument(metavar="ID", help="The interaction's id, or how it begins.")],
    *,
    accept: Annotated[bool, typer.Option("--accept", help="The answer was right.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="The answer was wrong.")] = False,
    correct: Annotated[
        str | None, typer.Option(metavar="FILE", help="A file with the right answer; - for input.")
    ] = None,
    score: Annotated[float | None, typer.Option(min=0, max=1, help="How good it was, 0 to 1.")] = None,
    comment: Annotated[str | None, typer.Option(help="Why.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether an answer was right; a correction becomes the target that specialists learn."""
    import orjson

    from router.explaining import plain
    from router.verdicts import parse_feedback

    if not interaction:
        raise ConfigError("the ID is empty; `modelbreeder ledger ls` shows those there are")
    if sum((accept, reject, correct is not None)) != 1:
        raise ConfigError("give exactly one of --accept, --reject and --correct FILE")
    verdict = "accepted" if accept else "rejected" if reject else "corrected"
    corrected = None if correct is None else read_text(correct)
    body = {"interaction": interaction, "verdict": verdict, "corrected": corrected, "score": score, "comment": comment}
    home = home_of(context)
    kept = asyncio.run(_give(home, settings_of(home), parse_feedback(orjson.dumps(body))))
    if as_json:
        say_json(plain(kept))
    else:
        say(f"{kept.interaction_id} is recorded as {verdict}")


async def _give(home: Home, settings: Settings, body: FeedbackBody) -> Feedback:
    from router.cli.ledger import whole_id
    from router.deps import open_deps, real_outside

    async with open_deps(home, settings, real_outside(settings, os.environ)) as deps:
        whole = whole_id(deps.database, body.interaction)
        return await deps.verdicts.give(body.model_copy(update={"interaction": whole}))
