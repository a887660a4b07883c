"""A real server on loopback that answers all of a vendor's endpoints by a script and keeps what it was asked."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.clients import speaking
from tests.clients.scripting import Asked, Body, Reply, Script
from tests.clients.strictness import refusal
from tests.router.recording_upstream import running

KEY = "scripted-vendor-credential"
VECTOR = (0.25, -0.5, 1.0)
TOKEN_COUNT = 4242

_WHOLE: dict[str, Callable[[Body, Reply], Body]] = {
    "/chat/completions": speaking.chat_whole,
    "/messages": speaking.message_whole,
    "/responses": speaking.response_whole,
}
_STREAM: dict[str, Callable[[Body, Reply], Iterator[bytes]]] = {
    "/chat/completions": speaking.chat_stream,
    "/messages": speaking.message_stream,
    "/responses": speaking.response_stream,
}


@dataclass
class Scripted:
    """What the server answers next, and what it saw."""

    script: Script = lambda asked: Reply(f"You said: {asked.last_user_text}")
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What a vendor would have refused; such a request got 400."""

    @property
    def everything(self) -> str:
        """All that arrived, headers included, as one text."""
        return "\n".join(one.text for one in self.asked)

    def asked_at(self, path: str) -> list[Asked]:
        """Return the requests of one endpoint, as in `/messages`."""
        return [one for one in self.asked if one.path == path]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        asked = Asked(scope["path"].removeprefix("/v1"), headers, json.loads(raw or b"{}"))
        self.asked.append(asked)
        await self._answer(asked, send)

    async def _answer(self, asked: Asked, send: Any) -> None:
        refused = refusal(asked.path, asked.body, asked.headers.get("anthropic-version"))
        if KEY not in (asked.headers.get("x-api-key"), asked.headers.get("authorization", "").removeprefix("Bearer ")):
            await _json(send, {"error": {"message": "no such key", "type": "authentication_error"}}, 401)
        elif refused is not None:
            self.refused.append(f"{asked.path}: {refused}")
            await _json(send, {"error": {"message": refused, "type": "invalid_request_error"}}, 400)
        elif asked.path in _WHOLE and asked.body.get("stream"):
            await _stream(send, _STREAM[asked.path](asked.body, self.script(asked)))
        elif asked.path in _WHOLE:
            await _json(send, _WHOLE[asked.path](asked.body, self.script(asked)))
        elif asked.path == "/embeddings":
            await _json(send, _embeddings(asked.body))
        elif asked.path == "/messages/count_tokens":
            await _json(send, {"input_tokens": TOKEN_COUNT})
        else:
            await _json(send, {"error": {"message": f"nothing at {asked.path}", "type": "not_found_error"}}, 404)


@contextmanager
def scripted_upstream() -> Iterator[Scripted]:
    """Give a running server; its `url` ends in /v1."""
    upstream = Scripted()
    with running(upstream) as url:
        upstream.url = f"{url}/v1"
        yield upstream


async def _json(send: Any, body: Body, status: int = 200) -> None:
    payload = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})


async def _stream(send: Any, frames: Iterator[bytes]) -> None:
    headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for frame in frames:
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b""})


def _embeddings(body: Body) -> Body:
    """Return the same vector for each input, as base64 where that is asked for."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    packed = base64.b64encode(struct.pack(f"<{len(VECTOR)}f", *VECTOR)).decode()
    vector = packed if body.get("encoding_format") == "base64" else list(VECTOR)
    data = [{"object": "embedding", "index": place, "embedding": vector} for place in range(len(texts))]
    return {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 3, "total_tokens": 3}}
