"""Serves a request from a specialist: masked text in, values put back, weak answers held back and handed on.

How much of a streamed answer is held back until it is judged, the policy says. A simple rung answers at once and
without an engine.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

import orjson

from registry.entities import EvidenceType, Json, Outcome, Status, Usage
from registry.errors import ArtifactError, EngineError, ModelBreederError
from registry.prompting import Prompt
from router.attempts import Attempt
from router.chat import completion, delta_chunk
from router.dialects.protocol import Encoder
from router.engine.protocol import Done, FinishReason, Piece
from router.engines import EnginePool
from router.envelope import estimate_tokens
from router.exchange import CutStreamError
from router.fitness import client_limit
from router.judging import HELD_HEADER, flaw_of, weak_header
from router.local_answer import LocalAnswer, decoded, restored, stop_texts, stopped, weak_detail, weakness_of
from router.local_stream import LocalStream, text_chunk
from router.mending import mending_grammar
from router.pricing import Prices
from router.problems import UnservedError, problem_of
from router.recording import Recorder
from router.rungs import KINDS
from router.rungs.shelf import RungShelf
from router.verifying.finding import Finding, Reply, findings_json
from router.verifying.holding import Hold


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
        try:
            await self.recorder.record(attempt.intent)
            hold = self._hold(attempt)
            if attempt.routed.incoming.request.stream and hold.tokens is not None:
                return await self._live(attempt, hold, escalates)
            answer = await (self._look_up(attempt, escalates) if is_simple(attempt) else self._decode(attempt))
            return await self._judge(attempt, answer, escalates)
        except asyncio.CancelledError:
            await self._abandon(attempt)
            raise
        except (EngineError, ArtifactError) as error:
            return await self._fail(attempt, error, escalates)

    def _hold(self, attempt: Attempt) -> Hold:
        """Return how much is held back; without a threshold or anything to verify there is nothing to wait for."""
        if is_simple(attempt):
            return Hold(None)
        judge = attempt.routed.rulebook.judge
        judged = attempt.specialist.threshold > -math.inf or judge.verifies(attempt)
        return judge.hold if judged else Hold(0)

    async def _decode(self, attempt: Attempt, grammar: str = "") -> LocalAnswer:
        pieces: list[str] = []
        async with aclosing(self._pieces(attempt, grammar)) as answer:
            async for item in answer:
                if isinstance(item, Done):
                    return decoded(pieces, item)
                pieces.append(item.text)
        raise EngineError("the engine ended an answer without saying why; ask again")

    async def _look_up(self, attempt: Attempt, escalates: bool) -> LocalAnswer:
        """Ask a simple rung; the client's limit on tokens saves nothing here, so it cuts nothing off."""
        specialist, body = attempt.specialist, attempt.routed.chat
        answer = await self.rungs.answer(specialist, _prompt(attempt))
        attempt.saw_token()
        if math.isinf(answer.confidence) and not escalates:
            raise UnservedError(f"{specialist.name} does not know this task, and no other model may take it; ask anew")
        text = stopped(answer.text, stop_texts(body))
        usage = Usage(attempt.routed.envelope.estimated_tokens, estimate_tokens(text), "estimate")
        return LocalAnswer(text, usage, None if math.isinf(answer.confidence) else answer.confidence)

    async def _pieces(self, attempt: Attempt, grammar: str = "") -> AsyncGenerator[Piece | Done, None]:
        prompt, specialist, body = _prompt(attempt), attempt.specialist, attempt.routed.chat
        limit = min(specialist.max_tokens, client_limit(body) or specialist.max_tokens)
        async with aclosing(self.engines.answer(specialist, prompt, limit, stop_texts(body), grammar)) as answer:
            async for item in answer:
                attempt.saw_token()
                if isinstance(item, Done) and item.finish_reason in (FinishReason.ERROR, FinishReason.CANCELLED):
                    raise EngineError(f"the engine broke off its answer ({item.finish_reason}); ask again")
                yield item

    async def _judge(self, attempt: Attempt, answer: LocalAnswer, escalates: bool) -> str:
        """Give a held answer, or hand a weak one on."""
        weakness = weakness_of(answer, attempt.specialist, attempt.routed.chat)
        findings: tuple[Finding, ...] = ()
        if not weakness:
            answer, findings = await self._verified(attempt, answer)
            weakness = flaw_of(findings)
        hands_on = bool(weakness) and escalates
        await self._end(attempt, Status.ESCALATED if hands_on else Status.OK, answer, weakness, findings)
        if hands_on:
            return weakness
        await self._give(attempt, answer, weakness)
        return ""

    async def _verified(self, attempt: Attempt, answer: LocalAnswer) -> tuple[LocalAnswer, tuple[Finding, ...]]:
        """Verify an answer; one of the wrong form is decoded once more, under the grammar of the form asked for."""
        findings = await self._findings(attempt, answer)
        grammar = "" if is_simple(attempt) else mending_grammar(attempt.routed.chat, findings)
        if not grammar:
            return answer, findings
        try:
            mended = await self._decode(attempt, grammar)
        except (EngineError, ArtifactError):
            return answer, findings
        if weakness_of(mended, attempt.specialist, attempt.routed.chat):
            return answer, findings
        return mended, (*findings[:-1], *await self._findings(attempt, mended))

    async def _findings(self, attempt: Attempt, answer: LocalAnswer) -> tuple[Finding, ...]:
        return await attempt.routed.rulebook.judge.findings(attempt, Reply(restored(attempt, answer.text)))

    async def _give(self, attempt: Attempt, answer: LocalAnswer, weakness: str) -> None:
        incoming, wire = attempt.routed.incoming, attempt.wire
        request, dialect = incoming.request, incoming.dialect
        usage = answer.usage or Usage(0, 0, "tokenizer")
        text = restored(attempt, answer.text)
        headers = {**attempt.headers, HELD_HEADER: "answer", **weak_header(weakness)}
        if not request.stream:
            at, finish = attempt.intent.at_utc, answer.finish
            whole = completion(attempt.id, request.model, at, text=text, finish=finish, usage=usage)
            await wire.answer(headers, orjson.dumps(dialect.answer_from_chat(whole, attempt.facts, request.body)))
            return
        await wire.begin(headers)
        encoder = dialect.encoder(attempt.facts, request)
        await wire.write(encoder.feed(text_chunk(text, first=True)))
        await self._finish(attempt, encoder, answer)

    async def _live(self, attempt: Attempt, hold: Hold, escalates: bool) -> str:
        """Stream an answer as it is decoded, once as much of it as the policy holds back has been judged."""
        incoming = attempt.routed.incoming
        said = LocalStream(attempt, hold, incoming.dialect.encoder(attempt.facts, incoming.request))
        try:
            done = await self._speak(said, escalates)
        except (EngineError, ArtifactError) as error:
            if not said.begun:
                raise
            await attempt.wire.write(incoming.dialect.error_frame(problem_of(error)))
            await self._end(attempt, Status.TRUNCATED, LocalAnswer("".join(said.pieces)), error=str(error))
            raise CutStreamError(str(error)) from error
        if done is None:
            await self._end(attempt, Status.ESCALATED, said.answer, said.weakness)
            return said.weakness
        answer = decoded(said.pieces, done)
        if not said.begun:
            return await self._judge(attempt, answer, escalates)
        findings = await self._findings(attempt, answer)
        weakness = weakness_of(answer, attempt.specialist, attempt.routed.chat) or flaw_of(findings)
        await self._end(attempt, Status.OK, answer, weakness, findings)
        await self._finish(attempt, said.encoder, answer)
        return ""

    async def _speak(self, said: LocalStream, escalates: bool) -> Done | None:
        """Write pieces as they come; None where the beginning is weak and another model may answer."""
        async with aclosing(self._pieces(said.attempt)) as answer:
            async for item in answer:
                if isinstance(item, Done):
                    await said.finish()
                    return item
                await said.feed(item)
                if said.weakness and escalates:
                    return None
                if said.weakness:
                    await said.release()
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
        weakness: str = "",
        findings: Sequence[Finding] = (),
        error: str | None = None,
    ) -> None:
        if weakness:
            note = self.recorder.note(attempt.id, EvidenceType.WEAK_ANSWER, weak_detail(answer, attempt, weakness))
            attempt.notes = (*attempt.notes, note)
        outcome = self._outcome(attempt, status, answer, findings_json(findings) if findings else None, error)
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


def _prompt(attempt: Attempt) -> Prompt:
    if attempt.routed.prompt is None:
        raise EngineError("a specialist was asked something other than one turn of text")
    return attempt.routed.prompt
