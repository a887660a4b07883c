"""Ledger events as rows and back, one pair of functions per table.

An event has facts, which stay and can be queried, and a content, which may quote what people wrote and can be
erased: prompts, answers, corrections, comments, what a check, an error or a decision's reason says about them, and
what the client calls its session, its task and the model. Session and task are columns too, so that they are found; no
digest of the facts covers these, and they go with the content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import RowMapping, Table

from registry.chain import facts_digest
from registry.columns import Scalar, canonical_json, parse_json, utc_text, utc_time
from registry.entities import (
    Candidate,
    ContextCut,
    Event,
    EvidenceNote,
    EvidenceType,
    Feedback,
    FeedbackVerdict,
    Intent,
    Json,
    Lane,
    Outcome,
    Purpose,
    RouteDecision,
    Status,
    TaskEnvelope,
    Usage,
)
from registry.errors import DataError
from registry.tables import evidence, feedback, intents, outcomes

_SAID: dict[str, Json] = {"summary": "", "task_id": "", "session": None, "requested_model": ""}
"""What of an envelope is the client's own words, and what stands there once that is erased."""
_ENVELOPE_FACTS = tuple(field.name for field in fields(TaskEnvelope) if field.name not in _SAID)
_LOOKED_UP = ("session", "task_id")
_DIGEST_MARK = "2:"
"""Begins the digest of facts without `_LOOKED_UP`; the hash chain covers it, and older digests have none."""


class EventKind(StrEnum):
    """Which table holds an event's facts."""

    INTENT = "intent"
    OUTCOME = "outcome"
    FEEDBACK = "feedback"
    EVIDENCE = "evidence"

    @property
    def table(self) -> Table:
        """The table of its facts."""
        return {"intent": intents, "outcome": outcomes, "feedback": feedback, "evidence": evidence}[self.value]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event ready to be stored: the row of its own table, and its content as canonical JSON."""

    kind: EventKind
    event_id: str
    interaction_id: str
    at_utc: str
    facts: dict[str, Scalar]
    facts_digest: str
    body: str


def encode(event: Event, event_id: str) -> EventRow:
    """Return an event as rows.

    Raises:
        DataError: the event holds what JSON cannot, or a time without a zone.
    """
    try:
        kind, facts, content = _split(event)
        at_utc = utc_text(event.at_utc)
        facts |= {"event_id": event_id, "interaction_id": event.interaction_id, "at_utc": at_utc}
        digest, body = _DIGEST_MARK + facts_digest(_lasting(facts)), canonical_json(content)
        return EventRow(kind, event_id, event.interaction_id, at_utc, facts, digest, body)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{type(event).__name__} of interaction {event.interaction_id} cannot be recorded: {error}; "
            "pass aware times and values that JSON can hold"
        ) from error


def facts_agree(facts: Mapping[str, Scalar], digest: str, body: str | None) -> bool:
    """Say whether facts are those that were recorded; `body` is the event's content, None where it was erased.

    The digest of an intent of the older form covers what is erased with the content, so that nothing is known of its
    facts from then on.
    """
    looked_up = {name: facts[name] for name in _LOOKED_UP if name in facts}
    blank = looked_up == {"session": None, "task_id": ""}
    if not digest.startswith(_DIGEST_MARK):
        return facts_digest(facts) == digest or (body is None and blank)
    if _DIGEST_MARK + facts_digest(_lasting(facts)) != digest:
        return False
    if not looked_up or body is None:
        return blank or not looked_up
    said = parse_json(body)
    return looked_up == {name: said[name] for name in _LOOKED_UP}


def without_words(row: RowMapping) -> dict[str, Scalar]:
    """Return the columns of an intent that change when it is erased: nothing of the client's words stays."""
    blank: dict[str, Scalar] = {"session": None, "task_id": ""}
    envelope, decision = parse_json(row["envelope"]), parse_json(row["decision"])
    # Events of the older form have words there, which their digest covers; all others are to keep theirs.
    if not _SAID.keys().isdisjoint(envelope):
        blank["envelope"] = canonical_json({name: envelope[name] for name in envelope if name not in _SAID})
    if decision["local_reason"]:
        blank["decision"] = canonical_json(decision | {"local_reason": ""})
    return blank


def _lasting(facts: Mapping[str, Scalar]) -> dict[str, Scalar]:
    return {name: value for name, value in facts.items() if name not in _LOOKED_UP}


def _split(event: Event) -> tuple[EventKind, dict[str, Scalar], dict[str, Json]]:
    match event:
        case Intent():
            return EventKind.INTENT, _intent_facts(event), _intent_content(event)
        case Outcome():
            return EventKind.OUTCOME, _outcome_facts(event), _outcome_content(event)
        case Feedback():
            return EventKind.FEEDBACK, _feedback_facts(event), {"corrected": event.corrected, "comment": event.comment}
        case EvidenceNote():
            return EventKind.EVIDENCE, {"type": event.type.value}, {"detail": event.detail}


def _intent_facts(intent: Intent) -> dict[str, Scalar]:
    envelope, decision = intent.envelope, intent.decision
    return {
        "purpose": intent.purpose.value,
        "client": intent.client,
        "trust_tier": intent.trust_tier,
        "surface": intent.surface,
        "parent_id": intent.parent_id,
        "session": envelope.session,
        "task_id": envelope.task_id,
        "workflow": envelope.workflow,
        "data_class": envelope.data_class,
        "lane": decision.lane.value,
        "rule": decision.rule,
        "runtime": decision.selected_runtime,
        "model": decision.selected_model_or_stack,
        "policy_digest": decision.policy_digest,
        "envelope": canonical_json({name: getattr(envelope, name) for name in _ENVELOPE_FACTS}),
        "decision": canonical_json(replace(decision, local_reason="")),
        "redactions": canonical_json(dict(intent.redactions)),
    }


