"""Decisions that follow from others: a model failed or cannot be asked, so another one is, or nobody. Pure."""

from __future__ import annotations

from dataclasses import replace

from registry.entities import Candidate, Lane, RouteDecision, Specialist
from registry.settings import EMBEDDED
from router.naming import Target
from router.policy import HUMAN_REVIEW, NOBODY

WEAK_ANSWER_RULE = "weak-answer"
LOCAL_FAILED_RULE = "local-failed"
CLOUD_FAILED_RULE = "cloud-failed"
CLOUD_FALLBACK_RULE = "cloud-fallback"
UNTRANSLATABLE_RULE = "untranslatable"


def sent_nowhere(decision: RouteDecision) -> RouteDecision:
    """Return the decision on a request that cannot be said to the model that was chosen for it."""
    return replace(
        decision,
        lane=Lane.NO_OP,
        selected_runtime=NOBODY,
        selected_model_or_stack=NOBODY,
        rule=UNTRANSLATABLE_RULE,
        local_reason=f"{decision.selected_model_or_stack} speaks a dialect that has no words for it",
        fallback_target=HUMAN_REVIEW,
    )


def stand_in(decision: RouteDecision, specialist: Specialist, why: str) -> RouteDecision:
    """Return the decision to let a specialist answer what the cloud failed to."""
    return replace(
        decision,
        lane=Lane.LOCAL_FAST,
        selected_runtime=EMBEDDED,
        selected_model_or_stack=specialist.name,
        rule=CLOUD_FAILED_RULE,
        local_reason=why,
        fallback_target=HUMAN_REVIEW,
    )


def escalated(decision: RouteDecision, target: Target, rule: str, why: str) -> RouteDecision:
    """Return the decision to let a cloud model answer what its first choice did not."""
    sent_on = handed_on(decision, target, rule, why)
    return replace(sent_on, lane=Lane.CLOUD_ESCALATION, redaction_required=True, evidence_required=True)


def handed_on(decision: RouteDecision, target: Target, rule: str, why: str) -> RouteDecision:
    """Return the decision to let an upstream's model answer, in the same lane, what its first choice did not."""
    return replace(
        decision,
        selected_runtime=target.upstream,
        selected_model_or_stack=target.name,
        rule=rule,
        local_reason=why,
        fallback_target=HUMAN_REVIEW,
        candidates=tuple(_judged(candidate, target, why) for candidate in decision.candidates),
    )


def _judged(candidate: Candidate, target: Target, why: str) -> Candidate:
    return replace(candidate, why_not="" if candidate.model == target.name else candidate.why_not or why)
