"""Calls an ASGI application in memory, and says whether it ended its answer: a stream that broke must not be ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp


@dataclass(slots=True)
class Got:
    """What an application has answered so far; header names in lower case."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False


async def call(
    app: ASGIApp,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    query: bytes = b"",
) -> Got:
    """Return the answer to one request of a client that stays."""
    got, asked, never = Got(), [body], asyncio.Event()
    named = {"host": "127.0.0.1", "content-type": "application/json", **(headers or {})}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> dict[str, Any]:
        if not asked:
            await never.wait()
        return {"type": "http.request", "body": asked.pop(), "more_body": False}

    async def send(message: Any) -> None:
        assert not got.ended, "an answer goes on after its end"
        if message["type"] == "http.response.start":
            assert not got.status, "an answer begins twice"
            got.status = message["status"]
            got.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            got.body += message.get("body", b"")
            got.ended = not message.get("more_body", False)

    await app(scope, receive, send)
    return got
