"""What policy looks at: the task, the specialist, the general base and the cloud model that could serve it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry.entities import Evaluation, Lane, Specialist, TaskEnvelope, Verdict
from registry.settings import PUBLIC, Choice, PolicySettings
from router.naming import Target

OPAQUE = (
    "the request has images, files or sound, which cannot be searched for secrets;"
    ' policy.images = "allow" lets them go to a cloud'
)
"""Why such a request stays."""


@dataclass(frozen=True, slots=True)
class LocalOffer:
    """A specialist that could serve; `unfit` says why it cannot take this request, `by_hand` why a person chose it."""

    specialist: Specialist
    evaluation: Evaluation | None = None
    by_hand: str = ""
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class CloudOffer:
    """An upstream's model that could serve; a private one runs on the user's own machines."""

    target: Target
    private: bool = False
    usd_per_million_tokens: float | None = None
    latency_ms: float | None = None
    """Median time of its latest whole answers, None where too few are known."""
    surface: str = "openai.chat"
    """The dialect in which its upstream is asked."""
    unfit: str = ""
    """Why it cannot take this request, empty where it can as far as is known."""


@dataclass(frozen=True, slots=True)
class BaseOffer:
    """The general local base, a private upstream's model; `unfit` says why it cannot take this request."""

    upstream: CloudOffer
    unfit: str = ""

    @property
    def target(self) -> Target:
        """The upstream's model that it is."""
        return self.upstream.target


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """All that a rule may look at."""

    envelope: TaskEnvelope
    settings: PolicySettings
    now: datetime
    local: LocalOffer | None = None
    cloud: CloudOffer | None = None
    base: BaseOffer | None = None
    budget: str = ""
    """Why no money is left for the cloud model, empty where some is."""
    kept: Lane | None = None
    """The lane of the tool loop that the task goes on with, None where it is none or not remembered."""
    recalled: str | None = None
    """The class that the client gave to an earlier turn of the conversation, None where it gave this one its own."""

    @property
    def local_only(self) -> bool:
        """Whether the task must stay on the user's own machines, whatever anybody hints."""
        return self.envelope.contains_customer_data or self.envelope.data_class in self.settings.local_only_classes

    @property
    def cloud_barred(self) -> str:
        """Why nothing may go to the cloud, empty where it may."""
        if self.local_only:
            return "the task is local-only"
        if self.settings.offline:
            return self.settings.why_offline
        if not self.envelope.allows_escalation:
            return "the client allows no escalation"
        if self.budget:
            return self.budget
        if self.cloud is None:
            return "no cloud is configured for this model; set policy.cloud"
        return OPAQUE if self.keeps_opaque else self.cloud.unfit

    @property
    def keeps_opaque(self) -> bool:
        """Whether the task has something that cannot be masked, and that policy therefore keeps from a cloud."""
        private = self.cloud is not None and self.cloud.private
        return self.envelope.multimodal and self.settings.images == "refuse" and not private

    @property
    def cloud_name(self) -> str | None:
        """The qualified name of the cloud model."""
        return self.cloud.target.name if self.cloud else None

    def why_not_local(self, fresh: bool = False) -> str:
        """Say why no specialist serves this task, empty where one does; `fresh` asks for an unexpired evaluation."""
        if self.local is None:
            return f"no specialist is promoted for {self.envelope.workflow or 'this kind of task'}"
        now = self.now if fresh else None
        return self.local.unfit or standing(self.local, self.envelope, self.settings.minimum_margin, now)

    @property
    def uses_tools(self) -> bool:
        """Whether the task may call tools, or is in the middle of doing so."""
        return self.envelope.has_tools or self.envelope.in_tool_loop

    @property
    def prefers_base(self) -> bool:
        """Whether the general base is the place for such a task: by its type, or because a tool loop prefers it."""
        return self.uses_tools or self.envelope.task_type in self.settings.local_task_types

    @property
    def either_will_do(self) -> bool:
        """Whether general base and cloud are both right for such a task."""
        return self.envelope.task_type in self.settings.either_task_types and self.envelope.data_class == PUBLIC

    def why_not_base(self) -> str:
        """Say why the general base does not take this task, empty where it does."""
        if self.base is None:
            return "no general local base is configured"
        # A tool loop keeps its lane however long it grows: it is judged by what it began with.
        tokens = self.envelope.opening_tokens if self.envelope.in_tool_loop else self.envelope.estimated_tokens
        if not self.base.unfit and tokens >= self.settings.max_local_tokens:
            return f"about {tokens:,} tokens reach policy.max_local_tokens, {self.settings.max_local_tokens:,}"
        listed = self.prefers_base or self.either_will_do
        return self.base.unfit or ("" if listed else _why_not_type(self.envelope, self.settings))


