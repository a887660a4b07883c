"""Serves a request from a specialist: masked text in, values put back, weak answers held back and handed on.

An answer is streamed as it is decoded only where no confidence threshold has to be met first. A simple rung answers
at once and without an engine.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

import orjson

from registry.entities import EvidenceType, Json, Outcome, Specialist, SpecialistKind, Status, Usage
from registry.errors import ArtifactError, EngineError, ModelBreederError
from registry.prompting import Prompt
from router.attempts import Attempt
from router.chat import JsonObject, completion, delta_chunk
from router.dialects.protocol import Encoder
from router.engine.protocol import Done, FinishReason, Piece
from router.engines import EnginePool
from router.envelope import estimate_tokens
from router.exchange import CutStreamError
from router.fitness import client_limit, wants_json_object
from router.pricing import Prices
from router.problems import UnservedError, problem_of
from router.recording import Recorder
from router.rungs import KINDS
from router.rungs.shelf import RungShelf

HELD_HEADER = "x-modelbreeder-held"
WEAK_HEADER = "x-modelbreeder-weak"


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a specialist said, masked; `finish` in OpenAI's words, `confidence` None where it has none."""

    text: str
    usage: Usage | None = None
    confidence: float | None = None
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class LocalLane:
    """Where requests meet specialists."""

    engines: EnginePool
    rungs: RungShelf
    recorder: Recorder
    prices: Prices

    async def serve(self, attempt: Attempt, *, escalates: bool) -> str:
        """Answer; or, where a weak or failed answer may escalate, record it and return why it must.

        Raises:
            CutStreamError: the engine failed after the first frame.
            ModelBreederError: the specialist failed and nothing may stand in; the outcome is recorded.

        """
        await self.recorder.record(attempt.intent)
        try:
            if attempt.routed.incoming.request.stream and not is_held(attempt):
                await self._live(attempt)
                return ""
            answer = await (self._look_up(attempt, escalates) if is_simple(attempt) else self._decode(attempt))
            return await self._judge(attempt, answer, escalates)
        except asyncio.CancelledError:
            await self._abandon(attempt)
            raise
        except (EngineError, ArtifactError) as error:
            return await self._fail(attempt, error, escalates)

    async def _decode(self, attempt: Attempt) -> LocalAnswer:
        pieces: list[str] = []
        async with aclosing(self._pieces(attempt)) as answer:
            async for item in answer:
                if isinstance(item, Done):
                    return _decoded(pieces, item)
                pieces.append(item.text)
        raise EngineError("the engine ended an answer without saying why; ask again")

    async def _look_up(self, attempt: Attempt, escalates: bool) -> LocalAnswer:
        """Ask a simple rung; the client's limit on tokens saves nothing here, so it cuts nothing off."""
        specialist, body = attempt.specialist, attempt.routed.chat
        answer = await self.rungs.answer(specialist, _prompt(attempt))
        attempt.saw_token()
        if math.isinf(answer.confidence) and not escalates:
            raise UnservedError(f"{specialist.name} does not know this task, and no other model may take it; ask anew")
        text = _stopped(answer.text, stop_texts(body))
        usage = Usage(attempt.routed.envelope.estimated_tokens, estimate_tokens(text), "estimate")
        return LocalAnswer(text, usage, None if math.isinf(answer.confidence) else answer.confidence)

    async def _pieces(self, attempt: Attempt) -> AsyncGenerator[Piece | Done, None]:
        prompt, specialist, body = _prompt(attempt), attempt.specialist, attempt.routed.chat
        limit = min(specialist.max_tokens, client_limit(body) or specialist.max_tokens)
        async with aclosing(self.engines.answer(specialist, prompt, limit, stop_texts(body))) as answer:
            async for item in answer:
                attempt.saw_token()
                if isinstance(item, Done) and item.finish_reason in (FinishReason.ERROR, FinishReason.CANCELLED):
                    raise EngineError(f"the engine broke off its answer ({item.finish_reason}); ask again")
                yield item

    async def _judge(self, attempt: Attempt, answer: LocalAnswer, escalates: bool) -> str:
        """Give a held answer, or hand a weak one on."""
        specialist = attempt.specialist
        weakness = weakness_of(answer, specialist, attempt.routed.chat)
        if weakness:
            note = self.recorder.note(attempt.id, EvidenceType.WEAK_ANSWER, _detail(answer, specialist, weakness))
            attempt.notes = (*attempt.notes, note)
        hands_on = bool(weakness) and escalates
        status = Status.ESCALATED if hands_on else Status.OK
        await self._end(attempt, status, answer, verification=_verification(attempt, answer))
        if hands_on:
            return weakness
        await self._give(attempt, answer, weakness)
        return ""

    async def _give(self, attempt: Attempt, answer: LocalAnswer, weakness: str) -> None:
        incoming, wire = attempt.routed.incoming, attempt.wire
        request, dialect = incoming.request, incoming.dialect
        usage = answer.usage or Usage(0, 0, "tokenizer")
        text = str(attempt.routed.redaction.masker.restore_json(answer.text))
        headers = {**attempt.headers, HELD_HEADER: "answer", **({WEAK_HEADER: weakness} if weakness else {})}
        if not request.stream:
            at, finish = attempt.intent.at_utc, answer.finish
            whole = completion(attempt.id, request.model, at, text=text, finish=finish, usage=usage)
            await wire.answer(headers, orjson.dumps(dialect.answer_from_chat(whole, attempt.facts, request.body)))
            return
        await wire.begin(headers)
        encoder = dialect.encoder(attempt.facts, request)
        await wire.write(encoder.feed(_text_chunk(text, first=True)))
        await self._finish(attempt, encoder, answer)

    async def _live(self, attempt: Attempt) -> None:
        """Stream an answer as it is decoded."""
        incoming = attempt.routed.incoming
        encoder = incoming.dialect.encoder(attempt.facts, incoming.request)
        said: list[str] = []
        try:
            done = await self._speak(attempt, encoder, said)
        except (EngineError, ArtifactError) as error:
            if not said:
                raise
            await attempt.wire.write(incoming.dialect.error_frame(problem_of(error)))
            await self._end(attempt, Status.TRUNCATED, LocalAnswer("".join(said)), error=str(error))
            raise CutStreamError(str(error)) from error
        answer = _decoded(said, done)
        await self._end(attempt, Status.OK, answer)
        await self._finish(attempt, encoder, answer)

    async def _speak(self, attempt: Attempt, encoder: Encoder, said: list[str]) -> Done:
        """Write pieces as they come, and keep them in `said`."""
        restorer = attempt.routed.redaction.masker.restorer()
        async with aclosing(self._pieces(attempt)) as answer:
            async for item in answer:
                if not said:
                    await attempt.wire.begin(attempt.headers)
                text = restorer.flush() if isinstance(item, Done) else restorer.feed(item.text)
                if text or not said:
                    await attempt.wire.write(encoder.feed(_text_chunk(text, first=not said)))
                if isinstance(item, Done):
                    return item
                said.append(item.text)
        raise EngineError("the engine ended an answer without saying why; ask again")

    @staticmethod
    async def _finish(attempt: Attempt, encoder: Encoder, answer: LocalAnswer) -> None:
        wire = attempt.wire
        await wire.write(encoder.feed(delta_chunk({}, answer.finish)))
        await wire.write(encoder.finish(answer.usage))
        await wire.end()

    async def _fail(self, attempt: Attempt, error: ModelBreederError, escalates: bool) -> str:
        """Record a failure; return it where another model may stand in, else raise it."""
        if escalates:
            why = attempt.mask_error(str(error))
            note = self.recorder.note(attempt.id, EvidenceType.FALLBACK, {"error": why})
            await self.recorder.record(attempt.outcome(Status.ESCALATED, error=why), *attempt.notes, note)
            return why
        with suppress(ModelBreederError):
            await self.recorder.record(attempt.outcome(Status.ERROR, error=str(error)), *attempt.notes)
        raise error

    async def _abandon(self, attempt: Attempt) -> None:
        status, why = attempt.abandonment
        if not attempt.ended:
            await self.recorder.record(attempt.outcome(status, error=why), *attempt.notes)

    async def _end(
        self,
        attempt: Attempt,
        status: Status,
        answer: LocalAnswer,
        *,
        verification: Json = None,
        error: str | None = None,
    ) -> None:
        outcome = self._outcome(attempt, status, answer, verification, error)
        await self.recorder.record(outcome, *attempt.notes)

    def _outcome(
        self, attempt: Attempt, status: Status, answer: LocalAnswer, verification: Json, error: str | None
    ) -> Outcome:
        routed = attempt.routed
        tokens = Usage(routed.envelope.estimated_tokens, estimate_tokens(answer.text), "estimate")
        cloud_cost = self.prices.cost(routed.cloud.target, tokens, attempt.intent.at_utc) if routed.cloud else None
        model, at = attempt.intent.decision.selected_model_or_stack, attempt.intent.at_utc
        response = completion(
            attempt.id, model, at, text=answer.text, finish=answer.finish, usage=answer.usage or tokens
        )
        return attempt.outcome(
            status,
            response=response,
            usage=answer.usage,
            cost_usd=0.0,
            cloud_cost_usd=cloud_cost,
            confidence=answer.confidence,
            verification=verification,
            error=error,
        )


