"""One dispatch of a request as the ledger sees it: its intent, times and outcome, and the headers that tell of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from registry.entities import (
    ContextCut,
    EvidenceNote,
    Intent,
    Json,
    Lane,
    Outcome,
    Purpose,
    RouteDecision,
    Specialist,
    Status,
    Usage,
)
from registry.errors import RedactionError
from registry.ids import Clock
from registry.prompting import chat_messages
from registry.settings import EMBEDDED
from router.chat import JsonObject, is_writable
from router.dialects.protocol import AnswerFacts
from router.exchange import Wire
from router.naming import Target
from router.problems import InvalidRequestError
from router.redaction.opaque import set_aside
from router.routed import Routed
from router.vendor_fields import left_out, tellable, without

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_MAX_HEADER = 400


@dataclass(slots=True)
class Attempt:
    """A dispatch under way; times are seconds on the monotonic clock."""

    routed: Routed
    intent: Intent
    notes: tuple[EvidenceNote, ...]
    """Why it matters to breeding; recorded with its outcome."""
    wire: Wire
    monotonic: Callable[[], float]
    clock: Clock
    started_s: float
    arrived_s: float
    """When the request arrived: for a second attempt, before its `started_s`."""
    spared: Callable[[Usage], float | None] | None = None
    """What the cloud would have cost for the same tokens, where the general base does its work."""
    unmended: Usage | None = None
    """The tokens that its answer took before it was mended, None where it was not: the cloud would take no more."""
    first_token_s: float | None = None
    ended: bool = False
    """Whether its outcome is made: an interaction has one."""

    @property
    def id(self) -> str:
        """The interaction's id."""
        return self.intent.interaction_id

    @property
    def target(self) -> Target:
        """The upstream's model that it would ask."""
        if self.routed.cloud is None:
            raise AssertionError("an upstream was chosen without a target")
        return self.routed.cloud.target

    @property
    def specialist(self) -> Specialist:
        """The specialist that it would ask."""
        if self.routed.local is None:
            raise AssertionError("a local lane was chosen without a specialist")
        return self.routed.local.specialist

    @property
    def abandonment(self) -> tuple[Status, str]:
        """How and why it ended, if it is cancelled now."""
        if self.wire.gone:
            return Status.CLIENT_CANCELLED, "the client left"
        return Status.INTERRUPTED, "the daemon stopped"

    @property
    def facts(self) -> AnswerFacts:
        """What an answer made here, and not passed on, says of itself."""
        return AnswerFacts(self.id, self.routed.incoming.request.model, self.intent.at_utc)

    def saw_token(self) -> None:
        """Note when the first token came."""
        if self.first_token_s is None:
            self.first_token_s = self.monotonic()

    def outcome(
        self,
        status: Status,
        *,
        response: Json = None,
        usage: Usage | None = None,
        cost_usd: float | None = None,
        cloud_cost_usd: float | None = None,
        confidence: float | None = None,
        verification: Json = None,
        error: str | None = None,
    ) -> Outcome:
        """Return how the dispatch ended, now."""
        self.ended = True
        decision = self.intent.decision
        if self.spared is not None and usage is not None:
            cost_usd = cost_usd if cost_usd is not None else self._own_price
            cloud_cost_usd = self.spared(self.unmended or usage)
        ttft_ms = None if self.first_token_s is None else (self.first_token_s - self.started_s) * 1000
        return Outcome(
            interaction_id=self.id,
            at_utc=self.clock(),
            status=status,
            runtime=decision.selected_runtime,
            model=decision.selected_model_or_stack,
            response=self._mask(response),
            usage=usage,
            cost_usd=cost_usd,
            cloud_cost_usd=cloud_cost_usd,
            latency_ms=(self.monotonic() - self.started_s) * 1000,
            ttft_ms=ttft_ms,
            confidence=confidence,
            verification=self._mask(verification),
            error=None if error is None else self.mask_error(error),
        )

    @property
    def _own_price(self) -> float | None:
        """What an upstream without a price costs a token: nothing, where it is the user's own."""
        return 0.0 if self.routed.cloud is not None and self.routed.cloud.usd_per_million_tokens == 0 else None

    @property
    def _asks_private(self) -> bool:
        """Whether a private upstream is asked: it sees the real values, and the ledger must not."""
        cloud = self.routed.cloud
        return _asks_upstream(self.intent.decision) and cloud is not None and cloud.private

    def mask_error(self, error: str) -> str:
        """Return what went wrong as the ledger may hold it; a placeholder that it quotes stays as it is."""
        try:
            return self.routed.redaction.masker.mask_report(error)
        except RedactionError:
            return "an error that cannot be masked"

    def _mask(self, said: Json) -> Json:
        """Return an answer, or what is said of it, as the ledger may hold it; None where it cannot mask or write it.

        Who was asked with placeholders says them again, and values of its own.
        """
        masker = self.routed.redaction.masker
        try:
            masked = (masker.mask_json if self._asks_private else masker.mask_report_json)(said)
        except (RedactionError, RecursionError):
            return None
        return cast("Json", masked) if is_writable(masked) else None

    @property
    def remaining_s(self) -> float | None:
        """How much of the client's deadline is left, None where there is none; time spent on a first attempt counts."""
        return None if self._left_s is None else max(0.001, self._left_s)

    @property
    def late(self) -> bool:
        """Whether the client's deadline has passed, so that nobody else need be asked."""
        return self._left_s is not None and self._left_s <= 0

    @property
    def _left_s(self) -> float | None:
        deadline_ms = self.routed.envelope.deadline_ms
        return None if deadline_ms is None else deadline_ms / 1000 - (self.monotonic() - self.arrived_s)

    @property
    def headers(self) -> dict[str, str]:
        """What every answer says about how it was made; the client's own request id comes back."""
        own = self.routed.incoming.headers.get("x-request-id")
        named = tellable(self.routed.left_out) if _asks_upstream(self.intent.decision) else []
        left = {"x-modelbreeder-left-out": printable(", ".join(named))} if named else {}
        return headers_of(self.intent) | left | ({"x-request-id": printable(own)} if own else {})


