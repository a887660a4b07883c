"""What the ledger keeps of a request that could not be inspected: that it came, and why it went nowhere; no content."""

from __future__ import annotations

from datetime import datetime

from registry.entities import Intent, Lane, Outcome, Purpose, RouteDecision, Status, TaskEnvelope
from registry.errors import RedactionError
from router.exchange import Incoming
from router.policy import HUMAN_REVIEW, NOBODY

RULE = "redaction-failed"


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
    decision = RouteDecision(
        lane=Lane.NO_OP,
        selected_runtime=NOBODY,
        selected_model_or_stack=NOBODY,
        local_reason=str(error),
        rule=RULE,
        redaction_required=True,
        evidence_required=False,
        fallback_target=HUMAN_REVIEW,
        candidates=(),
        policy_digest=policy_digest,
        route_created_at_utc=now,
    )
    intent = Intent(
        interaction_id,
        now,
        purpose,
        envelope,
        decision,
        request_received=None,
        request_sent=None,
        client=incoming.client.name,
        trust_tier=incoming.client.trust_tier,
        surface=incoming.dialect.surface,
    )
    return intent, Outcome(interaction_id, now, Status.REFUSED, NOBODY, NOBODY, response=None, error=str(error))
