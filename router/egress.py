"""The only way to an upstream: the intent is durable first, then the masked request leaves. No event, no call.

The one retry loop is here too: nothing below it sends a request twice, nothing above it sends it to the same model.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

import orjson

from registry.entities import Intent
from registry.errors import NotFoundError, RefusedError, UpstreamError
from registry.settings import UpstreamSettings, is_private
from router.chat import JsonObject
from router.cooldown import Cooldowns, Rest
from router.failures import FailureKind, kind_of, kind_of_status
from router.places import Places
from router.recording import Recorder
from router.retrying import Allowance, AttemptNote, asked_pause_s, may_send_again, pause_before_next
from router.upstream import Cloud, CloudReply, CloudRequest, NotAskedError
from router.vendor_fields import FieldTeller

_OPENAI_HEADERS = ("openai-beta",)
_ANTHROPIC_HEADERS = ("anthropic-beta", "anthropic-version")
_LEAST_TIME_S = 0.001

Pause = Callable[[float], Awaitable[None]]
Note = Callable[[AttemptNote], None]


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is to leave: the masked body for a cloud; the one as received only for the user's own private servers.

    Both are in the upstream's own wire format, and `path` is the one below its base URL that takes it.
    """

    upstream: str
    masked: JsonObject
    received: JsonObject
    headers: Mapping[str, str]
    deadline_s: float | None = None
    path: str = "/chat/completions"
    left_out: Sequence[str] = ()
    """Fields of the client's request that it has no longer, as the log may name them."""


class Egress:
    """Sends requests to the upstreams of the settings, and to nobody else."""

    def __init__(
        self,
        recorder: Recorder,
        clouds: Mapping[str, Cloud],
        upstreams: Mapping[str, UpstreamSettings],
        pause: Pause = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        offline: Callable[[], bool] = lambda: False,
    ) -> None:
        self._recorder = recorder
        self._clouds = clouds
        self._upstreams = upstreams
        self._pause = pause
        self._monotonic = monotonic
        self._chance = chance
        self._offline = offline
        self._cooldowns = Cooldowns(monotonic)
        self._places = {name: Places(name, settings) for name, settings in upstreams.items()}
        self._teller = FieldTeller()

    async def send(self, intent: Intent, parcel: Parcel, note: Note = lambda _: None) -> CloudReply:
        """Record the intent, then send; return once the upstream's status is there.

        Each time that the request was sent, and what came of it, is told to `note`.

        Raises:
            LedgerError: the intent could not be made durable, so nothing was sent.
            UpstreamError: no usable answer; NotAskedError where nothing was sent, as the model rests or is busy.
            ConfigError: the upstream's key is not set.
            RefusedError: it is a cloud, and policy is offline by now.

        """
        if parcel.upstream not in self._clouds:
            raise NotFoundError(f"no upstream {parcel.upstream!r}; configured: {', '.join(self._clouds) or 'none'}")
        await self._recorder.record(intent)
        self._teller.tell(parcel.upstream, parcel.left_out)
        errand = self._errand(parcel)
        self._refuse_at_rest(errand.target)
        return await self._send(errand, note)

    async def send_again(self, parcel: Parcel, note: Note = lambda _: None) -> CloudReply:
        """Send to the user's own server what belongs to an interaction whose intent is recorded; never to a cloud.

        Raises:
            RefusedError: the upstream is a cloud.
            UpstreamError: no usable answer.

        """
        if not is_private(self._upstreams[parcel.upstream], str(parcel.received.get("model"))):
            raise RefusedError(f"upstream {parcel.upstream!r} is a cloud; what leaves for it has an intent of its own")
        return await self._send(self._errand(parcel), note)

    def resting(self, target: str) -> Rest | None:
        """Return the rest that a model, UPSTREAM/MODEL, is at; None where it may be asked."""
        return self._cooldowns.resting(target)

    def _refuse_at_rest(self, target: str) -> None:
        rest = self.resting(target)
        if rest is None:
            return
        limited = rest.failure is FailureKind.RATE_LIMITED
        status = HTTPStatus.TOO_MANY_REQUESTS if limited else HTTPStatus.SERVICE_UNAVAILABLE
        why = "asked for a pause" if limited else f"failed, at last: {rest.failure}"
        raise NotAskedError(f"{target} {why}; ask again in {rest.left_s:.0f} s", status, rest.left_s)

    def _errand(self, parcel: Parcel) -> _Errand:
        settings = self._upstreams[parcel.upstream]
        private = is_private(settings, str(parcel.received.get("model")))
        body = parcel.received if private else parcel.masked
        passed = _ANTHROPIC_HEADERS if settings.dialect == "anthropic" else _OPENAI_HEADERS
        headers = {name: parcel.headers[name] for name in passed if name in parcel.headers}
        limit_s = min(settings.timeout_s, parcel.deadline_s or settings.timeout_s)
        return _Errand(
            private=private,
            target=f"{parcel.upstream}/{body.get('model')}",
            settings=settings,
            cloud=self._clouds[parcel.upstream],
            places=self._places[parcel.upstream],
            request=CloudRequest(parcel.path, orjson.dumps(body), headers, limit_s, bool(body.get("stream"))),
        )

    async def _send(self, errand: _Errand, note: Note) -> CloudReply:
        """Send until an answer begins, or what came of it may not be sent again."""
        settings, until_s = errand.settings, self._monotonic() + errand.request.timeout_s
        sent, paused_s, pause_s = 0, 0.0, 0.0
        await self._enter(errand)
        while True:
            started_s = self._monotonic()
            result = await self._send_once(errand, until_s - started_s)
            ended_s = self._monotonic()
            note(AttemptNote(errand.target, result.failure, result.status, pause_s, ended_s - started_s))
            sent += 1
            left = Allowance(settings.attempts - sent, settings.retry_budget_s - paused_s, until_s - ended_s)
            pause = result.pause_s(sent, left, self._chance())
            if pause is None:
                return result.unwrap()
            result.drop()
            paused_s, pause_s = paused_s + pause, pause
            await self._pause(pause)
            await errand.places.take(until_s - self._monotonic())

    def _refuse_cloud_offline(self, errand: _Errand) -> None:
        """Keep the gap also where policy was set offline behind a request, or in one of its pauses."""
        if self._offline() and not errand.private:
            raise RefusedError(f"policy.offline is set, so {errand.target} is not asked; name a model of your own")

    async def _enter(self, errand: _Errand) -> None:
        """Take a place at a model; it may have gone to rest while others were before us in the line."""
        await errand.places.take(errand.request.timeout_s)
        try:
            self._refuse_at_rest(errand.target)
        except NotAskedError:
            errand.places.give_back()
            raise

    async def _send_once(self, errand: _Errand, left_s: float) -> _Result:
        reply = None
        try:
            self._refuse_cloud_offline(errand)
            reply = await errand.cloud.open(replace(errand.request, timeout_s=max(_LEAST_TIME_S, left_s)))
        except UpstreamError as error:
            failure = kind_of(error)
            self._judge(errand, failure)
            return _Result(failure, error=error)
        finally:
            if reply is None:
                errand.places.give_back()
        if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            return _Result(None, reply=_HeldReply(reply, errand.places, lambda failure: self._judge(errand, failure)))
        failure, asked_s = kind_of_status(reply.status), asked_pause_s(reply.headers)
        self._judge(errand, failure, asked_s)
        return _Result(failure, asked_s, reply=_HeldReply(reply, errand.places))

    def _judge(self, errand: _Errand, failure: FailureKind | None, asked_s: float | None = None) -> None:
        """Note how a model did; that it could not keep a client's own deadline is not held against it."""
        if failure is None:
            self._cooldowns.answered(errand.target)
        elif failure is not FailureKind.TIMEOUT or errand.request.timeout_s >= errand.settings.timeout_s:
            self._cooldowns.failed(errand.target, failure, asked_s, errand.settings.cooldown_s)

    async def aclose(self) -> None:
        """Close all upstreams."""
        for cloud in self._clouds.values():
            await cloud.aclose()


