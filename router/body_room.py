"""Bounds what the bodies of all requests take together: bytes that nobody is served for yet must not fill the memory.

Small ones always find room, so that who uploads a lot keeps nobody else out.
"""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.problems import OverloadedError

ROOM_BYTES: Final = 512 << 20
SMALL_BYTES: Final = 1 << 20


class BodyRoom:
    """ASGI middleware that counts bodies as they are read until their answers are given."""

    def __init__(self, app: ASGIApp, *, room_bytes: int = ROOM_BYTES) -> None:
        self._app = app
        self._room_bytes = room_bytes
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; reading a long body raises OverloadedError where there is no room for it."""
        taken_bytes = 0

        async def counted() -> Message:
            nonlocal taken_bytes
            message = await receive()
            if size_bytes := len(message.get("body", b"")):
                taken_bytes += size_bytes
                self._held_bytes += size_bytes
                if taken_bytes > SMALL_BYTES and self._held_bytes > self._room_bytes:
                    mib = self._room_bytes >> 20
                    raise OverloadedError(f"the requests under way are over {mib} MiB together; ask again in a second")
            return message

        try:
            await self._app(scope, counted, send)
        finally:
            self._held_bytes -= taken_bytes