def is_simple(attempt: Attempt) -> bool:
    """Say whether the specialist answers without an engine."""
    return attempt.specialist.kind in KINDS


def is_held(attempt: Attempt) -> bool:
    """Say whether an answer is held back until it is whole and judged."""
    if is_simple(attempt):
        return True
    return attempt.specialist.threshold > -math.inf or wants_json_object(attempt.routed.chat)


def weakness_of(answer: LocalAnswer, specialist: Specialist, body: JsonObject) -> str:
    """Say why an answer is weak, empty where it is not: there is none, or it is cut off, unsure, or not as asked."""
    if not answer.text.strip():
        return "no task like this was seen before" if specialist.kind is SpecialistKind.TABLE else "the answer is empty"
    limit = client_limit(body)
    if answer.finish == "length" and (limit is None or limit > specialist.max_tokens):
        return f"the answer ran into the specialist's limit of {specialist.max_tokens} tokens"
    confidence = answer.confidence
    if confidence is None or confidence < specialist.threshold:
        shown = "none" if confidence is None else f"{confidence:.3f}"
        return f"confidence {shown} is below the threshold {specialist.threshold:.3f}"
    return "" if not wants_json_object(body) or _is_object(answer.text) else "the answer is no JSON object"


def _text_chunk(text: str, *, first: bool) -> JsonObject:
    """Return a chunk of answer text; the first one names the role."""
    role: JsonObject = {"role": "assistant"} if first else {}
    return delta_chunk({**role, "content": text})


