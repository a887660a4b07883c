"""uvicorn's HTTP protocol with an end to what one request may bring: bytes and number of headers, and time.

The parser itself refuses two ways of framing a body at once. Without these bounds it takes headers of any size, and
waits for ever for the rest of a request.
"""

from __future__ import annotations

import asyncio

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 << 10
MAX_HEADERS = 200


class _BeyondBoundsError(Exception):
    """What a request's head may not be; the parser makes 400 and a closed connection of it."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    head_s = 10.0
    """Seconds from a request's first byte, or from the connection, to the end of its headers."""
    body_s = 120.0
    """Seconds from there to the end of its body: 32 MiB at 2.2 Mbit/s."""
    _head_bytes = 0
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it to asyncio.Transport
        self._end_after(self.head_s)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end_after(None)
        super().connection_lost(exc)

    @override
    def on_message_begin(self) -> None:
        self._head_bytes, self._in_head = 0, True
        self._end_after(self.head_s)
        super().on_message_begin()

    @override
    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        # A trailer would change headers that were judged already.
        if self._in_head:
            super().on_header(name, value)
            if len(self.headers) > MAX_HEADERS:
                raise _BeyondBoundsError

    @override
    def on_headers_complete(self) -> None:
        self._in_head = False
        # A target with a host of its own is for proxies, and would stand beside the Host that is judged.
        if not self.url.startswith(b"/"):
            raise _BeyondBoundsError
        self._end_after(self.body_s)
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        self._end_after(None)
        super().on_message_complete()

    def _count(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _BeyondBoundsError

    def _end_after(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self.transport.abort()
