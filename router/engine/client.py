"""Requests to one engine child over its unix socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import aiohttp
import numpy as np
import orjson
from numpy.typing import NDArray

from registry.errors import EngineError
from router.engine.protocol import (
    Answer,
    Done,
    EngineFileError,
    EngineHealth,
    EngineRequestError,
    GenerateRequest,
    Message,
    RefusalKind,
)
from router.engine.wire import decode_line, encode_request

CONNECT_TIMEOUT_S = 5.0


class EngineUnreachableError(EngineError):
    """The child answered nothing at all, so the request may be sent again to the next one."""


class EngineClient:
    """An HTTP client bound to one socket; every request has its own connection, which closing it cancels."""

    def __init__(self, socket: Path) -> None:
        connector = aiohttp.UnixConnector(path=str(socket), force_close=True, limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        self._session = aiohttp.ClientSession("http://engine", connector=connector, timeout=timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def health(self) -> EngineHealth:
        """Return what the child serves."""
        fields = orjson.loads(await self._read("GET", "/health", b""))
        return EngineHealth(fields["context"], fields["vocabulary"], fields["build"])

    async def tokenize(self, content: str | Sequence[Message]) -> list[int]:
        """Return the token ids of a text, or of a chat as `generate` would decode it."""
        if isinstance(content, str):
            body = orjson.dumps({"text": content})
        else:
            body = orjson.dumps({"messages": [{"role": turn.role, "content": turn.content} for turn in content]})
        return list(orjson.loads(await self._read("POST", "/tokenize", body))["tokens"])

    async def logits(self, tokens: Sequence[int], adapter: Path | None, *, every: bool) -> NDArray[np.float32]:
        """Return logits of shape (n, vocabulary): n is 1, or every position."""
        fields = {"tokens": tokens, "adapter": str(adapter) if adapter else None, "every": every}
        data = await self._read("POST", "/logits", orjson.dumps(fields))
        return np.frombuffer(data, "<f4").reshape(len(tokens) if every else 1, -1)

    async def generate(self, request: GenerateRequest) -> Answer:
        """Yield the pieces of one answer, then its Done."""
        async with self._call("POST", "/generate", encode_request(request)) as response:
            try:
                async for line in response.content:
                    item = decode_line(line)
                    yield item
                    if isinstance(item, Done):
                        return
            except aiohttp.ClientError as error:
                raise EngineError(f"the engine broke off in the middle of an answer ({error})") from error
        raise EngineError("the engine ended its answer without saying that it was done")

    async def _read(self, method: str, path: str, body: bytes) -> bytes:
        async with self._call(method, path, body) as response:
            try:
                return await response.read()
            except aiohttp.ClientError as error:
                raise EngineError(f"the engine broke off its answer to {path} ({error})") from error

    @asynccontextmanager
    async def _call(self, method: str, path: str, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Content-Type": "application/json"}
        try:
            response = await self._session.request(method, path, data=body, headers=headers)
        except (aiohttp.ClientError, OSError) as error:
            raise EngineUnreachableError(f"the engine did not answer {path} ({error})") from error
        try:
            if response.status != HTTPStatus.OK:
                raise _error_of(response.status, await response.read())
            yield response
        finally:
            response.close()


def _error_of(status: int, data: bytes) -> EngineError:
    """Map an error answer to the tree."""
    try:
        fields = orjson.loads(data)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return EngineError(f"the engine answered {status}: {data[:200]!r}")
    if status == HTTPStatus.UNPROCESSABLE_ENTITY:
        return EngineFileError(fields["message"])
    if status == HTTPStatus.BAD_REQUEST:
        return EngineRequestError(RefusalKind(fields["kind"]), fields["message"])
    return EngineError(fields["message"])
