"""How long work tells a person that it moves: one line at a time, at most every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Report: TypeAlias = Callable[[str], None]


class Paced:
    """Pass a line on only when `seconds` have gone by since the last one."""

    def __init__(self, report: Report, seconds: float = 5.0) -> None:
        self._report = report
        self._seconds = seconds
        self._last = time.monotonic()

    def __call__(self, line: str) -> None:
        """Report the line if it is time."""
        now = time.monotonic()
        if now - self._last >= self._seconds:
            self._last = now
            self._report(line)