def _decoded(pieces: Sequence[str], done: Done) -> LocalAnswer:
    """Return what an engine decoded, with token counts by its own tokenizer and the mean log-probability."""
    return LocalAnswer(
        text="".join(pieces),
        usage=Usage(done.prompt_tokens, done.completion_tokens, "tokenizer"),
        confidence=None if math.isnan(done.mean_logprob) else done.mean_logprob,
        finish="length" if done.finish_reason is FinishReason.LENGTH else "stop",
    )


def _prompt(attempt: Attempt) -> Prompt:
    if attempt.routed.prompt is None:
        raise EngineError("a specialist was asked something other than one turn of text")
    return attempt.routed.prompt


def _stopped(text: str, stops: Sequence[str]) -> str:
    """Return the text up to the first of the texts at which it is to end."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def stop_texts(body: JsonObject) -> tuple[str, ...]:
    """Return the texts at which the client wants the answer to end."""
    stop = body.get("stop")
    texts = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return tuple(text for text in texts if isinstance(text, str) and text)


def _is_object(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _verification(attempt: Attempt, answer: LocalAnswer) -> Json:
    return {"json_object": _is_object(answer.text)} if wants_json_object(attempt.routed.chat) else None


def _detail(answer: LocalAnswer, specialist: Specialist, weakness: str) -> Json:
    threshold = specialist.threshold if math.isfinite(specialist.threshold) else None
    return {"why": weakness, "specialist": specialist.name, "confidence": answer.confidence, "threshold": threshold}
