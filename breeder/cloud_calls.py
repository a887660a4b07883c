"""Ask the configured cloud as the router does: through the same turn, redactor, ledger and egress."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson

from breeder.deps import Deps
from breeder.mining import Row, answer_text
from registry.entities import PromptTrim, Purpose
from registry.errors import ConfigError
from registry.prompting import chat_messages
from router.deps import open_deps, real_outside
from router.dialects.chat import Chat
from router.exchange import CollectingWire, Incoming, TurnError
from router.hints import Hints
from router.turn import Turns
from router.upstream import UpstreamStatusError

_AT_ONCE = 8
_REFUSED_ONE_TASK = (400, 413, 422)


@dataclass(frozen=True, slots=True)
class CloudAnswer:
    """What the cloud said, empty where it refused the task, and what it cost; None where no price is known."""

    text: str
    cost_usd: float | None


async def ask_cloud(deps: Deps, workflow: str, rows: Sequence[Row], keep: Callable[[Row, CloudAnswer], None]) -> None:
    """Ask the cloud each row's prompt, a few at a time, and hand every answer to `keep` as it comes.

    Raises:
        ConfigError: no cloud is configured; UpstreamError: it gave no answer.
    """
    if deps.settings.policy.cloud is None:
        raise ConfigError("no cloud to compare with: set policy.cloud in modelbreeder.toml, as in openai/gpt-5.4")
    waiting = iter(rows)
    outside = real_outside(deps.settings, os.environ)
    async with open_deps(deps.home, deps.settings, outside, purpose=Purpose.EVALUATION) as router:

        async def work() -> None:
            for row in waiting:
                keep(row, await _ask(deps, router.turns, workflow, row))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, len(rows))):
                    group.create_task(work())
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from failed


async def _ask(deps: Deps, turns: Turns, workflow: str, row: Row) -> CloudAnswer:
    body = {"model": "cloud", "messages": chat_messages(row.prompt, PromptTrim())}
    chat, wire = Chat(), CollectingWire()
    # A class that was told by a hint alone is told again: policy may have made it local-only since.
    known = row.data_class in deps.settings.policy.data_classes
    hints = Hints(workflow=workflow, data_class=row.data_class if known else None)
    try:
        await turns.respond(Incoming(chat, chat.read(orjson.dumps(body)), hints, {}), wire)
    except TurnError as error:
        if isinstance(error.cause, UpstreamStatusError) and error.cause.status in _REFUSED_ONE_TASK:
            return CloudAnswer("", 0.0)
        raise error.cause from error
    outcome = deps.ledger.interaction(wire.headers["x-modelbreeder-interaction"]).outcome
    return CloudAnswer(answer_text(orjson.loads(wire.body)) or "", outcome.cost_usd if outcome else None)