def _why_not_type(envelope: TaskEnvelope, settings: PolicySettings) -> str:
    if envelope.task_type is None:
        return "its task type is not clear"
    if envelope.task_type in settings.either_task_types:
        return f"of task type {envelope.task_type} it takes public data only, not {envelope.data_class!r}"
    return f"task type {envelope.task_type} is not in policy.local_task_types"


def choose(by: Choice, base: CloudOffer, cloud: CloudOffer) -> tuple[CloudOffer, str]:
    """Return which of general base and cloud model serves a task that either will do, and why.

    Args:
        by: what decides; what is not measured decides nothing.
        base: the general local base; without a price it costs nothing.
        cloud: the cloud model; without a price nobody knows that it is cheaper.

    """
    if by == "best":
        return cloud, f"nothing is measured of the quality of {base.target.name}, so {cloud.target.name} is best"
    if by == "cheapest":
        return _cheapest(base, cloud)
    if base.latency_ms is None or cloud.latency_ms is None:
        offer, why = _cheapest(base, cloud)
        return offer, f"too few answers were timed lately to know the fastest, so the cheapest serves: {why}"
    fast, slow = (base, cloud) if base.latency_ms <= cloud.latency_ms else (cloud, base)
    return fast, f"{fast.target.name} is fastest, {fast.latency_ms:,.0f} ms against {slow.latency_ms:,.0f}"


def _cheapest(base: CloudOffer, cloud: CloudOffer) -> tuple[CloudOffer, str]:
    own, other = base.usd_per_million_tokens or 0.0, cloud.usd_per_million_tokens
    if other is None:
        return base, f"{base.target.name} costs ${own:g} per million tokens, and the cloud's price is not known"
    cheap, low, high = (base, own, other) if own <= other else (cloud, other, own)
    return cheap, f"{cheap.target.name} is cheapest, ${low:g} per million tokens against ${high:g}"


def standing(offer: LocalOffer, envelope: TaskEnvelope, demanded: float, now: datetime | None) -> str:
    """Say why a specialist has not earned this task, empty where it has.

    Args:
        offer: the specialist, with the evaluation or the person that put it there.
        envelope: the task, which may demand a higher margin than the policy.
        demanded: the policy's own minimum margin.
        now: when its evaluation must still hold; None waives that.

    """
    evaluation = offer.evaluation
    if offer.by_hand and envelope.minimum_margin <= demanded:
        return ""
    if evaluation is None:
        return f"it has no measured margin, and the task demands {envelope.minimum_margin:g}"
    if evaluation.margin_lower < envelope.minimum_margin:
        return f"its margin {evaluation.margin_lower:+.3f} is below {envelope.minimum_margin:+.3f}"
    if not offer.by_hand and evaluation.verdict is not Verdict.PASS:
        return f"its evaluation says {evaluation.verdict}"
    expired = not offer.by_hand and now is not None and evaluation.expires_at_utc <= now
    return f"its evaluation expired on {evaluation.expires_at_utc:%Y-%m-%d}" if expired else ""
