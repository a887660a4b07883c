"""From an incoming request to a decision: mask, match, describe, gather the offers, decide. Sends nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import cast

from registry.entities import Lane, RouteDecision, TaskEnvelope
from registry.prompting import Prompt, prompt_of
from registry.settings import Settings
from router.chat import JsonObject
from router.envelope import envelope_of
from router.exchange import Incoming
from router.fitness import unfit
from router.hints import Hints
from router.matching import match_workflow
from router.naming import Place, read_place
from router.offers import CloudOffer, LocalOffer, PolicyInput
from router.policy import Route, Rules, compile_policy, decide, digest_of
from router.pricing import Prices
from router.problems import InvalidRequestError
from router.redaction.redactor import Redaction, Redactor
from router.standings import Registry

BY_NAME = "asked for by name"


@dataclass(frozen=True, slots=True)
class Routed:
    """A request on its way: what came, its masked form, and what was decided."""

    incoming: Incoming
    interaction_id: str
    at: datetime
    redaction: Redaction
    prompt: Prompt | None
    envelope: TaskEnvelope
    local: LocalOffer | None
    cloud: CloudOffer | None
    route: Route

    @property
    def decision(self) -> RouteDecision:
        """What policy decided."""
        return self.route.decision

    @property
    def masked(self) -> JsonObject:
        """The request as received, masked."""
        return cast("JsonObject", self.redaction.body)

    @property
    def was_masked(self) -> bool:
        """Whether the masked request differs from what came, so that values must be put back."""
        return self.masked != self.incoming.request.body


class Router:
    """Decides where requests go; one per process."""

    def __init__(
        self, settings: Settings, redactor: Redactor, registry: Registry, prices: Prices, engine_missing: str = ""
    ) -> None:
        """Compile the policy; `engine_missing` says why no local engine can run, empty where one can."""
        self._settings = settings
        self._redactor = redactor
        self._registry = registry
        self._prices = prices
        self._engine_missing = engine_missing
        self._rules: Rules = compile_policy(settings.policy)
        self._digest = digest_of(settings.policy)

    @property
    def policy_digest(self) -> str:
        """The digest of the policy in force."""
        return self._digest

    def route(self, incoming: Incoming, interaction_id: str, now: datetime) -> Routed:
        """Decide on one request.

        Raises:
            RedactionError: something in it could not be inspected, so it may go nowhere.
            InvalidRequestError: its hints contradict the place that its model name asks for.

        """
        redaction = self._redactor.redact(cast("dict[str, object]", incoming.request.body))
        place = self._place(incoming)
        standings = self._registry.current()
        masked = cast("JsonObject", redaction.body)
        prompt = prompt_of(masked.get("messages"))
        match = match_workflow(place.workflow or incoming.hints.workflow, prompt, standings.by_fingerprint)
        envelope = envelope_of(
            masked,
            incoming.hints,
            place,
            match,
            task_id=interaction_id,
            minimum_margin=self._settings.policy.minimum_margin,
            redactions=redaction.counts,
            customer_types=self._settings.policy.customer_data_types,
        )
        local = self._local_offer(masked, prompt, place, standings.champions.get(match.workflow or ""))
        cloud = self._cloud_offer(place, now)
        given = PolicyInput(envelope, self._settings.policy, now, local, cloud)
        route = decide(self._rules, given, self._digest)
        return Routed(incoming, interaction_id, now, redaction, prompt, envelope, local, cloud, route)

    def _place(self, incoming: Incoming) -> Place:
        policy, upstreams = self._settings.policy, self._settings.upstreams
        place = read_place(incoming.request.model, upstreams, policy.cloud, self._is_specialist)
        _check_agreement(place, incoming.hints)
        return place

    def _is_specialist(self, name: str) -> bool:
        return self._registry.specialist(name) is not None

    def _local_offer(
        self, masked: JsonObject, prompt: Prompt | None, place: Place, champion: LocalOffer | None
    ) -> LocalOffer | None:
        named = self._registry.specialist(place.specialist) if place.specialist else None
        offer = LocalOffer(named, by_hand=BY_NAME) if named else champion
        if offer is None:
            return None
        context = self._settings.local.context
        why_not = self._engine_missing or unfit(masked, prompt, offer.specialist, context)
        return LocalOffer(offer.specialist, offer.evaluation, offer.by_hand, why_not)

    def _cloud_offer(self, place: Place, now: datetime) -> CloudOffer | None:
        if place.target is None:
            return None
        private = self._settings.upstreams[place.target.upstream].trust == "private"
        return CloudOffer(place.target, private, self._prices.blended(place.target, now))


def _check_agreement(place: Place, hints: Hints) -> None:
    lanes = {Lane.LOCAL_FAST: "local", Lane.LOCAL_PRIVATE: "local", Lane.CLOUD_ESCALATION: "cloud"}
    sides = {lanes[lane] for lane in (place.lane, hints.lane) if lane in lanes}
    if len(sides) > 1:
        raise InvalidRequestError(f"the model name asks for {place.lane}, the lane hint for {hints.lane}", "model")
    if place.workflow and hints.workflow and place.workflow != hints.workflow:
        said = f"the model name says workflow {place.workflow!r}, the hint {hints.workflow!r}"
        raise InvalidRequestError(f"{said}; keep one", "model")