RAW = "request_raw"
"""Where the content of an intent has the unmasked request; `decode_intent` leaves it there."""


def _intent_content(intent: Intent) -> dict[str, Json]:
    return {
        **({RAW: intent.request_raw} if intent.request_raw is not None else {}),
        **{name: getattr(intent.envelope, name) for name in _SAID},
        "reason": intent.decision.local_reason,
        "request_received": intent.request_received,
        "request_sent": intent.request_sent,
    }


def _outcome_facts(outcome: Outcome) -> dict[str, Scalar]:
    usage = outcome.usage
    return {
        "status": outcome.status.value,
        "runtime": outcome.runtime,
        "model": outcome.model,
        "prompt_tokens": usage.prompt_tokens if usage else None,
        "completion_tokens": usage.completion_tokens if usage else None,
        "usage_source": usage.source if usage else None,
        "cost_usd": _real(outcome.cost_usd),
        "cloud_cost_usd": _real(outcome.cloud_cost_usd),
        "latency_ms": _real(outcome.latency_ms),
        "ttft_ms": _real(outcome.ttft_ms),
        "confidence": _real(outcome.confidence),
    }


def _outcome_content(outcome: Outcome) -> dict[str, Json]:
    return {"response": outcome.response, "verification": outcome.verification, "error": outcome.error}


def _feedback_facts(given: Feedback) -> dict[str, Scalar]:
    return {"verdict": given.verdict.value, "score": _real(given.score), "client": given.client}


def _real(value: float | None) -> float | None:
    """Return what the database will give back: a float, or NULL for what is no number."""
    return None if value is None or value != value else float(value)  # noqa: PLR0124  NaN alone differs from itself


def decode_intent(row: RowMapping) -> Intent:
    """Return the intent of a row joined with its content; erased content reads as None."""
    content = _content(row)
    return Intent(
        interaction_id=row["interaction_id"],
        at_utc=utc_time(row["at_utc"]),
        purpose=Purpose(row["purpose"]),
        envelope=_envelope(parse_json(row["envelope"]), content),
        decision=_decision(parse_json(row["decision"]), content),
        request_received=content.get("request_received"),
        request_sent=content.get("request_sent"),
        client=row["client"],
        trust_tier=row["trust_tier"],
        surface=row["surface"],
        parent_id=row["parent_id"],
        redactions=parse_json(row["redactions"]),
    )


def decode_outcome(row: RowMapping) -> Outcome:
    """Return the outcome of a row joined with its content; erased content reads as None."""
    content = _content(row)
    source = row["usage_source"]
    return Outcome(
        interaction_id=row["interaction_id"],
        at_utc=utc_time(row["at_utc"]),
        status=Status(row["status"]),
        runtime=row["runtime"],
        model=row["model"],
        response=content.get("response"),
        usage=Usage(row["prompt_tokens"], row["completion_tokens"], source) if source else None,
        cost_usd=row["cost_usd"],
        cloud_cost_usd=row["cloud_cost_usd"],
        latency_ms=row["latency_ms"],
        ttft_ms=row["ttft_ms"],
        confidence=row["confidence"],
        verification=content.get("verification"),
        error=content.get("error"),
    )


def decode_feedback(row: RowMapping) -> Feedback:
    """Return the feedback of a row joined with its content; erased content reads as None."""
    content = _content(row)
    return Feedback(
        interaction_id=row["interaction_id"],
        at_utc=utc_time(row["at_utc"]),
        verdict=FeedbackVerdict(row["verdict"]),
        corrected=content.get("corrected"),
        score=row["score"],
        comment=content.get("comment"),
        client=row["client"],
    )


def decode_evidence(row: RowMapping) -> EvidenceNote:
    """Return the evidence of a row joined with its content; erased content reads as None."""
    return EvidenceNote(
        interaction_id=row["interaction_id"],
        at_utc=utc_time(row["at_utc"]),
        type=EvidenceType(row["type"]),
        detail=_content(row).get("detail"),
    )


def _envelope(facts: dict[str, Any], content: dict[str, Any]) -> TaskEnvelope:
    lane, said = facts["requested_lane"], {name: content[name] for name in _SAID if name in content}
    return TaskEnvelope(**_SAID | facts | said | {"requested_lane": Lane(lane) if lane else None})


def _decision(facts: dict[str, Any], content: dict[str, Any]) -> RouteDecision:
    values = facts | {"local_reason": content.get("reason", facts["local_reason"])}
    candidates = tuple(Candidate(**each | {"lane": Lane(each["lane"])}) for each in values["candidates"])
    typed = {
        "lane": Lane(values["lane"]),
        "candidates": candidates,
        "route_created_at_utc": datetime.fromisoformat(values["route_created_at_utc"]),
        "context": ContextCut(**values["context"]) if values.get("context") else None,
    }
    return RouteDecision(**values | typed)


def _content(row: RowMapping) -> dict[str, Any]:
    return parse_json(row["body"]) if row["body"] is not None else {}
