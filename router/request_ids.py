"""Each answer is named, also one that never became a turn: by OpenAI's header and by Anthropic's.

A turn's own name, its interaction, stands; else it is the client's own name for the request, else a new one.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "x-request-id"
_ANTHROPICS = "request-id"


class Named:
    """ASGI middleware that names answers; a request finds its name as `state.request_id`."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app = app
        self._new_id = new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        own = next((value for name, value in scope["headers"] if name == REQUEST_ID.encode()), b"")
        request_id = own.decode("latin-1") or self._new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                name_answer(MutableHeaders(raw=message["headers"]), request_id)
            await send(message)

        await self._app(scope, receive, named)


def name_of(scope: Scope) -> str:
    """Return the name of a request that has come through `Named`, empty for any other."""
    return str(scope.get("state", {}).get("request_id", ""))


def name_answer(headers: MutableHeaders, request_id: str) -> None:
    """Add to an answer's headers the names that they lack; the one that they have is every dialect's."""
    headers.setdefault(_ANTHROPICS, headers.setdefault(REQUEST_ID, request_id))
