"""The places at one upstream: how many requests it is sent at once, and a bounded line of those that wait."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from registry.settings import UpstreamSettings
from router.upstream import NotAskedError, UpstreamTimeoutError

_ASK_AGAIN_S = 1.0


class Places:
    """The places at one upstream; whoever takes one gives it back once its answer is read or dropped."""

    def __init__(self, name: str, settings: UpstreamSettings) -> None:
        self._name = name
        self._limit = settings.max_concurrency
        self._line = settings.max_waiting
        self._free = None if self._limit is None else asyncio.Semaphore(self._limit)
        self._waiting = 0

    async def take(self, patience_s: float) -> None:
        """Return with a place, first come, first served.

        Raises:
            NotAskedError: as many wait as may.
            UpstreamTimeoutError: none became free in time.

        """
        if self._free is None:
            return
        if not self._free.locked():
            await self._free.acquire()
            return
        if self._waiting >= self._line:
            busy = f"upstream {self._name!r} has its {self._limit} requests, and {self._waiting} wait; ask again later"
            raise NotAskedError(busy, HTTPStatus.TOO_MANY_REQUESTS, _ASK_AGAIN_S)
        self._waiting += 1
        try:
            async with asyncio.timeout(patience_s):
                await self._free.acquire()
        except TimeoutError as error:
            waited = f"upstream {self._name!r} had no place free in {patience_s:g} s"
            raise UpstreamTimeoutError(f"{waited}; raise upstreams.{self._name}.max_concurrency") from error
        finally:
            self._waiting -= 1

    def give_back(self) -> None:
        """Let the next in line have a place."""
        if self._free is not None:
            self._free.release()
