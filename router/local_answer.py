"""What a specialist said, and why it may be weak. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from registry.entities import Json, Outcome, Specialist, SpecialistKind, Status, Usage
from registry.errors import EngineError
from registry.prompting import Prompt
from router.attempts import Attempt
from router.chat import JsonObject, completion
from router.engine.protocol import Done, FinishReason
from router.envelope import estimate_tokens
from router.fitness import client_limit
from router.pricing import Prices
from router.rungs import KINDS


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a specialist said, masked; `finish` in OpenAI's words, `confidence` None where it has none."""

    text: str
    usage: Usage | None = None
    confidence: float | None = None
    finish: str = "stop"


@dataclass(frozen=True, slots=True)
class HandedOn:
    """A task that a specialist leaves to another model, and why; `unsure` where no more is wrong with its answer."""

    why: str
    unsure: LocalAnswer | None = None
    """Its whole answer, where it is unsure; None also where it was only begun."""
    begun: bool = False
    """Whether an unsure answer was begun and not made whole."""

    @property
    def is_unsure(self) -> bool:
        """Whether the specialist is unsure, and no more is known against its answer."""
        return self.begun or self.unsure is not None


def weakness_of(answer: LocalAnswer, specialist: Specialist, body: JsonObject) -> str:
    """Say why an answer is weak, empty where it is not: there is none, or it is cut off or unsure."""
    return shortcoming_of(answer, specialist, body) or unsure_of(answer.confidence, specialist)


def shortcoming_of(answer: LocalAnswer, specialist: Specialist, body: JsonObject) -> str:
    """Say why an answer is of no use however sure it is: there is none, or it is cut off."""
    if not answer.text.strip():
        return "no task like this was seen before" if specialist.kind is SpecialistKind.TABLE else "the answer is empty"
    limit = client_limit(body)
    if answer.finish == "length" and (limit is None or limit > specialist.max_tokens):
        return f"the answer ran into the specialist's limit of {specialist.max_tokens} tokens"
    return ""


def unsure_of(confidence: float | None, specialist: Specialist) -> str:
    """Say that an answer is not sure enough for its specialist, empty where it is."""
    if confidence is not None and confidence >= specialist.threshold:
        return ""
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


def is_simple(attempt: Attempt) -> bool:
    """Say whether the specialist answers without an engine."""
    return attempt.specialist.kind in KINDS


def prompt_of(attempt: Attempt) -> Prompt:
    """Return the one turn of text that a specialist is asked."""
    if attempt.routed.prompt is None:
        raise EngineError("a specialist was asked something other than one turn of text")
    return attempt.routed.prompt


def weak_detail(answer: LocalAnswer, attempt: Attempt, weakness: str) -> Json:
    """Return what evidence of a weak answer holds."""
    specialist = attempt.specialist
    threshold = specialist.threshold if math.isfinite(specialist.threshold) else None
    return {"why": weakness, "specialist": specialist.name, "confidence": answer.confidence, "threshold": threshold}


def outcome_of(
    attempt: Attempt,
    status: Status,
    answer: LocalAnswer,
    prices: Prices,
    *,
    verification: Json = None,
    error: str | None = None,
) -> Outcome:
    """Return how an attempt ended with an answer, and what the cloud would have cost for it."""
    routed, model, at = attempt.routed, attempt.intent.decision.selected_model_or_stack, attempt.intent.at_utc
    tokens = Usage(routed.envelope.estimated_tokens, estimate_tokens(answer.text), "estimate")
    usage = answer.usage or tokens
    return attempt.outcome(
        status,
        response=completion(attempt.id, model, at, text=answer.text, finish=answer.finish, usage=usage),
        usage=answer.usage,
        cost_usd=0.0,
        cloud_cost_usd=prices.cost(routed.cloud.target, tokens, at) if routed.cloud else None,
        confidence=answer.confidence,
        verification=verification,
        error=error,
    )
