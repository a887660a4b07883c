"""What another policy would have done with recorded tasks: decided again by the same rules, counted, priced.

Reads what it is given and sends nothing. Specialists are today's; a task's features are those that were recorded, but
for those that the policy itself sets. What a daemon remembers (budgets, lanes of tool loops) and what happens after a
decision is not played again, but for the share of tasks that a specialist is known to hand on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from registry.entities import Intent, Interaction, RouteDecision
from registry.errors import UnknownModelError
from registry.prompting import prompt_of
from registry.settings import PolicySettings
from router.dialects.known import dialect_of
from router.naming import read_place
from router.offers import PolicyInput
from router.policy import decide
from router.pricing import Prices
from router.problems import InvalidRequestError
from router.recording import Latencies
from router.replayed import Decided, Replay, Replayed, summed
from router.routing import Router
from router.unreadable import RULE as UNREADABLE

ERASED = "their content was erased"
NOT_INSPECTED = "they could not be inspected, so no policy decided"
NOT_NAMED = "their model name asks for what there is not"
NOT_SERVED = "no upstream of the new configuration speaks their dialect"


class Replayer(Router):
    """A router that decides again on what a ledger holds."""

    def again(self, intent: Intent, before: PolicySettings) -> RouteDecision:
        """Return what this router's policy decides on a recorded task at its own time.

        Args:
            intent: the task; its content must not be erased.
            before: the policy whose minimum margin and customer types are in the recorded envelope.

        Raises:
            InvalidRequestError: the upstream that it is for has no words for its dialect.
            UnknownModelError: its model name asks for what there is not, as a specialist that was withdrawn.

        """
        policy, asked = self.rulebook.policy, intent.envelope
        received = intent.request_received
        assert isinstance(received, dict)
        chat = dialect_of(intent.surface).to_chat(received)
        prompt = prompt_of(chat.get("messages"))
        upstreams, here = self._settings.upstreams, self._settings.local
        place = read_place(asked.requested_model, upstreams, policy.cloud, self._is_specialist, local=here)
        envelope = replace(
            asked,
            minimum_margin=_demanded(asked.minimum_margin, before, policy),
            contains_customer_data=_has_customers(intent, before, policy),
            data_class=self.rulebook.classes.narrowest(asked.data_class, received, chat, intent.redactions),
        )
        champion = self._registry.current().champions.get(asked.workflow or "")
        local = self._local_offer(chat, prompt, place, champion)
        cloud = self._cloud_offer(place, envelope, intent.surface, intent.at_utc)
        base = self.base_for(chat, envelope, place, intent.at_utc)
        given = PolicyInput(envelope, policy, intent.at_utc, local, cloud, base)
        return decide(self.rulebook.rules, given, self.rulebook.digest).decision


def _demanded(recorded: float, before: PolicySettings, policy: PolicySettings) -> float:
    """Return the margin that a task demands: what the client asked for beyond the old policy stays."""
    own = -1.0 if recorded <= before.minimum_margin else recorded
    return max(policy.minimum_margin, own)


def _has_customers(intent: Intent, before: PolicySettings, policy: PolicySettings) -> bool:
    """Say whether customer data were found, of the types that count now; what was found otherwise still counts."""
    counts = intent.redactions
    otherwise = intent.envelope.contains_customer_data and not any(map(counts.get, before.customer_data_types))
    return otherwise or any(map(counts.get, policy.customer_data_types))


def replay(
    interactions: Iterable[Interaction],
    present: Replayer,
    new: Replayer,
    prices: Prices,
    latencies: Latencies,
    examples: int,
) -> Replay:
    """Return what a new policy would have done.

    Args:
        interactions: what the ledger has, oldest first.
        present: decides by the policy in force.
        new: decides by the other policy.
        prices: of the other policy's upstreams.
        latencies: what both read measured times from; it is told of each outcome in its turn.
        examples: how many interactions of each kind to name.

    """
    tasks: dict[str, Replayed] = {}
    roots: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for one in interactions:
        intent = one.intent
        root = roots.get(intent.parent_id or "", intent.interaction_id)
        roots[intent.interaction_id] = root
        if intent.parent_id is None:
            told = _decided_again(intent, present, new)
            if isinstance(told, str):
                left_out[told] += 1
            else:
                tasks[root] = told
        if root in tasks:
            tasks[root].add(one)
        if one.outcome is not None:
            latencies.note(one.outcome)
    return summed(list(tasks.values()), new.rulebook.settings.upstreams, prices, left_out, examples)


def _decided_again(intent: Intent, present: Replayer, new: Replayer) -> Replayed | str:
    """Return a task with what both policies decide, or why it is left out."""
    if intent.decision.rule == UNREADABLE:
        return NOT_INSPECTED
    if not isinstance(intent.request_received, dict):
        return ERASED
    policy = present.rulebook.policy
    try:
        after, now = new.again(intent, policy), present.again(intent, policy)
    except InvalidRequestError:
        return NOT_SERVED
    except UnknownModelError:
        return NOT_NAMED
    return Replayed(
        interaction_id=intent.interaction_id,
        at_utc=intent.at_utc,
        client=intent.client,
        workflow=intent.envelope.workflow,
        before=Decided.of(intent.decision),
        after=Decided.of(after),
        present=Decided.of(now),
    )
