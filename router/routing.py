"""From an incoming request to a decision: mask, match, describe, gather the offers, decide. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import cast

from registry.entities import Lane, RouteDecision, TaskEnvelope
from registry.prompting import Prompt, prompt_of
from registry.settings import Settings, UpstreamSettings, is_private
from router.chat import JsonObject
from router.dialects.known import dialect_of
from router.dialects.protocol import Dialect
from router.envelope import envelope_of
from router.exchange import Incoming
from router.failures import FailureKind
from router.fallbacks import Needs, next_targets
from router.fitness import client_limit, needs_engine, unfit, unfit_for_base, wants_json, wants_json_object
from router.hints import Hints
from router.matching import match_workflow
from router.naming import Place, Target, read_place
from router.offers import BaseOffer, CloudOffer, LocalOffer, PolicyInput
from router.policy import Route, Rules, compile_policy, decide, digest_of
from router.pricing import Prices
from router.problems import InvalidRequestError
from router.recording import Latencies
from router.redaction.redactor import Redaction, Redactor
from router.standings import Registry

BY_NAME = "asked for by name"
_UNTRANSLATED = {"openai.completions": "plain completions", "openai.embeddings": "embeddings"}


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
    base: BaseOffer | None = None
    spared: CloudOffer | None = None
    """The cloud model whose work the general base does; None unless it is aimed at the base."""

    @property
    def decision(self) -> RouteDecision:
        """What policy decided."""
        return self.route.decision

    @property
    def chose_base(self) -> bool:
        """Whether policy decided for the general local base."""
        local = self.decision.lane in (Lane.LOCAL_FAST, Lane.LOCAL_PRIVATE)
        return local and self.base is not None and self.decision.selected_model_or_stack == self.base.target.name

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
    def was_masked(self) -> bool:
        """Whether the masked request differs from what came, so that values must be put back."""
        return self.masked != self.incoming.request.body


class Router:
    """Decides where requests go; one per process."""

    def __init__(
        self,
        settings: Settings,
        redactor: Redactor,
        registry: Registry,
        prices: Prices,
        latencies: Latencies,
        engine_missing: str = "",
    ) -> None:
        """Compile the policy; `engine_missing` says why no local engine can run, empty where one can."""
        self._settings = settings
        self._redactor = redactor
        self._registry = registry
        self._prices = prices
        self._latencies = latencies
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
            InvalidRequestError: its hints contradict the place that its model name asks for, or name no data class.

        """
        _check_class(incoming.hints.data_class, self._settings.policy.data_classes)
        redaction = self._redactor.redact(cast("dict[str, object]", incoming.request.body))
        place = self._place(incoming)
        standings = self._registry.current()
        chat = incoming.dialect.to_chat(cast("JsonObject", redaction.body))
        prompt = prompt_of(chat.get("messages"))
        named = place.workflow or incoming.hints.workflow
        match = match_workflow(named, prompt, standings.by_fingerprint, standings.alike)
        envelope = envelope_of(
            chat,
            incoming.hints,
            place,
            match,
            task_id=interaction_id,
            minimum_margin=self._settings.policy.minimum_margin,
            redactions=redaction.counts,
            customer_types=self._settings.policy.customer_data_types,
        )
        local = self._local_offer(chat, prompt, place, standings.champions.get(match.workflow or ""))
        spoken = incoming.dialect.surface
        cloud = self._cloud_offer(place, spoken, now)
        base = self._base_offer(chat, envelope, place, now)
        given = PolicyInput(envelope, self._settings.policy, now, local, cloud, base)
        route = decide(self._rules, given, self._digest)
        return Routed(incoming, interaction_id, now, redaction, chat, prompt, envelope, local, cloud, route, base)

    def fall_back(
        self, routed: Routed, failure: FailureKind, asked: Sequence[Target], rests: Callable[[str], object]
    ) -> Routed | None:
        """Return a request aimed at the next model of the policy's fallbacks, None where there is none to ask.

        Args:
            routed: the request whose upstream failed.
            failure: how.
            asked: who was asked so far, the latest last.
            rests: whether a model, by its qualified name, is at rest.

        """
        envelope, policy, upstreams = routed.envelope, self._settings.policy, self._settings.upstreams
        needs = Needs(
            tokens=envelope.estimated_tokens + (client_limit(routed.chat) or 0),
            tools=envelope.has_tools or envelope.in_tool_loop,
            vision=envelope.multimodal,
            json_schema=wants_json(routed.chat) and not wants_json_object(routed.chat),
        )
        may_leave = routed.decision.lane is Lane.CLOUD_ESCALATION
        found = next_targets(failure, asked, policy, upstreams, needs, may_leave=may_leave, rests=rests)
        if not found:
            return None
        return replace(routed, cloud=self._offer(found[0], routed.incoming.dialect.surface, routed.at))

    def _place(self, incoming: Incoming) -> Place:
        policy, upstreams = self._settings.policy, self._settings.upstreams
        place = read_place(incoming.request.model, upstreams, policy.cloud, self._is_specialist)
        _check_agreement(place, incoming.hints)
        return place

    def _is_specialist(self, name: str) -> bool:
        return self._registry.specialist(name) is not None

    def _local_offer(
        self, chat: JsonObject, prompt: Prompt | None, place: Place, champion: LocalOffer | None
    ) -> LocalOffer | None:
        named = self._registry.specialist(place.specialist) if place.specialist else None
        offer = LocalOffer(named, by_hand=BY_NAME) if named else champion
        if offer is None:
            return None
        context = self._settings.local.context
        missing = self._engine_missing if needs_engine(offer.specialist) else ""
        why_not = missing or unfit(chat, prompt, offer.specialist, context)
        return LocalOffer(offer.specialist, offer.evaluation, offer.by_hand, why_not)

    def _cloud_offer(self, place: Place, spoken: str, now: datetime) -> CloudOffer | None:
        return None if place.target is None else self._offer(place.target, spoken, now)

    def _offer(self, target: Target, spoken: str, now: datetime) -> CloudOffer:
        upstream = self._settings.upstreams[target.upstream]
        price, latency_ms = self._prices.blended(target, now), self._latencies.median_ms(target.name, now)
        private = is_private(upstream, target.model)
        return CloudOffer(target, private, price, latency_ms, _surface(upstream, target, spoken))

    def _base_offer(self, chat: JsonObject, envelope: TaskEnvelope, place: Place, now: datetime) -> BaseOffer | None:
        name = self._settings.local.general_upstream
        if name is None:
            return None
        upstream, target = self._settings.upstreams[name], Target(name, self._settings.local.base)
        # The public list has no prices of private servers, so it is not read for them.
        priced = upstream.usd_per_million_input is not None
        price = self._prices.blended(target, now) if priced else 0.0
        latency_ms = self._latencies.median_ms(target.name, now)
        offer = CloudOffer(target, True, price, latency_ms, upstream.surface_for("openai.chat"))
        named = f"the client asked for {envelope.requested_model!r}" if place.workflow else ""
        return BaseOffer(offer, named or unfit_for_base(chat, envelope, upstream))


