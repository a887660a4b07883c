"""The only way to a cloud model: the intent is durable first, then the masked request leaves. No event, no call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import orjson

from registry.entities import Intent
from registry.errors import NotFoundError, UpstreamError
from registry.settings import UpstreamSettings, is_private
from router.chat import JsonObject
from router.recording import Recorder
from router.upstream import Cloud, CloudReply, CloudRequest, UnreachableError

_PATHS = {"openai.chat": "/chat/completions"}
_TRIES_AGAIN_ON = frozenset({429, 500, 502, 503, 504, 529})
_PASSED_HEADERS = ("openai-beta",)
RETRY_BUDGET_S = 5.0
_PAUSE_S = 0.25

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to leave: the masked body for a cloud; the one as received only for the user's own private servers."""

    upstream: str
    masked: JsonObject
    received: JsonObject
    headers: Mapping[str, str]
    deadline_s: float | None = None


class Egress:
    """Sends requests to the upstreams of the settings, and to nobody else."""

    def __init__(
        self,
        recorder: Recorder,
        clouds: Mapping[str, Cloud],
        upstreams: Mapping[str, UpstreamSettings],
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._recorder = recorder
        self._clouds = clouds
        self._upstreams = upstreams
        self._pause = pause

    async def send(self, intent: Intent, parcel: Parcel) -> CloudReply:
        """Record the intent, then send; return once the upstream's status is there.

        Raises:
            LedgerError: the intent could not be made durable, so nothing was sent.
            UpstreamError: no usable answer, after one more try where that is safe.
            ConfigError: the upstream's key is not set.

        """
        if parcel.upstream not in self._clouds:
            raise NotFoundError(f"no upstream {parcel.upstream!r}; configured: {', '.join(self._clouds) or 'none'}")
        await self._recorder.record(intent)
        return await self._open(self._clouds[parcel.upstream], self._request(intent, parcel))

    def _request(self, intent: Intent, parcel: Parcel) -> CloudRequest:
        settings = self._upstreams[parcel.upstream]
        body = parcel.received if is_private(settings, str(parcel.received.get("model"))) else parcel.masked
        limit = min(settings.timeout_s, parcel.deadline_s or settings.timeout_s)
        headers = {name: parcel.headers[name] for name in _PASSED_HEADERS if name in parcel.headers}
        return CloudRequest(_PATHS[intent.surface], orjson.dumps(body), headers, limit, bool(body.get("stream")))

    async def _open(self, cloud: Cloud, request: CloudRequest) -> CloudReply:
        """Open a request, with one more try where nothing has been answered; both before the client got a byte."""
        loop = asyncio.get_running_loop()
        until = loop.time() + request.timeout_s
        try:
            reply = await cloud.open(request)
        except UnreachableError:
            await self._pause(_PAUSE_S)
            return await cloud.open(replace(request, timeout_s=max(_PAUSE_S, until - loop.time())))
        wait_s = _PAUSE_S if reply.status in _TRIES_AGAIN_ON else None
        if wait_s is not None and (asked := _retry_after_s(reply)) is not None:
            wait_s = asked if asked <= min(RETRY_BUDGET_S, request.timeout_s) else None
        if wait_s is None:
            return reply
        reply.close()
        await self._pause(wait_s)
        return await cloud.open(replace(request, timeout_s=max(_PAUSE_S, until - loop.time())))

    async def aclose(self) -> None:
        """Close all upstreams."""
        for cloud in self._clouds.values():
            await cloud.aclose()


def _retry_after_s(reply: CloudReply) -> float | None:
    try:
        return max(0.0, float(reply.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


async def read_whole(reply: CloudReply, limit_bytes: int) -> bytes:
    """Return a whole body; raise UpstreamError where it is longer than the limit or breaks off."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for chunk in reply.chunks():
            pieces.append(chunk)
            size += len(chunk)
            if size > limit_bytes:
                raise UpstreamError(f"the upstream's answer is over {limit_bytes:,} bytes; it was cut off")
    finally:
        reply.close()
    return b"".join(pieces)
