"""A stand-in cloud on loopback: an OpenAI-compatible server with an accuracy, a latency and a price.

It answers a known prompt with its reference or, with probability 1 - accuracy, with another line's reference, drawn
afresh for each call. It sees what a cloud would see, so prompts and references are kept as the redactor masks them.
It is named `rehearsal`, never as a real provider.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from breeder.rehearsal.tasks import Workload, as_sent
from registry.errors import UpstreamError
from router.redaction.redactor import Redactor

MODEL = "stand-in"


@dataclass(frozen=True, slots=True)
class _Known:
    workload: str
    reference: str


class StandInCloud:
    """The answers of a stand-in cloud: a lookup with seeded mistakes."""

    def __init__(self, workloads: Iterable[Workload], redactor: Redactor, *, accuracy: float, seed: int) -> None:
        self._accuracy = accuracy
        self._random = random.Random(seed)
        self._known: dict[str, _Known] = {}
        self._references: dict[str, list[str]] = {}
        for workload in workloads:
            for task in (*workload.train, *workload.test):
                sent = as_sent(task, redactor)
                self._known[_key(sent.messages())] = _Known(workload.name, sent.reference)
                self._references.setdefault(workload.name, []).append(sent.reference)

    def answer(self, messages: object) -> str | None:
        """Return an answer to a known prompt, right with the given probability; None for an unknown one."""
        known = self._known.get(_key(messages))
        if known is None:
            return None
        if self._random.random() < self._accuracy:
            return known.reference
        others = self._references[known.workload]
        return others[self._random.randrange(len(others))]


def _key(messages: object) -> str:
    return hashlib.sha256(orjson.dumps(messages)).hexdigest()


def cloud_app(cloud: StandInCloud, latency_s: float) -> Starlette:
    """Return the server of a stand-in cloud."""

    async def complete(request: Request) -> Response:
        body = orjson.loads(await request.body())
        await asyncio.sleep(latency_s)
        text = cloud.answer(body.get("messages"))
        if text is None:
            message = "the stand-in cloud knows no answer to this prompt"
            return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, 400)
        usage = _usage(body["messages"], text)
        if body.get("stream"):
            return StreamingResponse(_events(text, usage), media_type="text/event-stream")
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return JSONResponse({**_head("chat.completion"), "choices": [choice], "usage": usage})

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "rehearsal"}]})

    return Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"]), Route("/v1/models", models)])


def _head(kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-rehearsal", "object": kind, "created": 0, "model": MODEL}


def _usage(messages: Iterable[Mapping[str, str]], text: str) -> dict[str, int]:
    """Return token counts at four characters a token, as vendors' rules of thumb say."""
    prompt = sum(len(message["content"]) for message in messages) // 4 + 1
    answer = len(text) // 4 + 1
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


async def _events(text: str, usage: Mapping[str, int]) -> AsyncIterator[bytes]:
    pieces = [text[i : i + 8] for i in range(0, len(text), 8)]
    for piece in pieces:
        yield _event({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield _event({"choices": [], "usage": dict(usage)})
    yield b"data: [DONE]\n\n"


def _event(fields: Mapping[str, object]) -> bytes:
    return b"data: " + orjson.dumps({**_head("chat.completion.chunk"), **fields}) + b"\n\n"


class CloudServer:
    """A stand-in cloud listening on a free loopback port while the block runs."""

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="stand-in-cloud", daemon=True)

    def __enter__(self) -> str:
        """Start and return the base URL."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise UpstreamError("the stand-in cloud did not start; is there a free port on 127.0.0.1?")
            self._thread.join(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}/v1"

    def __exit__(self, *error: object) -> None:
        """Stop, waiting for the requests under way."""
        self._server.should_exit = True
        self._thread.join(10)
