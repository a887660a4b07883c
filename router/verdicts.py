"""Feedback on interactions: a corrected answer is masked as its request was before it is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from registry.entities import EvidenceType, Feedback, FeedbackVerdict
from registry.ids import Clock
from registry.tokens import LOCAL_CLIENT
from router.masker_memory import MaskerMemory
from router.problems import InvalidRequestError
from router.recording import Recorder
from router.redaction.redactor import Redactor

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
    redactor: Callable[[], Redactor]
    """Gives the redactor of this moment."""
    memory: MaskerMemory
    clock: Clock

    async def give(self, body: FeedbackBody, client: str = LOCAL_CLIENT) -> Feedback:
        """Record a client's verdict durably and return it as kept, masked.

        Raises:
            NotFoundError: the ledger has no such interaction.
            RedactionError: a text could not be inspected.
            LedgerError: it could not be stored.

        """
        mask = self._mask_of(body.interaction)
        feedback = Feedback(
            interaction_id=body.interaction,
            at_utc=self.clock(),
            verdict=body.verdict,
            corrected=None if body.corrected is None else mask(body.corrected),
            score=body.score,
            comment=None if body.comment is None else mask(body.comment),
            client=client,
        )
        bad = body.verdict is not FeedbackVerdict.ACCEPTED
        note = self.recorder.note(body.interaction, EvidenceType.REJECTED, {"verdict": body.verdict.value})
        await self.recorder.record(feedback, *((note,) if bad else ()))
        return feedback

    def _mask_of(self, interaction_id: str) -> Callable[[str], str]:
        """Return how to mask: with the request's own placeholders, or alone where they are forgotten."""
        known = self.memory.recall(interaction_id)
        if known is None:
            return lambda text: str(self.redactor().redact({"text": text}).body["text"])
        return lambda text: str(known.mask_json(text))
