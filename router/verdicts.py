"""Feedback on interactions: a corrected answer is masked as its request was before it is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from registry.entities import EvidenceType, Feedback, FeedbackVerdict, Interaction, Status
from registry.errors import ConflictError, RedactionError
from registry.ids import Clock
from registry.ledger import Ledger
from registry.ledger_reading import unknown
from registry.tokens import LOCAL_CLIENT
from router.inspection import Inspectors
from router.masker_memory import MaskerMemory
from router.problems import InvalidRequestError
from router.recording import Recorder
from router.redaction.redactor import RuleRedactor

MAX_TEXT = 1 << 20


class FeedbackBody(BaseModel):
    """The body of POST /v1/feedback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    interaction: str = Field(min_length=1, max_length=80)
    verdict: FeedbackVerdict
    corrected: str | None = Field(None, max_length=MAX_TEXT)
    score: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    comment: str | None = Field(None, max_length=MAX_TEXT)

    @model_validator(mode="after")
    def _correction_is_given(self) -> Self:
        if (self.verdict is FeedbackVerdict.CORRECTED) != (self.corrected is not None):
            raise ValueError("'corrected' holds the right answer exactly where verdict is 'corrected'")
        return self


def parse_feedback(raw: bytes) -> FeedbackBody:
    """Read a feedback body, else raise InvalidRequestError."""
    try:
        return FeedbackBody.model_validate_json(raw)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in problem["loc"]) or None
        raise InvalidRequestError(f"{path or 'the body'}: {problem['msg']}", path) from error


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Records what people say about answers."""

    recorder: Recorder
    ledger: Ledger
    redactor: Callable[[], RuleRedactor]
    """Gives the redactor of this moment."""
    inspectors: Inspectors
    memory: MaskerMemory
    clock: Clock
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One is masked at a time: a masker is for one thread, and requests need the other."""

    async def give(self, body: FeedbackBody, client: str = LOCAL_CLIENT, *, own_only: bool = False) -> Feedback:
        """Record a client's verdict durably and return it as kept, masked.

        Raises:
            NotFoundError: the ledger has no such interaction, or with `own_only` it is another client's.
            ConflictError: it has no answer that could be judged, or was forgotten.
            RedactionError: a text could not be inspected.
            LedgerError: it could not be stored.

        """
        found = await asyncio.to_thread(self.ledger.interaction, body.interaction)
        if own_only and found.intent.client != client:
            raise unknown(body.interaction)
        _require_answer(found)
        corrected, comment = await self._masked(body)
        if corrected is not None or comment is not None:
            # It may have been forgotten meanwhile, and what is said of it later would stay.
            _require_answer(await asyncio.to_thread(self.ledger.interaction, body.interaction))
        feedback = Feedback(
            interaction_id=body.interaction,
            at_utc=self.clock(),
            verdict=body.verdict,
            corrected=corrected,
            score=body.score,
            comment=comment,
            client=client,
        )
        bad = body.verdict is not FeedbackVerdict.ACCEPTED
        note = self.recorder.note(body.interaction, EvidenceType.REJECTED, {"verdict": body.verdict.value})
        await self.recorder.record(feedback, *((note,) if bad else ()))
        return feedback

    async def _masked(self, body: FeedbackBody) -> list[str | None]:
        texts, redactor = (body.corrected, body.comment), self.redactor()
        mask = self._mask_of(body.interaction, redactor)
        size = sum(len(text.encode(errors="replace")) for text in texts if text is not None)

        def masked() -> list[str | None]:
            return [None if text is None else mask(text) for text in texts]

        try:
            async with self.turn:
                return await self.inspectors.masked(redactor, masked, size)
        except RedactionError as error:
            raise RedactionError(f"the verdict is not recorded, as its text cannot be masked: {error}") from error

    def _mask_of(self, interaction_id: str, redactor: RuleRedactor) -> Callable[[str], str]:
        """Return how to mask: with the request's own placeholders, or alone where they are forgotten."""
        known = self.memory.recall(interaction_id)
        if known is None:
            return lambda text: str(redactor.redact({"text": text}).body["text"])
        return lambda text: str(known.mask_json(text))


def _require_answer(one: Interaction) -> None:
    """Raise ConflictError where there is nothing to judge; an answer under way may be judged before it has ended."""
    name, outcome = one.intent.interaction_id, one.outcome
    if one.erased:
        raise ConflictError(f"interaction {name} was forgotten; nothing more is recorded of it")
    if outcome is not None and outcome.response is None and outcome.status is not Status.OK:
        raise ConflictError(
            f"interaction {name} was not answered (its status is {outcome.status}), so there is nothing to judge; "
            "give feedback on the one that was"
        )
