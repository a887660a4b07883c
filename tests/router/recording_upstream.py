"""A real OpenAI-compatible server on loopback that records what it is asked and can misbehave in named ways."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

MODEL = "gpt-5.4"


@dataclass
class Upstream:
    """What the server does next, and what it saw."""

    answer: Callable[[dict[str, Any]], str] = lambda body: f"You said: {body['messages'][-1]['content']}"
    behaviour: str = "ok"
    """ok, hang, slow, eof, cut, error-frame, no-usage, or a status number."""
    statuses: list[int] = field(default_factory=list)
    """Error statuses to answer first, one for each request."""
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    seen_headers: list[dict[str, str]] = field(default_factory=list)
    left_at: list[float] = field(default_factory=list)
    url: str = ""

    @property
    def everything(self) -> str:
        """All bytes that arrived, headers included, as one text."""
        return json.dumps([self.requests, self.seen_headers], ensure_ascii=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = b""
        while True:
            message = await receive()
            raw += message.get("body", b"")
            if not message.get("more_body"):
                break
        body = json.loads(raw)
        self.requests.append(body)
        self.seen_headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if self.statuses:
            await self._refuse(self.statuses.pop(0), send)
        elif self.behaviour.isdigit():
            await self._refuse(int(self.behaviour), send)
        elif self.behaviour == "hang":
            await self._hang(receive)
        elif body.get("stream"):
            await self._stream(body, receive, send)
        else:
            await self._whole(body, send)

    async def _refuse(self, status: int, send: Any) -> None:
        error = {"message": f"no: {status}", "type": "upstream_kind", "param": "messages", "code": "upstream_code"}
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": error}).encode()})

    async def _hang(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.left_at.append(time.monotonic())

    async def _whole(self, body: dict[str, Any], send: Any) -> None:
        message = {"role": "assistant", "content": self.answer(body)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        whole = {"id": "up-1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
        payload = json.dumps(whole if self.behaviour == "no-usage" else {**whole, "usage": usage}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": payload})

    async def _stream(self, body: dict[str, Any], receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        text = self.answer(body)
        pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        await self._event(send, {"role": "assistant", "content": ""})
        for piece in pieces[: 2 if self.behaviour in ("eof", "cut", "error-frame") else None]:
            await self._event(send, {"content": piece})
        if self.behaviour == "slow":
            await self._hang(receive)
        elif self.behaviour == "eof":
            await send({"type": "http.response.body", "body": b""})
        elif self.behaviour == "error-frame":
            await self._frame(send, {"error": {"message": "ran out of luck", "type": "server_error"}})
            await send({"type": "http.response.body", "body": b""})
        elif self.behaviour != "cut":
            await self._event(send, {}, finish="stop")
            if (body.get("stream_options") or {}).get("include_usage"):
                usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
                await self._frame(
                    send,
                    {
                        "id": "up-1",
                        "object": "chat.completion.chunk",
                        "created": 1,
                        "model": MODEL,
                        "choices": [],
                        "usage": usage,
                    },
                )
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _event(self, send: Any, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "up-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}
        await self._frame(send, chunk)

    async def _frame(self, send: Any, payload: dict[str, Any]) -> None:
        frame = b"data: " + json.dumps(payload).encode() + b"\n\n"
        await send({"type": "http.response.body", "body": frame, "more_body": True})
        await asyncio.sleep(0)


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve an ASGI application on a free port from a thread; give its URL."""
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def recording_upstream() -> Iterator[Upstream]:
    """Give a running upstream; `url` ends in /v1."""
    upstream = Upstream()
    with running(upstream) as url:
        upstream.url = f"{url}/v1"
        yield upstream
