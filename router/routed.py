"""A request on its way through the router: as it came, as it leaves, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast

from registry.entities import Lane, RouteDecision, TaskEnvelope
from registry.prompting import Prompt
from registry.settings import UpstreamSettings
from router.asked_again import NO_ASK, Ask
from router.chat import JsonObject
from router.client_telemetry import is_own_vendor, without_telemetry
from router.dialects.known import dialect_of
from router.dialects.protocol import Dialect
from router.exchange import Incoming
from router.minimum_context import Context
from router.offers import BaseOffer, CloudOffer, LocalOffer
from router.policy import Route
from router.redaction.opaque import put_back
from router.redaction.redactor import Redaction
from router.rulebook import Rulebook
from router.vendor_fields import left_out


@dataclass(frozen=True, slots=True)
class Routed:
    """A request on its way: what came, its masked form, that form as chat, and what was decided."""

    incoming: Incoming
    interaction_id: str
    at: datetime
    redaction: Redaction
    chat: JsonObject
    prompt: Prompt | None
    envelope: TaskEnvelope
    local: LocalOffer | None
    cloud: CloudOffer | None
    """The upstream's model that it is for, or escalates to."""
    route: Route
    rulebook: Rulebook
    """What decided; it goes on to decide on this request, whatever is reloaded meanwhile."""
    base: BaseOffer | None = None
    spared: CloudOffer | None = None
    """The cloud model whose work the general base does; None unless it is aimed at the base."""
    loop: tuple[str, ...] = ()
    """By what the tool loop that it begins or goes on is remembered; empty where it has no tools."""
    context: Context | None = None
    """The request less what its task does not need, where policy sends no more than that to a cloud."""
    ask: Ask = NO_ASK
    """What it asks, as it is known again when it is asked once more."""
    vouched: Mapping[str, str] = field(default_factory=dict)
    """The client's headers that an upstream of its own dialect may see."""
    inspected: bool = True
    """Whether it could be masked; what could not is `chat` as it came, for the general base, and never recorded."""

    @property
    def decision(self) -> RouteDecision:
        """What policy decided."""
        return self.route.decision

    @property
    def chose_base(self) -> bool:
        """Whether policy decided for the general local base; a client may name its model for what it is not fit for."""
        if self.base is None or self.base.unfit:
            return False
        local = self.decision.lane in (Lane.LOCAL_FAST, Lane.LOCAL_PRIVATE)
        return local and self.decision.selected_model_or_stack == self.base.target.name

    def aimed_at_base(self) -> Routed:
        """Return it with the general base in the cloud model's place: both are asked in the same way."""
        return self if self.base is None else replace(self, cloud=self.base.upstream, spared=self.cloud)

    @property
    def wire(self) -> Dialect:
        """The dialect in which the upstream is asked."""
        return dialect_of(self.cloud.surface) if self.cloud else self.incoming.dialect

    @property
    def masked(self) -> JsonObject:
        """The request as received, masked, in its own dialect."""
        return cast("JsonObject", self.redaction.body)

    @property
    def reduced(self) -> Context | None:
        """The reduced request, where a cloud is asked with it; the user's own servers get everything."""
        return self.context if self.cloud is not None and not self.cloud.private else None

    @property
    def leaving(self) -> JsonObject:
        """The masked request as it leaves the machine, in its own dialect; what only its vendor may know stays here."""
        body = self.reduced.body if self.reduced else self.masked
        upstream = self.upstream
        if self.cloud is None or self.cloud.private or upstream is None:
            return body
        # Its own vendor a client tells of itself anyway.
        is_told = is_own_vendor(self.incoming.dialect.surface, upstream.base_url)
        return body if is_told else without_telemetry(body, upstream)

    @property
    def upstream(self) -> UpstreamSettings | None:
        """The settings of the upstream that it is for, None where it is for nobody."""
        return self.rulebook.settings.upstreams[self.cloud.target.upstream] if self.cloud else None

    @property
    def left_out(self) -> list[str]:
        """Which fields of the request, as its client calls them, the upstream does not get; none where nobody does."""
        return left_out(self.incoming.dialect.surface, self.masked, self.upstream) if self.upstream else []

    @property
    def leaving_tokens(self) -> int:
        """Estimated tokens of the request as it leaves the machine."""
        return self.reduced.cut.tokens_after if self.reduced else self.envelope.estimated_tokens

    def with_opaque(self, body: JsonObject) -> JsonObject:
        """Return a masked body with images, files and sound in it, if policy lets those leave; else as it is."""
        allowed = self.rulebook.policy.images == "allow"
        return cast("JsonObject", put_back(body, self.redaction.payloads)) if allowed else body

    @property
    def was_masked(self) -> bool:
        """Whether the masked request differs from what came, so that values must be put back."""
        return self.masked != self.incoming.request.body
