"""What the ledger keeps of a request that nobody could look into: that it came, and why it was refused; no content."""

from __future__ import annotations

from datetime import datetime

from registry.entities import Intent, Lane, Outcome, Purpose, RouteDecision, Status, TaskEnvelope
from registry.errors import RedactionError
from router.exchange import Incoming
from router.policy import HUMAN_REVIEW, NOBODY

RULE = "redaction-failed"


def unseen_decision(
    failed: RedactionError,
    now: datetime,
    policy_digest: str,
    lane: Lane = Lane.NO_OP,
    runtime: str = NOBODY,
    model: str = NOBODY,
) -> RouteDecision:
    """Return the decision on a request that nobody could look into: refused, where no other lane is given."""
    return RouteDecision(
        lane=lane,
        selected_runtime=runtime,
        selected_model_or_stack=model,
        local_reason=str(failed),
        rule=RULE,
        redaction_required=True,
        evidence_required=False,
        fallback_target=HUMAN_REVIEW,
        candidates=(),
        policy_digest=policy_digest,
        route_created_at_utc=now,
    )


def unreadable(
    incoming: Incoming,
    error: RedactionError,
    *,
    interaction_id: str,
    now: datetime,
    purpose: Purpose,
    policy_digest: str,
) -> tuple[Intent, Outcome]:
    """Return the two events of such a request."""
    envelope = TaskEnvelope(
        task_id=incoming.hints.task_id or interaction_id,
        summary="",
        workflow=incoming.hints.workflow,
        data_class=incoming.hints.data_class or "unknown",
        requested_model=incoming.request.model,
        session=incoming.hints.session,
    )
    intent = Intent(
        interaction_id,
        now,
        purpose,
        envelope,
        unseen_decision(error, now, policy_digest),
        request_received=None,
        request_sent=None,
        client=incoming.client.name,
        trust_tier=incoming.client.trust_tier,
        surface=incoming.dialect.surface,
    )
    return intent, Outcome(interaction_id, now, Status.REFUSED, NOBODY, NOBODY, response=None, error=str(error))