def headers_of(intent: Intent) -> dict[str, str]:
    """Return the headers that tell of a decision."""
    decision, cut = intent.decision, intent.decision.context
    counts = ",".join(f"{kind}={count}" for kind, count in intent.redactions.items())
    return {
        "x-modelbreeder-interaction": intent.interaction_id,
        "x-modelbreeder-lane": decision.lane.value,
        "x-modelbreeder-model": printable(decision.selected_model_or_stack),
        "x-modelbreeder-reason": printable(f"{decision.rule}: {decision.local_reason}"),
        "x-modelbreeder-redactions": printable(counts) or "none",
        **({"x-modelbreeder-context": f"{cut.tokens_before}->{cut.tokens_after}"} if cut else {}),
        "x-request-id": intent.interaction_id,
    }


def printable(text: str) -> str:
    """Return text as a header can hold it: one short line of ASCII."""
    return _UNPRINTABLE.sub("?", text)[:_MAX_HEADER]


def intent_of(
    routed: Routed,
    decision: RouteDecision,
    interaction_id: str,
    at: datetime,
    purpose: Purpose,
    *,
    parent_id: str | None,
    keeps_raw: bool = False,
) -> Intent:
    """Return the intent to dispatch a routed request as a decision says; with the request as it came, if asked."""
    raw = set_aside(routed.incoming.request.body).body if keeps_raw and routed.inspected else None
    return Intent(
        interaction_id=interaction_id,
        at_utc=at,
        purpose=purpose,
        envelope=routed.envelope,
        decision=replace(decision, context=context_cut(routed, decision)),
        request_received=routed.masked if routed.inspected else None,
        surface=routed.incoming.dialect.surface,
        request_sent=sent_body(routed, decision) if routed.inspected else None,
        client=routed.incoming.client.name,
        trust_tier=routed.incoming.client.trust_tier,
        parent_id=parent_id,
        redactions=dict(routed.redaction.counts),
        request_raw=cast("Json", raw),
    )


def context_cut(routed: Routed, decision: RouteDecision) -> ContextCut | None:
    """Return what the model that a decision asks does not see of the request, None where it sees all."""
    return routed.reduced.cut if _asks_upstream(decision) and routed.reduced else None


def _asks_upstream(decision: RouteDecision) -> bool:
    return decision.lane is not Lane.NO_OP and decision.selected_runtime != EMBEDDED


def sent_body(routed: Routed, decision: RouteDecision) -> Json:
    """Return the masked request as it leaves for its model; None where nobody is asked."""
    if decision.lane is Lane.NO_OP:
        return None
    local = routed.local
    if decision.selected_runtime == EMBEDDED and local is not None and routed.prompt is not None:
        # Few-shot examples are part of the immutable specialist, so they are not repeated in every row.
        turns: list[Json] = [dict(turn) for turn in chat_messages(routed.prompt, local.specialist.trim)]
        return {"model": local.specialist.name, "messages": turns, "max_tokens": local.specialist.max_tokens}
    return upstream_body(routed, routed.leaving)


def upstream_body(routed: Routed, body: JsonObject) -> JsonObject:
    """Return the request, masked or as received, in the form that the upstream gets, less fields that it may not."""
    spoken, wire = routed.incoming.dialect, routed.wire
    if spoken.surface == wire.surface:
        return addressed(routed, body)
    translated = wire.from_chat(spoken.to_chat(body))
    # What is text in one dialect, such as a call's arguments, may be a value in another.
    if not is_writable(translated):
        raise InvalidRequestError("JSON in a text of the request is nested too deeply to be passed on; send it flatter")
    return addressed(routed, translated)


def addressed(routed: Routed, translated: JsonObject) -> JsonObject:
    """Return a request of the upstream's dialect with its model's name, less fields that it may not get."""
    model, wire = routed.cloud.target.model if routed.cloud else routed.incoming.request.model, routed.wire
    sent = wire.outgoing(translated, model)
    return without(sent, left_out(wire.surface, sent, routed.upstream)) if routed.upstream else sent
