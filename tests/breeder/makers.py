"""Interactions, rows and datasets for the breeder's tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from breeder.mining import Mined, Row, Tier
from registry.entities import (
    Feedback,
    FeedbackVerdict,
    Intent,
    Interaction,
    Lane,
    Outcome,
    Purpose,
    RouteDecision,
    Status,
    TaskEnvelope,
)
from registry.prompting import Prompt

START = datetime(2026, 1, 1, tzinfo=UTC)


def decision(lane: Lane = Lane.CLOUD_ESCALATION) -> RouteDecision:
    return RouteDecision(
        lane=lane,
        selected_runtime="cloud",
        selected_model_or_stack="big",
        local_reason="",
        rule="test",
        redaction_required=True,
        evidence_required=False,
        fallback_target=None,
        candidates=(),
        policy_digest="d",
        route_created_at_utc=START,
    )


def interaction(
    number: int,
    prompt: str = "",
    answer: str | None = "yes",
    *,
    lane: Lane = Lane.CLOUD_ESCALATION,
    status: Status = Status.OK,
    verdict: FeedbackVerdict | None = None,
    corrected: str | None = None,
    messages: list[dict[str, object]] | None = None,
) -> Interaction:
    at = START + timedelta(seconds=number)
    identity = f"i{number:05}"
    body = {"messages": messages or [{"role": "user", "content": prompt or f"Task:\n{number}"}]}
    response = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
    return Interaction(
        Intent(identity, at, Purpose.USER, TaskEnvelope("t", "s", "w"), decision(lane), body, body),
        Outcome(identity, at, status, "cloud", "big", response),
        Feedback(identity, at, verdict, corrected) if verdict else None,
    )


def row(number: int, prompt: str | None = None, answer: str | None = None, tier: Tier = Tier.CLOUD) -> Row:
    return Row(
        interaction_id=f"i{number:05}",
        at_utc=START + timedelta(seconds=number),
        prompt=Prompt("", prompt or f"Say the number twice.\nNumber: {number}\nAnswer:"),
        answer=answer or f"{number} {number}",
        tier=tier,
        session=None,
        client="local",
        trust_tier="user",
    )


def mined(count: int) -> Mined:
    return Mined(tuple(row(number) for number in range(count)), {"rejected by the user": 2})