@dataclass(frozen=True, slots=True)
class _Errand:
    """A request on its way to a model; its `timeout_s` is for all of its attempts."""

    private: bool
    target: str
    settings: UpstreamSettings
    cloud: Cloud
    places: Places
    request: CloudRequest


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of sending a request once: a reply or an error."""

    failure: FailureKind | None
    asked_s: float | None = None
    reply: _HeldReply | None = None
    error: UpstreamError | None = None

    @property
    def status(self) -> int | None:
        return self.reply.status if self.reply else None

    def pause_s(self, sent: int, left: Allowance, chance: float) -> float | None:
        if self.failure is None or (self.reply and not may_send_again(self.reply.status, self.reply.headers)):
            return None
        return pause_before_next(self.failure, self.asked_s, sent, left, chance)

    def unwrap(self) -> CloudReply:
        if self.reply is None:
            raise self.error or AssertionError("a request came to nothing")
        return self.reply

    def drop(self) -> None:
        if self.reply:
            self.reply.close()


class _HeldReply:
    """A reply that holds its place at the upstream until it is closed, and then tells how it went."""

    def __init__(
        self, reply: CloudReply, places: Places, judge: Callable[[FailureKind | None], None] = lambda _: None
    ) -> None:
        self._reply = reply
        self._places = places
        self._judge = judge
        self._began = False
        self._closed = False
        self.status = reply.status
        self.headers = reply.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._reply.chunks():
                self._began = True
                yield chunk
        except UpstreamError as error:
            self._began = False
            self._judge(kind_of(error))
            raise

    def close(self) -> None:
        self._reply.close()
        if self._closed:
            return
        self._closed = True
        self._places.give_back()
        # A client that left before the first byte says nothing of the upstream.
        if self._began:
            self._judge(None)


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
