"""How many requests are in flight, and a way to wait until none is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from router.problems import OverloadedError


class InFlight:
    """A bounded count of the requests that are being served."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle = asyncio.Event()
        self._idle.set()
        self.count = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place; OverloadedError where all are taken."""
        if self.count >= self._limit:
            raise OverloadedError(f"{self.count} requests are in flight, no more are taken; ask again in a second")
        self.count += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.count -= 1
            if not self.count:
                self._idle.set()

    async def drained(self) -> None:
        """Return once no request is in flight."""
        await self._idle.wait()
