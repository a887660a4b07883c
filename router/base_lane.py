"""Serves a request from the general local base: asked as an upstream is, but verified, and handed on where it is weak.

An answer is verified where it is held back whole: one that is not streamed always, a stream where `policy.hold` says
"answer". A tool call with wrong arguments is asked for once more, by its own schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import orjson

from registry.entities import EvidenceType, Json, Status
from registry.errors import UpstreamError
from router.assembly import upstream_usage
from router.attempts import Attempt
from router.chat import JsonObject
from router.cloud_lane import CloudLane
from router.egress import read_whole
from router.exchange import Wire
from router.judging import HELD_HEADER, flaw_of, weak_header
from router.mending import call_repair, chunks_of
from router.passing import (
    MAX_ANSWER_BYTES,
    Stream,
    answer_object,
    check_status,
    drain,
    frames_of,
    parcel_of,
    passage_of,
    shown_of,
)
from router.sse import events
from router.upstream import CloudReply
from router.verifying.finding import Finding, findings_json, reply_of


@dataclass(frozen=True, slots=True)
class BaseLane:
    """Where requests meet the general local base."""

    upstreams: CloudLane

    async def serve(self, attempt: Attempt, *, escalates: bool) -> str:
        """Answer; or, where a weak answer may escalate, record it and return why it must.

        Raises:
            CutStreamError: the stream broke after its first frame.
            ModelBreederError: no answer; the client has got nothing, the outcome is recorded.

        """
        streams, judge = attempt.routed.incoming.request.stream, attempt.routed.rulebook.judge
        if not judge.verifies(attempt) or (streams and judge.hold.tokens is not None):
            await self.upstreams.serve(attempt)
            return ""
        stream = Stream(passage_of(attempt)) if streams else None

        async def judged(reply: CloudReply) -> str:
            held = await _streamed(attempt, reply, stream) if stream else await _whole(attempt, reply)
            return await self._judge(attempt, held, escalates)

        return await self.upstreams.exchange(attempt, stream, judged)

    async def _judge(self, attempt: Attempt, held: _Held, escalates: bool) -> str:
        answer, findings = await self._verified(attempt, held)
        weakness, recorder = flaw_of(findings[-1:]), self.upstreams.recorder
        if weakness:
            detail: Json = {"why": weakness, "model": attempt.target.name}
            attempt.notes = (*attempt.notes, recorder.note(attempt.id, EvidenceType.WEAK_ANSWER, detail))
        hands_on = bool(weakness) and escalates
        status = Status.ESCALATED if hands_on else Status.OK
        verification = findings_json(findings)
        outcome = self.upstreams.outcome(attempt, status, answer.completion, verification=verification)
        await recorder.record(outcome, *attempt.notes)
        if hands_on:
            return weakness
        await answer.give(attempt.wire, {**attempt.headers, HELD_HEADER: "answer", **weak_header(weakness)})
        return ""

    async def _verified(self, attempt: Attempt, held: _Held) -> tuple[_Held, Sequence[Finding]]:
        """Verify an answer, and mend it once where a tool call of it is wrong."""
        findings = await attempt.routed.rulebook.judge.findings(attempt, reply_of(held.completion))
        incoming = attempt.routed.incoming
        chat = incoming.dialect.to_chat(incoming.request.body)
        repair = call_repair(chat, held.completion, findings)
        if repair is None:
            return held, findings
        try:
            answer = await self._ask_again(attempt, repair.request(chat))
        except UpstreamError:
            return held, findings
        mended = repair.applied(held.completion, answer)
        attempt.unmended = upstream_usage(held.completion.get("usage"))
        again = await attempt.routed.rulebook.judge.findings(attempt, reply_of(mended))
        return _made(attempt, mended), (*findings, *again)

    async def _ask_again(self, attempt: Attempt, chat: JsonObject) -> JsonObject:
        wire = attempt.routed.wire
        body = wire.outgoing(wire.from_chat(chat), attempt.target.model)
        parcel = replace(parcel_of(attempt), masked=body, received=body, deadline_s=attempt.remaining_s)
        reply = await self.upstreams.egress.send_again(parcel, self.upstreams.recorder.attempted)
        try:
            await check_status(reply, attempt)
            return wire.answer_to_chat(answer_object(await read_whole(reply, MAX_ANSWER_BYTES)))
        finally:
            reply.close()


@dataclass(frozen=True, slots=True)
class _Held:
    """A whole answer that the client has not got yet, as chat completion and as the bytes to give."""

    completion: JsonObject
    frames: Sequence[bytes]
    streams: bool

    async def give(self, wire: Wire, headers: dict[str, str]) -> None:
        if not self.streams:
            await wire.answer(headers, b"".join(self.frames))
            return
        await wire.begin(headers)
        for frame in self.frames:
            await wire.write(frame)
        await wire.end()


async def _whole(attempt: Attempt, reply: CloudReply) -> _Held:
    raw = await read_whole(reply, MAX_ANSWER_BYTES)
    attempt.saw_token()
    answer = answer_object(raw)
    completion = attempt.routed.wire.answer_to_chat(answer)
    return _Held(completion, (shown_of(attempt, raw, answer, completion),), streams=False)


async def _streamed(attempt: Attempt, reply: CloudReply, stream: Stream) -> _Held:
    frames: list[bytes] = []
    async with aclosing(events(reply.chunks())) as source:
        async for frame in frames_of(stream, source, attempt.target.upstream):
            attempt.saw_token()
            frames.append(frame)
        await drain(source)
    # Mending takes a place at the same upstream, which may have no other.
    reply.close()
    return _Held(stream.assembly.completion(), (*frames, stream.passage.finish()), streams=True)


def _made(attempt: Attempt, completion: JsonObject) -> _Held:
    """Return a mended completion as the client gets it."""
    incoming = attempt.routed.incoming
    dialect, request = incoming.dialect, incoming.request
    if not request.stream:
        shown = dialect.answer_from_chat(completion, attempt.facts, request.body)
        return _Held(completion, (orjson.dumps(shown),), streams=False)
    encoder = dialect.encoder(attempt.facts, request)
    said = [encoder.feed(chunk) for chunk in chunks_of(completion)]
    return _Held(completion, (*said, encoder.finish(upstream_usage(completion.get("usage")))), streams=True)
