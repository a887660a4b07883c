"""Keeps a silent stream from being taken for a dead one: a ping wherever nothing was said for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

LOOK_EVERY_S = 7.0
"""A silence of this length is pinged, at the latest after twice as long: clients and proxies wait for 15 s or more."""


class Timer(Protocol):
    """What will happen later, unless it is cancelled."""

    def cancel(self) -> None:
        """Let it not happen."""
        ...


Later = Callable[[float, Callable[[], None]], Timer]


class Heartbeat:
    """The pings of one stream, from its start until it is stopped."""

    def __init__(self, ping: Callable[[], Awaitable[None]], later: Later | None = None) -> None:
        """Take what sends a ping, and what calls a function after seconds: the running loop's, if none is given."""
        self._ping = ping
        self._later = later
        self._timer: Timer | None = None
        self._pinging: asyncio.Task[None] | None = None
        self._silent = False

    def start(self) -> None:
        """Begin to look whether the stream is silent."""
        self._later = self._later or asyncio.get_running_loop().call_later
        self._timer = self._later(LOOK_EVERY_S, self._look)

    def heard(self) -> None:
        """Note that the stream said something."""
        self._silent = False

    def stop(self) -> None:
        """Look no more, and let no ping come that was on its way."""
        for waiting in (self._timer, self._pinging):
            if waiting is not None:
                waiting.cancel()
        self._timer = self._pinging = None

    def _look(self) -> None:
        # A client that does not read has a ping waiting for it, and needs no second one.
        if self._silent and (self._pinging is None or self._pinging.done()):
            self._pinging = asyncio.ensure_future(self._send())
        self._silent = True
        self.start()

    async def _send(self) -> None:
        await self._ping()
