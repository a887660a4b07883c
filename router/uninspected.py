"""A request that could not be inspected, on its way to the general local base: no word of it is kept, or can leave.

Where the masked request would stand is an empty one, and its masker refuses whatever it is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import cast

from typing_extensions import override

from registry.entities import Lane
from registry.errors import RedactionError
from router.chat import JsonObject
from router.envelope import Match, envelope_of, requested_lane
from router.exchange import Incoming
from router.given_names import with_kept_names
from router.naming import Place
from router.policy import Route
from router.redaction.json_text import Edit
from router.redaction.masking import Masker
from router.redaction.redactor import Redaction
from router.routed import Routed
from router.routing import Router
from router.unreadable import unseen_decision


def kept_home(
    router: Router, incoming: Incoming, failed: RedactionError, interaction_id: str, now: datetime
) -> Routed | None:
    """Return such a request aimed at the general base, None where that cannot take it or the client asks for another.

    What a bug of the router kept from being inspected would only meet it again.

    Raises:
        InvalidRequestError: its hints contradict the place that its model name asks for.

    """
    if failed.__cause__ is not None:
        return None
    kept = kept_names(router, incoming)
    place, policy = router.place_of(incoming), router.rulebook.policy
    try:
        chat = incoming.dialect.to_chat(incoming.request.body)
        envelope = envelope_of(
            chat,
            kept.hints,
            place,
            Match(kept.hints.workflow),
            task_id=interaction_id,
            minimum_margin=policy.minimum_margin,
            redactions={},
            customer_types=policy.customer_data_types,
            data_class=router.told_class(kept, lambda: chat) or "unknown",
        )
    except RecursionError:
        return None
    base = router.base_for(chat, envelope, place, now)
    if base is None or base.unfit or not _may_stay(incoming, place):
        return None
    target = base.target
    decision = unseen_decision(failed, now, router.policy_digest, Lane.LOCAL_PRIVATE, target.upstream, target.name)
    return Routed(
        replace(incoming, hints=kept.hints),
        interaction_id,
        now,
        Redaction(cast("dict[str, object]", _empty(incoming)), MappingProxyType({}), _Sealed(())),
        chat,
        None,
        # A summary quotes the request.
        replace(envelope, summary="", requested_model=kept.request.model),
        None,
        None,
        Route(decision),
        router.rulebook,
        base,
        inspected=False,
    )


def kept_names(router: Router, incoming: Incoming) -> Incoming:
    """Return a request that could not be inspected with what may be kept of its names."""
    rulebook = router.rulebook
    return with_kept_names(incoming, rulebook.redactor, router.names_key, rulebook.policy.data_classes)


class _Sealed(Masker):
    """Masks nothing: it was not possible for the request, so nothing that belongs to it is let through either."""

    @override
    def _masking(self, text: str, key: str, *, report: bool = False) -> Iterator[Edit]:
        raise RedactionError("its request could not be inspected")


def _may_stay(incoming: Incoming, place: Place) -> bool:
    return requested_lane(place, incoming.hints) not in (Lane.CLOUD_ESCALATION, Lane.NO_OP)


def _empty(incoming: Incoming) -> JsonObject:
    """Return a request of the same dialect that says nothing."""
    model = incoming.request.model
    if incoming.dialect.surface == "openai.completions":
        return {"model": model, "prompt": ""}
    return incoming.dialect.from_chat({"model": model, "messages": [{"role": "user", "content": ""}]})
