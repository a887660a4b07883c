"""Serves a request from an upstream: whole or streamed, values put back, the outcome durable before the last byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

import orjson

from registry.entities import Json, Outcome, Status, Usage
from registry.errors import LedgerError, ModelBreederError, UpstreamError
from router.assembly import ChunkAssembly, upstream_usage
from router.attempts import Attempt, upstream_body
from router.chat import JsonObject, answer_text
from router.dialects.protocol import Passage
from router.dialects.translation import Translation
from router.egress import Egress, Parcel, read_whole
from router.envelope import estimate_tokens
from router.exchange import CutStreamError
from router.fitness import wants_json
from router.pricing import Prices
from router.problems import problem_of
from router.recording import Recorder
from router.routing import Routed
from router.sse import events
from router.upstream import CloudReply, UpstreamProblem, UpstreamStatusError

MAX_ANSWER_BYTES = 64 << 20
_DRAIN_S = 0.1
_PASSED_PREFIXES = ("x-ratelimit-", "openai-")


@dataclass(frozen=True, slots=True)
class CloudLane:
    """Where requests meet upstreams."""

    egress: Egress
    recorder: Recorder
    prices: Prices

    async def serve(self, attempt: Attempt) -> None:
        """Ask the attempt's target and pass its answer on.

        Raises:
            CutStreamError: the stream broke after its first frame.
            ModelBreederError: no answer; the client has got nothing, the outcome is recorded.

        """
        stream = _Stream(_passage(attempt), ChunkAssembly()) if attempt.routed.incoming.request.stream else None
        try:
            reply = await self.egress.send(attempt.intent, _parcel(attempt), self.recorder.attempted)
            try:
                await _check_status(reply, attempt)
                await (self._stream(attempt, reply, stream) if stream else self._whole(attempt, reply))
            finally:
                reply.close()
        except asyncio.CancelledError:
            await self._abandon(attempt, stream)
            raise
        except CutStreamError:
            raise
        except ModelBreederError as error:
            await self._fail(attempt, error)
            raise

    async def _whole(self, attempt: Attempt, reply: CloudReply) -> None:
        raw = await read_whole(reply, MAX_ANSWER_BYTES)
        attempt.saw_token()
        answer = _object(raw)
        completion = attempt.routed.wire.answer_to_chat(answer)
        shown = _shown(attempt, raw, answer, completion)
        await self._end(attempt, Status.OK, completion)
        await attempt.wire.answer({**attempt.headers, **_passed_headers(reply)}, shown)

    async def _stream(self, attempt: Attempt, reply: CloudReply, stream: _Stream) -> None:
        async with aclosing(events(reply.chunks())) as source:
            begun = await self._pass_on(attempt, reply, stream, source)
            await self._end(attempt, Status.OK, stream.assembly.completion())
            if not begun:
                await attempt.wire.begin({**attempt.headers, **_passed_headers(reply)})
            await attempt.wire.write(stream.passage.finish())
            await attempt.wire.end()
            await _drain(source)

    async def _pass_on(
        self, attempt: Attempt, reply: CloudReply, stream: _Stream, source: AsyncGenerator[bytes, None]
    ) -> bool:
        """Pass frames on until the end mark; say whether the client's stream has begun."""
        begun = False
        try:
            async for frame in _frames(stream, source, attempt.target.upstream):
                if not begun:
                    attempt.saw_token()
                    await attempt.wire.begin({**attempt.headers, **_passed_headers(reply)})
                    begun = True
                await attempt.wire.write(frame)
        except UpstreamError as error:
            if not begun:
                raise
            await attempt.wire.write(attempt.routed.incoming.dialect.error_frame(problem_of(error)))
            await self._end(attempt, Status.TRUNCATED, stream.assembly.completion(), str(error))
            raise CutStreamError(str(error)) from error
        return begun

    async def _abandon(self, attempt: Attempt, stream: _Stream | None) -> None:
        """Record that the client left, or the daemon stopped; the upstream is closed by now."""
        partial = stream.assembly.completion() if stream and stream.assembly.has_text else None
        status, why = attempt.abandonment
        if not attempt.ended:
            await self._end(attempt, status, partial, why)

    async def _fail(self, attempt: Attempt, error: ModelBreederError) -> None:
        """Record a failure; where the ledger refused the intent it takes no outcome either."""
        if not attempt.ended and not isinstance(error, LedgerError):
            with suppress(ModelBreederError):
                await self._end(attempt, Status.ERROR, None, str(error))

    async def _end(self, attempt: Attempt, status: Status, response: Json, error: str | None = None) -> None:
        await self.recorder.record(self._outcome(attempt, status, response, error), *attempt.notes)

    def _outcome(self, attempt: Attempt, status: Status, response: Json, error: str | None) -> Outcome:
        reported = response.get("usage") if isinstance(response, dict) else None
        usage = upstream_usage(reported) or (_estimate(attempt.routed, response) if response else None)
        cost = self.prices.cost(attempt.target, usage, attempt.intent.at_utc, _cached_tokens(reported))
        return attempt.outcome(status, response=response, usage=usage, cost_usd=cost, cloud_cost_usd=cost, error=error)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One stream on its way, and what the ledger will keep of it."""

    passage: Passage
    assembly: ChunkAssembly


async def _frames(stream: _Stream, source: AsyncGenerator[bytes, None], upstream: str) -> AsyncGenerator[bytes, None]:
    """Yield what the client gets until the end mark; raise UpstreamError where the stream ends before."""
    async for data in source:
        frames, chunks = stream.passage.forward(data)
        for chunk in chunks:
            stream.assembly.add(chunk)
        if frames:
            yield frames
        if stream.passage.ended:
            return
    raise UpstreamError(f"upstream {upstream!r} ended its stream without the end mark; the answer is not whole")


def _parcel(attempt: Attempt) -> Parcel:
    routed = attempt.routed
    return Parcel(
        upstream=attempt.target.upstream,
        masked=upstream_body(routed, routed.masked),
        received=upstream_body(routed, routed.incoming.request.body),
        headers=routed.incoming.headers if routed.wire.surface == routed.incoming.dialect.surface else {},
        deadline_s=attempt.remaining_s,
        path=routed.wire.path,
    )


def _restores(routed: Routed) -> bool:
    """Say whether values were masked in what the upstream saw; private upstreams see the real ones."""
    return routed.was_masked and not (routed.cloud is not None and routed.cloud.private)


def _passage(attempt: Attempt) -> Passage:
    routed = attempt.routed
    masker = routed.redaction.masker if _restores(routed) else None
    spoken, wire, request = routed.incoming.dialect, routed.wire, routed.incoming.request
    if spoken.surface == wire.surface:
        return spoken.passage(masker, request)
    encoder = spoken.encoder(attempt.facts, request)
    return Translation(wire.decoder(), encoder, masker, json_text=wants_json(routed.chat))


def _shown(attempt: Attempt, raw: bytes, answer: JsonObject, completion: JsonObject) -> bytes:
    """Return a whole answer as the client gets it, the upstream's own bytes where nothing has to change."""
    routed = attempt.routed
    spoken, masker = routed.incoming.dialect, routed.redaction.masker if _restores(routed) else None
    same = spoken.surface == routed.wire.surface
    if same and masker is None:
        return raw
    shown = masker.restore_json(answer if same else completion) if masker else completion
    if same:
        return orjson.dumps(shown)
    return orjson.dumps(spoken.answer_from_chat(cast("JsonObject", shown), attempt.facts, routed.incoming.request.body))


