"""Which requests leave with the least context that serves: those that policy, and not the client, sends to a cloud."""

from __future__ import annotations

from registry.entities import Lane, RouteDecision
from router.chat import JsonObject
from router.minimum_context import Context, minimum_context
from router.naming import Place
from router.offers import PolicyInput

_CONVERSATIONS = frozenset({"openai.chat", "openai.responses", "anthropic.messages"})


def least_context(
    surface: str, body: JsonObject, given: PolicyInput, decision: RouteDecision, place: Place
) -> Context | None:
    """Return a request less what its task does not need, None where it leaves whole, or not at all.

    Args:
        surface: the dialect of the request; what is embedded or completed has no context beside itself.
        body: the masked request in that dialect.
        given: what policy decided by.
        decision: where it goes, and what may follow.
        place: what its model name asks for.

    """
    policy, cloud = given.settings, given.cloud
    if policy.minimum_context == "off" or surface not in _CONVERSATIONS or cloud is None or cloud.private:
        return None
    leaves = decision.lane is Lane.CLOUD_ESCALATION or decision.fallback_target == cloud.target.name
    if not leaves or given.envelope.requested_lane is Lane.CLOUD_ESCALATION:
        return None
    # A tool that names a vendor's model expects its bytes to arrive; an agent looks after its context itself.
    if policy.minimum_context == "unnamed" and (given.uses_tools or not place.leaves_choice):
        return None
    return minimum_context(body, policy.max_context_tokens, policy.keep_turns)
