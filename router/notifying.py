"""Tells systemd how the daemon is (sd_notify): datagrams to the socket that it names, or nothing where it names none.

Own code: the `sdnotify` package is no more than these lines.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


class Notifier:
    """The way to the systemd that started this process; `environ` is the environment that it gave."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero byte of Linux's abstract sockets.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = int(environ.get("WATCHDOG_USEC") or 0) / 1_000_000

    def tell(self, state: str) -> None:
        """Send a state; that systemd does not listen is no reason to stop serving."""
        if self._address:
            with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
                way.setblocking(False)
                way.sendto(state.encode(), self._address)

    async def keep_alive(self) -> None:
        """Say for ever that the event loop turns, twice as often as the watchdog wants to hear it."""
        while self._address and self._watchdog_s:
            self.tell(ALIVE)
            await asyncio.sleep(self._watchdog_s / 2)
