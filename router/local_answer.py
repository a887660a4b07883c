"""What a specialist said, and why it may be weak. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from registry.entities import Json, Specialist, SpecialistKind, Usage
from router.attempts import Attempt
from router.chat import JsonObject
from router.engine.protocol import Done, FinishReason
from router.fitness import client_limit


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a specialist said, masked; `finish` in OpenAI's words, `confidence` None where it has none."""

    text: str
    usage: Usage | None = None
    confidence: float | None = None
    finish: str = "stop"


def weakness_of(answer: LocalAnswer, specialist: Specialist, body: JsonObject) -> str:
    """Say why an answer is weak, empty where it is not: there is none, or it is cut off, unsure, or not as asked."""
    if not answer.text.strip():
        return "no task like this was seen before" if specialist.kind is SpecialistKind.TABLE else "the answer is empty"
    limit = client_limit(body)
    if answer.finish == "length" and (limit is None or limit > specialist.max_tokens):
        return f"the answer ran into the specialist's limit of {specialist.max_tokens} tokens"
    is_unsure = answer.confidence is None or answer.confidence < specialist.threshold
    return unsure_of(answer.confidence, specialist) if is_unsure else ""


def unsure_of(confidence: float | None, specialist: Specialist) -> str:
    """Say that an answer is not sure enough for its specialist."""
    shown = "none" if confidence is None else f"{confidence:.3f}"
    return f"confidence {shown} is below the threshold {specialist.threshold:.3f}"


def decoded(pieces: Sequence[str], done: Done) -> LocalAnswer:
    """Return what an engine decoded, with token counts by its own tokenizer and the mean log-probability."""
    return LocalAnswer(
        text="".join(pieces),
        usage=Usage(done.prompt_tokens, done.completion_tokens, "tokenizer"),
        confidence=None if math.isnan(done.mean_logprob) else done.mean_logprob,
        finish="length" if done.finish_reason is FinishReason.LENGTH else "stop",
    )


def stopped(text: str, stops: Sequence[str]) -> str:
    """Return the text up to the first of the texts at which it is to end."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


def stop_texts(body: JsonObject) -> tuple[str, ...]:
    """Return the texts at which the client wants the answer to end."""
    stop = body.get("stop")
    texts = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    return tuple(text for text in texts if isinstance(text, str) and text)


def restored(attempt: Attempt, text: str) -> str:
    """Return a masked answer with the real values."""
    return str(attempt.routed.redaction.masker.restore_json(text))


def weak_detail(answer: LocalAnswer, attempt: Attempt, weakness: str) -> Json:
    """Return what evidence of a weak answer holds."""
    specialist = attempt.specialist
    threshold = specialist.threshold if math.isfinite(specialist.threshold) else None
    return {"why": weakness, "specialist": specialist.name, "confidence": answer.confidence, "threshold": threshold}
