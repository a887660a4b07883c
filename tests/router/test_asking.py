"""`explain` from the command line inspects a request as the daemon does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from router.cli.asking import explained
from router.redaction.detectors import default_detectors
from router.redaction.redactor import RuleRedactor
from router.redaction.spans import Span
from tests.router.making import incoming, run, task, world


class Beside:
    """Code from outside, which has less time where an event loop waits for it."""

    unbounded = True

    def __init__(self) -> None:
        self.looked_beside: list[bool] = []

    def find(self, text: str) -> list[Span]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.looked_beside.append(True)
        else:
            self.looked_beside.append(False)
        return []


def test_what_may_take_long_is_looked_at_beside_the_event_loop_and_has_its_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            beside = Beside()
            redactor = RuleRedactor((*default_detectors(), beside))
            made.deps.router.rulebook = replace(made.deps.router.rulebook, redactor=redactor)
            told = await explained(made.deps, incoming(task("mail bob@example.org")))

            assert told["redactions"] == {"PIIEMAIL": 1}
            assert set(beside.looked_beside) == {True}

    run(scene())
