"""How many requests are in flight, a bounded line of those that wait for a place, and a way to wait until none is."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from router.problems import OverloadedError


class InFlight:
    """A bounded count of the requests that are being served.

    Args:
        limit: how many are served at once.
        max_waiting: how many may wait for a place.
        max_wait_s: seconds that one waits.

    """

    def __init__(self, limit: int, max_waiting: int = 0, max_wait_s: float = 5.0) -> None:
        self._limit = limit
        self._max_waiting = max_waiting
        self._max_wait_s = max_wait_s
        self._line: deque[asyncio.Future[None]] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self.count = 0
        self.refused = 0

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return len(self._line)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Hold a place, first come, first served; OverloadedError where the line is full or did not move in time."""
        if self.count < self._limit:
            self._enter()
        elif len(self._line) < self._max_waiting:
            await self._wait()
        else:
            raise self._refusal(f"{len(self._line)} wait, no more are taken")
        try:
            yield
        finally:
            self._leave()

    async def drained(self) -> None:
        """Return once no request is in flight."""
        await self._idle.wait()

    async def _wait(self) -> None:
        """Return with a place that another request left to this one."""
        left = asyncio.get_running_loop().create_future()
        self._line.append(left)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await left
        except TimeoutError as error:
            self._give_up(left)
            raise self._refusal(f"none ended within {self._max_wait_s:g} s") from error
        except asyncio.CancelledError:
            self._give_up(left)
            raise

    def _give_up(self, left: asyncio.Future[None]) -> None:
        if left.cancelled():
            self._line.remove(left)
        else:
            # A place came in the same moment, and the next one in line gets it.
            self._leave()

    def _enter(self) -> None:
        self.count += 1
        self._idle.clear()

    def _leave(self) -> None:
        """Let the next in line have the place; those that gave up in this very moment do not count."""
        heir = next((waiting for waiting in self._line if not waiting.done()), None)
        if heir is not None:
            self._line.remove(heir)
            heir.set_result(None)
            return
        self.count -= 1
        if not self.count:
            self._idle.set()

    def _refusal(self, why: str) -> OverloadedError:
        self.refused += 1
        return OverloadedError(f"{self.count} requests are in flight, and {why}; ask again in a second")
