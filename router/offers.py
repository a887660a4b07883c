"""What policy looks at: the task, the specialist and the cloud model that could serve it, what bars either. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from registry.entities import Evaluation, Specialist, TaskEnvelope, Verdict
from registry.settings import PolicySettings
from router.naming import Target


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


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """All that a rule may look at."""

    envelope: TaskEnvelope
    settings: PolicySettings
    now: datetime
    local: LocalOffer | None = None
    cloud: CloudOffer | None = None

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
            return "policy.offline is set"
        if not self.envelope.allows_escalation:
            return "the client allows no escalation"
        return "" if self.cloud else "no cloud is configured for this model; set policy.cloud"

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
