"""Serves a request from a specialist: masked text in, values put back, weak answers held back and handed on.

How much of a streamed answer is held back until it is judged, the policy says. A simple rung answers at once and
without an engine.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace

from registry.entities import EvidenceType, Status, Usage
from registry.errors import ArtifactError, EngineError, ModelBreederError
from router.assessment import (
    findings_of,
    flaw_of,
    is_better,
    uncheckable,
    verifies,
    within_deadline,
)
from router.attempts import Attempt
from router.engine.protocol import Done, FinishReason, Piece
from router.engines import EnginePool
from router.envelope import estimate_tokens
from router.exchange import CutStreamError
from router.fitness import client_limit
from router.local_answer import (
    HandedOn,
    LocalAnswer,
    decoded,
    is_simple,
    outcome_of,
    prompt_of,
    restored,
    shortcoming_of,
    stop_texts,
    stopped,
    unsure_of,
    weak_detail,
    weakness_of,
)
from router.local_stream import LocalStream, end_stream, give
from router.mending import mending_grammar
from router.pricing import Prices
from router.problems import DeadlineError, UnservedError, problem_of
from router.recording import Recorder
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

    async def serve(self, attempt: Attempt, *, escalates: bool) -> HandedOn | None:
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
            why = await uncheckable(attempt) if escalates else ""
            if why:
                raise UnservedError(why)
            answer = await (self._look_up(attempt, escalates) if is_simple(attempt) else self._decode(attempt))
            return await self._judge(attempt, answer, escalates)
        except asyncio.CancelledError:
            await self._abandon(attempt)
            raise
        except DeadlineError as error:
            # Nobody else has time left either.
            return await self._fail(attempt, error, escalates=False)
        except (EngineError, ArtifactError) as error:
            return await self._fail(attempt, error, escalates)

    async def stand_in(self, attempt: Attempt, held: LocalAnswer | None = None) -> None:
        """Give an answer, sure or not, as nobody else can be asked: one that was held before, or one made now.

        Raises:
            EngineError: there is none, it is not as it should be, or that cannot be known in time: it is not given.
            ArtifactError: the specialist's file cannot be used.

        """
        flaw = ""
        try:
            await self.recorder.record(attempt.intent)
            flaw = await self._stand_in(attempt, held)
        except asyncio.CancelledError:
            await self._abandon(attempt)
            raise
        except (EngineError, ArtifactError) as error:
            await self._fail(attempt, error, escalates=False)
        if flaw:
            raise EngineError(_not_given(flaw))

    async def _stand_in(self, attempt: Attempt, held: LocalAnswer | None) -> str:
        """Give an answer; or record why it is not given, and say so."""
        answer, findings = await self._checked(attempt, held)
        counted = held is None
        if flaw := shortcoming_of(answer, attempt.specialist, attempt.routed.chat) or flaw_of(findings):
            await self._end(attempt, Status.ERROR, answer, flaw, findings, _not_given(flaw), counted=counted)
            return flaw
        weakness = unsure_of(answer.confidence, attempt.specialist)
        await self._end(attempt, Status.OK, answer, weakness, findings, counted=counted)
        await give(attempt, answer, weakness)
        return ""

    async def _checked(self, attempt: Attempt, held: LocalAnswer | None) -> tuple[LocalAnswer, tuple[Finding, ...]]:
        """Return an answer and what is found of it; nothing is looked for in one that is empty or was cut off."""
        made = held or await (self._look_up(attempt, False) if is_simple(attempt) else self._decode(attempt))
        if shortcoming_of(made, attempt.specialist, attempt.routed.chat):
            return made, ()
        return await self._verified(attempt, made)

    def _hold(self, attempt: Attempt) -> Hold:
        """Return how much is held back; without a threshold or anything to verify there is nothing to wait for."""
        if is_simple(attempt):
            return Hold(None)
        judged = attempt.specialist.threshold > -math.inf or verifies(attempt)
        return attempt.routed.rulebook.judge.hold if judged else Hold(0)

    async def _decode(self, attempt: Attempt, grammar: str = "") -> LocalAnswer:
        pieces: list[str] = []
        async with within_deadline(attempt), aclosing(self._pieces(attempt, grammar)) as answer:
            async for item in answer:
                if isinstance(item, Done):
                    return decoded(pieces, item)
                pieces.append(item.text)
        raise EngineError("the engine ended an answer without saying why; ask again")

    async def _look_up(self, attempt: Attempt, escalates: bool) -> LocalAnswer:
        """Ask a simple rung; the client's limit on tokens saves nothing here, so it cuts nothing off."""
        specialist, body = attempt.specialist, attempt.routed.chat
        async with within_deadline(attempt):
            answer = await self.rungs.answer(specialist, prompt_of(attempt))
        attempt.saw_token()
        if math.isinf(answer.confidence) and not escalates:
            raise UnservedError(f"{specialist.name} does not know this task, and no other model may take it; ask anew")
        text = stopped(answer.text, stop_texts(body))
        usage = Usage(attempt.routed.envelope.estimated_tokens, estimate_tokens(text), "estimate")
        return LocalAnswer(text, usage, None if math.isinf(answer.confidence) else answer.confidence)

    async def _pieces(self, attempt: Attempt, grammar: str = "") -> AsyncGenerator[Piece | Done, None]:
        prompt, specialist, body = prompt_of(attempt), attempt.specialist, attempt.routed.chat
        limit = min(specialist.max_tokens, client_limit(body) or specialist.max_tokens)
        async with aclosing(self.engines.answer(specialist, prompt, limit, stop_texts(body), grammar)) as answer:
            async for item in answer:
                attempt.saw_token()
                if isinstance(item, Done) and item.finish_reason in (FinishReason.ERROR, FinishReason.CANCELLED):
                    raise EngineError(f"the engine broke off its answer ({item.finish_reason}); ask again")
                yield item

    async def _judge(self, attempt: Attempt, answer: LocalAnswer, escalates: bool) -> HandedOn | None:
        """Give a held answer, or hand a weak one on."""
        shortcoming = shortcoming_of(answer, attempt.specialist, attempt.routed.chat)
        unsure = "" if shortcoming else unsure_of(answer.confidence, attempt.specialist)
        weakness = shortcoming or unsure
        findings: tuple[Finding, ...] = ()
        if not weakness:
            answer, findings = await self._verified(attempt, answer)
            weakness = flaw_of(findings)
        hands_on = bool(weakness) and escalates
        await self._end(attempt, Status.ESCALATED if hands_on else Status.OK, answer, weakness, findings)
        if hands_on:
            return HandedOn(weakness, answer if unsure else None)
        await give(attempt, answer, weakness)
        return None

    async def _verified(self, attempt: Attempt, answer: LocalAnswer) -> tuple[LocalAnswer, tuple[Finding, ...]]:
        """Verify an answer; one of the wrong form is decoded once more, under the grammar of the form asked for.

        What is no better then is not taken.
        """
        findings = await self._findings(attempt, answer)
        grammar = "" if is_simple(attempt) else mending_grammar(attempt.routed.chat, findings)
        if not grammar:
            return answer, findings
        try:
            mended = await self._decode(attempt, grammar)
        except DeadlineError:
            raise
        except (EngineError, ArtifactError):
            return answer, findings
        if weakness_of(mended, attempt.specialist, attempt.routed.chat):
            return answer, findings
        again = await self._findings(attempt, mended)
        return (mended, again) if is_better(again, findings) else (answer, findings)

    async def _findings(self, attempt: Attempt, answer: LocalAnswer) -> tuple[Finding, ...]:
        return await findings_of(attempt, Reply(restored(attempt, answer.text)))

    async def _live(self, attempt: Attempt, hold: Hold, escalates: bool) -> HandedOn | None:
        """Stream an answer as it is decoded, once as much of it as the policy holds back has been judged."""
        incoming = attempt.routed.incoming
        said = LocalStream(attempt, hold, incoming.dialect.encoder(attempt.facts, incoming.request))
        try:
            async with within_deadline(attempt):
                done = await self._speak(said, escalates)
        except (EngineError, ArtifactError) as error:
            if not said.begun:
                raise
            await attempt.wire.write(incoming.dialect.error_frame(problem_of(error)))
            await self._end(attempt, Status.TRUNCATED, LocalAnswer("".join(said.pieces)), error=str(error))
            raise CutStreamError(str(error)) from error
        if done is None:
            await self._end(attempt, Status.ESCALATED, said.answer, said.weakness)
            return HandedOn(said.weakness, begun=True)
        answer = decoded(said.pieces, done)
        if not said.begun:
            return await self._judge(attempt, answer, escalates)
        try:
            findings = await self._findings(attempt, answer)
        except DeadlineError:
            # All of it is said; what is missing is evidence.
            findings = ()
        weakness = weakness_of(answer, attempt.specialist, attempt.routed.chat) or flaw_of(findings)
        await self._end(attempt, Status.OK, answer, weakness, findings)
        await end_stream(attempt.wire, said.encoder, answer)
        return None

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

    async def _fail(self, attempt: Attempt, error: ModelBreederError, escalates: bool) -> HandedOn:
        """Record a failure; return it where another model may stand in, else raise it."""
        if escalates:
            why = attempt.mask_error(str(error))
            note = self.recorder.note(attempt.id, EvidenceType.FALLBACK, {"error": why})
            await self.recorder.record(attempt.outcome(Status.ESCALATED, error=why), *attempt.notes, note)
            return HandedOn(why)
        if not attempt.ended:
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
        *,
        counted: bool = True,
    ) -> None:
        """Record how an attempt ended; the tokens of an answer that an earlier one had made are not `counted` again."""
        if weakness:
            note = self.recorder.note(attempt.id, EvidenceType.WEAK_ANSWER, weak_detail(answer, attempt, weakness))
            attempt.notes = (*attempt.notes, note)
        verification = findings_json(findings) if findings else None
        outcome = outcome_of(attempt, status, answer, self.prices, verification=verification, error=error)
        outcome = outcome if counted else replace(outcome, usage=None, cloud_cost_usd=None)
        await self.recorder.record(outcome, *attempt.notes)


def _not_given(flaw: str) -> str:
    return f"the local answer is not given: {flaw}"