async def _check_status(reply: CloudReply, attempt: Attempt) -> None:
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return
    body = await read_whole(reply, MAX_ANSWER_BYTES)
    said, masker = _said(body), attempt.routed.redaction.masker
    restored = masker.restore(said.message) if _restores(attempt.routed) else None
    retry_after = reply.headers.get("retry-after")
    raise UpstreamStatusError(attempt.target.upstream, reply.status, body, retry_after, said, restored)


def _said(body: bytes) -> UpstreamProblem:
    """Return what an upstream's error says; of a body that is no JSON the length alone, as a cut may hide a secret."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    known = error if isinstance(error, dict) else {}
    message = known.get("message") or error or (f"{len(body):,} bytes that are no JSON error" if body else "nothing")
    kind, code, param = (None if known.get(key) is None else str(known[key]) for key in ("type", "code", "param"))
    return UpstreamProblem(str(message), kind, code, param)


def _object(raw: bytes) -> JsonObject:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise UpstreamError(f"the upstream's answer is not JSON: {len(raw):,} bytes; ask again") from error
    if not isinstance(value, dict):
        raise UpstreamError("the upstream's answer is no JSON object; check its base_url")
    return value


def _estimate(routed: Routed, response: Json) -> Usage:
    return Usage(routed.envelope.estimated_tokens, estimate_tokens(answer_text(response)), "estimate")


def _cached_tokens(usage: Json) -> int:
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return cached if isinstance(cached, int) else 0


def _passed_headers(reply: CloudReply) -> dict[str, str]:
    return {name: value for name, value in reply.headers.items() if name.startswith(_PASSED_PREFIXES)}


async def _drain(source: AsyncGenerator[bytes, None]) -> None:
    """Read on to the end of a finished stream, so that its connection can be used again."""
    with suppress(TimeoutError, UpstreamError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in source:
                pass
