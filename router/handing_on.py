"""Decisions that follow from others: a model failed or cannot be asked, so another one is, or nobody. Pure."""

from __future__ import annotations

from dataclasses import replace

from registry.entities import Candidate, Lane, RouteDecision, Specialist, SpecialistKind
from registry.errors import ModelBreederError
from registry.settings import EMBEDDED
from router.naming import Target
from router.offers import BaseOffer
from router.policy import HUMAN_REVIEW, NOBODY
from router.routed import Routed
from router.upstream import UpstreamStatusError

WEAK_ANSWER_RULE = "weak-answer"
LOCAL_FAILED_RULE = "local-failed"
CLOUD_FAILED_RULE = "cloud-failed"
CLOUD_FALLBACK_RULE = "cloud-fallback"
UNTRANSLATABLE_RULE = "untranslatable"


def has_stand_in(routed: Routed) -> bool:
    """Say whether policy lets the specialist answer what the cloud fails to."""
    return routed.local is not None and routed.decision.fallback_target == routed.local.specialist.name


def base_behind_table(routed: Routed) -> BaseOffer | None:
    """Return the general base where it can serve what a table does not know."""
    if routed.local is None or routed.local.specialist.kind is not SpecialistKind.TABLE:
        return None
    return None if routed.base is None or routed.base.unfit else routed.base


def is_about_the_request(error: ModelBreederError) -> bool:
    """Say whether an upstream refused the request itself, which its client has to hear."""
    return isinstance(error, UpstreamStatusError) and error.is_about_the_request


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


def kept_unsure(decision: RouteDecision, specialist: Specialist, why: str) -> RouteDecision:
    """Return the decision to give a specialist's unsure answer, as nobody surer could be asked."""
    return stand_in(decision, specialist, f"the unsure local answer is given all the same: {why}")


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
