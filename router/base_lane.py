"""Serves a request from the general local base: asked as an upstream is, but verified, and handed on where it is weak.

An answer is verified, in each of its choices, where it is held back whole: one that is not streamed always, a stream
where `policy.hold` says "answer". A tool call with wrong arguments is asked for once more, by its own schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import orjson

from registry.entities import EvidenceType, Json, Status
from registry.errors import UpstreamError
from router.assembly import upstream_usage
from router.assessment import (
    HELD_HEADER,
    findings_of,
    flaw_of,
    is_better,
    uncheckable,
    verifies,
    weak_header,
)
from router.attempts import Attempt, addressed
from router.chat import JsonObject
from router.cloud_lane import CloudLane
from router.egress import read_whole
from router.exchange import Wire
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
    whole_of,
)
from router.sse import events
from router.upstream import CloudReply
from router.verifying.finding import Finding, findings_json, replies_of


@dataclass(frozen=True, slots=True)
class BaseLane:
    """Where requests meet the general local base."""

    upstreams: CloudLane

    async def serve(self, attempt: Attempt, *, escalates: bool) -> str:
        """Answer; or, where a weak answer may escalate, record it and return why it must.

        An answer that could not be verified, whatever it is, is not even asked for.

        Raises:
            CutStreamError: the stream broke after its first frame.
            ModelBreederError: no answer; the client has got nothing, the outcome is recorded.

        """
        streams, judge = attempt.routed.incoming.request.stream, attempt.routed.rulebook.judge
        if not verifies(attempt) or (streams and judge.hold.tokens is not None):
            await self.upstreams.serve(attempt)
            return ""
        why = await uncheckable(attempt) if escalates else ""
        if why:
            await self._pass_over(attempt, why)
            return why
        stream = Stream(passage_of(attempt)) if streams else None

        async def judged(reply: CloudReply) -> str:
            held = await _streamed(attempt, reply, stream) if stream else await _whole(attempt, reply)
            return await self._judge(attempt, held, escalates)

        return await self.upstreams.exchange(attempt, stream, judged)

    async def _pass_over(self, attempt: Attempt, why: str) -> None:
        recorder = self.upstreams.recorder
        note = recorder.note(attempt.id, EvidenceType.FALLBACK, {"error": why})
        await recorder.record(attempt.intent, attempt.outcome(Status.ESCALATED, error=why), *attempt.notes, note)

    async def _judge(self, attempt: Attempt, held: _Held, escalates: bool) -> str:
        answer, findings = await self._verified(attempt, held)
        weakness, recorder = flaw_of(findings), self.upstreams.recorder
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
        """Verify an answer, and mend it once where a tool call of it is wrong; what is no better is not taken."""
        findings, choice = await _findings(attempt, held.completion)
        incoming = attempt.routed.incoming
        chat = incoming.dialect.to_chat(incoming.request.body)
        repair = call_repair(chat, held.completion, findings, choice)
        if repair is None:
            return held, findings
        try:
            answer = await self._ask_again(attempt, repair.request(chat))
        except UpstreamError:
            if attempt.late:
                raise
            return held, findings
        mended = repair.applied(held.completion, answer)
        attempt.unmended = upstream_usage(held.completion.get("usage"))
        again, _ = await _findings(attempt, mended)
        if not is_better(again, findings):
            # Both are paid for, whichever is given.
            return replace(held, completion={**held.completion, "usage": mended.get("usage")}), findings
        return _made(attempt, mended), (*findings, *again)

    async def _ask_again(self, attempt: Attempt, chat: JsonObject) -> JsonObject:
        wire = attempt.routed.wire
        body = addressed(attempt.routed, wire.from_chat(chat))
        # It holds real values: nothing of it may be taken for masked.
        parcel = replace(parcel_of(attempt), masked={}, received=body, deadline_s=attempt.remaining_s)
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


async def _findings(attempt: Attempt, completion: JsonObject) -> tuple[tuple[Finding, ...], int]:
    """Verify the choices of an answer up to the first flaw; return what is found, and the place of the last choice."""
    found: tuple[Finding, ...] = ()
    replies = replies_of(completion)
    for place, reply in enumerate(replies):
        found = (*found, *await findings_of(attempt, reply))
        if flaw_of(found):
            return found, place
    return found, len(replies) - 1


async def _whole(attempt: Attempt, reply: CloudReply) -> _Held:
    raw = await read_whole(reply, MAX_ANSWER_BYTES)
    attempt.saw_token()
    completion, shown = whole_of(attempt, raw)
    return _Held(completion, (shown,), streams=False)


async def _streamed(attempt: Attempt, reply: CloudReply, stream: Stream) -> _Held:
    frames, size = list[bytes](), 0
    async with aclosing(events(reply.chunks())) as source:
        async for frame in frames_of(stream, source, attempt.target.upstream):
            attempt.saw_token()
            frames.append(frame)
            size += len(frame)
            if size > MAX_ANSWER_BYTES:
                raise UpstreamError(f"the upstream's answer is over {MAX_ANSWER_BYTES:,} bytes; it was cut off")
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
