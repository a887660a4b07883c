"""The engine's HTTP service: admits on any thread, decodes on one, streams pieces as they come.

The event loop never waits for llama.cpp, so health answers and disconnects are seen while an answer is decoded.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from registry.errors import EngineError
from router.engine.admission import Admission
from router.engine.decoding import Decoder, DecodeTask
from router.engine.llama import Llama
from router.engine.protocol import EngineFileError, EngineRequestError, RefusalKind
from router.engine.wire import GenerateBody, LogitsBody, TokenizeBody, encode_failure, encode_line

PAUSE_S = 0.01

_BodyT = TypeVar("_BodyT", bound=BaseModel)


class EngineService:
    """The routes over one loaded base and its single decoding thread."""

    def __init__(self, llama: Llama, admission: Admission) -> None:
        self._llama = llama
        self._admission = admission
        self._decoder = Decoder(llama)
        self._decoding_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode")

    def app(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/health", self._health, methods=["GET"]),
            Route("/generate", self._generate, methods=["POST"]),
            Route("/tokenize", self._tokenize, methods=["POST"]),
            Route("/logits", self._logits, methods=["POST"]),
        ]
        handlers = {EngineRequestError: _refused, EngineFileError: _unfit, EngineError: _failed}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def _health(self, _: Request) -> Response:
        llama = self._llama
        health = {"ready": True, "context": llama.context, "vocabulary": llama.vocabulary, "build": llama.build}
        return _json(health)

    async def _tokenize(self, request: Request) -> Response:
        body = await _body(request, TokenizeBody)
        return _json({"tokens": await asyncio.to_thread(self._admission.tokenize, body)})

    async def _logits(self, request: Request) -> Response:
        """Answer raw little-endian float32, row after row."""
        body = await _body(request, LogitsBody)
        tokens, adapter = await asyncio.to_thread(self._admission.logits, body)
        loop = asyncio.get_running_loop()
        rows = await loop.run_in_executor(
            self._decoding_thread, lambda: self._decoder.logits(tokens, adapter, every=body.every)
        )
        return Response(rows.astype("<f4").tobytes(), media_type="application/octet-stream")

    async def _generate(self, request: Request) -> Response:
        body = await _body(request, GenerateBody)
        task = await asyncio.to_thread(self._admission.generate, body)
        return StreamingResponse(self._lines(task), media_type="application/x-ndjson")

    async def _lines(self, task: DecodeTask) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        outbox, cancelled = Outbox(loop), threading.Event()
        decoding = loop.run_in_executor(self._decoding_thread, self._decode, task, cancelled, outbox)
        try:
            async for lines in outbox.drain():
                yield lines
            await decoding
        finally:
            # The server cancels this generator when the client hangs up.
            cancelled.set()

    def _decode(self, task: DecodeTask, cancelled: threading.Event, outbox: Outbox) -> None:
        try:
            for item in self._decoder.generate(task, cancelled.is_set):
                outbox.put(encode_line(item))
        except EngineError as error:
            outbox.put(encode_failure(error))
        finally:
            outbox.close()


class Outbox:
    """Lines on their way from the decoding thread to the event loop.

    The first line and the end wake the loop at once; what comes within PAUSE_S after a wake travels together, because
    a wake costs as much as a token of a tiny base.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lines: list[bytes] = []
        self._wake = asyncio.Event()
        self._quiet = False
        self._closed = False

    def put(self, line: bytes) -> None:
        """Add a line, from the decoding thread."""
        self._lines.append(line)
        if not self._quiet:
            self._quiet = True
            self._loop.call_soon_threadsafe(self._wake.set)

    def close(self) -> None:
        """Say that no line follows, from the decoding thread."""
        self._closed = True
        self._loop.call_soon_threadsafe(self._wake.set)

    async def drain(self) -> AsyncGenerator[bytes, None]:
        """Yield whatever has come, joined, until closed."""
        closed = False
        while not closed:
            await self._wake.wait()
            self._wake.clear()
            closed = self._closed
            lines, self._lines = self._lines, []
            if lines:
                yield b"".join(lines)
            self._loop.call_later(PAUSE_S, self._end_pause)

    def _end_pause(self) -> None:
        # First ask for wakes, then look: a line put in between wakes once too often, never too seldom.
        self._quiet = False
        if self._lines:
            self._wake.set()


async def _body(request: Request, model: type[_BodyT]) -> _BodyT:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "the body"
        raise EngineRequestError(RefusalKind.INVALID, f"{where}: {problem['msg']}; mend the request") from error


def _json(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def _error(status: int, kind: str, error: Exception) -> Response:
    return _json({"error": {"kind": kind, "message": str(error)}}, status)


async def _refused(_: Request, error: Exception) -> Response:
    kind = error.kind if isinstance(error, EngineRequestError) else RefusalKind.INVALID
    return _error(HTTPStatus.BAD_REQUEST, kind, error)


async def _unfit(_: Request, error: Exception) -> Response:
    return _error(HTTPStatus.UNPROCESSABLE_ENTITY, RefusalKind.ADAPTER, error)


async def _failed(_: Request, error: Exception) -> Response:
    return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "engine_failed", error)