def _surface(upstream: UpstreamSettings, target: Target, spoken: str) -> str:
    """Return the surface on which an upstream is asked; refuse what its dialect has no words for."""
    if spoken not in _UNTRANSLATED:
        return upstream.surface_for(spoken)
    if upstream.dialect == "anthropic":
        raise InvalidRequestError(f"upstream {target.upstream!r} has no {_UNTRANSLATED[spoken]}; name another model")
    return spoken


def _check_class(data_class: str | None, known: Collection[str]) -> None:
    """Refuse a data class that no rule knows: taken for public, a slip of the pen would let private data leave."""
    if data_class is not None and data_class not in known:
        raise InvalidRequestError(
            f"data class {data_class!r} is not known; known are {', '.join(sorted(known))}, and those that "
            "policy.local_only_classes or a rule names",
            "data-class",
        )


def _check_agreement(place: Place, hints: Hints) -> None:
    lanes = {Lane.LOCAL_FAST: "local", Lane.LOCAL_PRIVATE: "local", Lane.CLOUD_ESCALATION: "cloud"}
    sides = {lanes[lane] for lane in (place.lane, hints.lane) if lane in lanes}
    if len(sides) > 1:
        raise InvalidRequestError(f"the model name asks for {place.lane}, the lane hint for {hints.lane}", "model")
    if place.workflow and hints.workflow and place.workflow != hints.workflow:
        said = f"the model name says workflow {place.workflow!r}, the hint {hints.workflow!r}"
        raise InvalidRequestError(f"{said}; keep one", "model")
