"""From an incoming request to a decision: mask, match, describe, gather the offers, decide. Sends nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from registry.entities import Lane, TaskEnvelope
from registry.prompting import Prompt, prompt_of
from registry.settings import Settings, UpstreamSettings, is_private
from router.asked_again import Ask, AskedAgain, session_of
from router.budgets import Budgets, Payer
from router.chat import JsonObject
from router.envelope import envelope_of
from router.exchange import Incoming
from router.failures import FailureKind
from router.fallbacks import Needs, able_target, lacking, next_targets
from router.fitness import (
    client_limit,
    expected_usage,
    needs_engine,
    unfit,
    unfit_for_base,
    wants_json,
    wants_json_object,
)
from router.hints import Hints
from router.loops import Loops, keys_of_loop
from router.matching import match_workflow
from router.naming import Place, Target, read_place
from router.offers import BaseOffer, CloudOffer, LocalOffer, PolicyInput
from router.policy import decide
from router.pricing import Prices
from router.problems import InvalidRequestError
from router.recording import Latencies
from router.redaction.redactor import Redaction
from router.routed import Routed
from router.rulebook import Rulebook
from router.sparing import least_context
from router.standings import Registry
from router.told_classes import ToldClasses
from router.vendor_headers import vouched_headers

BY_NAME = "asked for by name"
_NAMED_VERSIONS = 20
_UNTRANSLATED = {"openai.completions": "plain completions", "openai.embeddings": "embeddings"}


class Router:
    """Decides where requests go; one per process."""

    def __init__(
        self,
        rulebook: Rulebook,
        registry: Registry,
        prices: Prices,
        latencies: Latencies,
        engine_missing: str = "",
        *,
        budgets: Budgets | None = None,
        loops: Loops | None = None,
        asked: AskedAgain | None = None,
        told: ToldClasses | None = None,
        names_key: bytes = b"",
    ) -> None:
        """Begin with a rulebook and what is remembered of earlier tasks, which is nothing by default.

        `engine_missing` says why no local engine can run, empty where one can; `names_key` is the home's secret for
        digests of names, for whoever records any.
        """
        self.rulebook = rulebook
        """What decides on the next request; a reload replaces it."""
        self.budgets = budgets
        self.names_key = names_key
        self.loops = loops or Loops(time.monotonic)
        self._registry = registry
        self._prices = prices
        self._latencies = latencies
        self._asked = asked or AskedAgain(time.monotonic, b"")
        self._told = told or ToldClasses(time.monotonic)
        self._engine_missing = engine_missing

    @property
    def policy_digest(self) -> str:
        """The digest of the policy in force."""
        return self.rulebook.digest

    @property
    def _settings(self) -> Settings:
        return self.rulebook.settings

    def route(
        self, incoming: Incoming, interaction_id: str, now: datetime, redaction: Redaction | None = None
    ) -> Routed:
        """Decide on one request, which is masked first unless that was done by the same rulebook.

        Raises:
            RedactionError: something in it could not be inspected, so it may reach no cloud.
            InvalidRequestError: its hints contradict the place that its model name asks for, or name no data class.
            UnknownModelError: its model name asks for what there is not.

        """
        rulebook = self.rulebook
        _check_class(incoming.hints.data_class, rulebook.policy.data_classes)
        if redaction is None:
            redaction = rulebook.redactor.redact(cast("dict[str, object]", incoming.request.body), sets_aside=True)
        masked = cast("JsonObject", redaction.body)
        chat = incoming.dialect.to_chat(masked)
        restore = redaction.masker.restore_json
        told = self.told_class(incoming, lambda: cast("JsonObject", restore(chat)))
        place = self.place_of(incoming)
        self._check_model(incoming, redaction.body.get("model"))
        standings = self._registry.current()
        prompt = prompt_of(chat.get("messages"))
        named = place.workflow or incoming.hints.workflow
        match = match_workflow(named, prompt, standings.by_fingerprint, standings.alike)
        ask = self._ask(incoming, chat, redaction.payloads)
        envelope = envelope_of(
            chat,
            incoming.hints,
            place,
            match,
            task_id=interaction_id,
            minimum_margin=rulebook.policy.minimum_margin,
            redactions=redaction.found,
            customer_types=rulebook.policy.customer_data_types,
            data_class=rulebook.classes.narrowest(told, masked, chat, redaction.found, restore),
            opaque=bool(redaction.opaque),
            asked_before=self._asked.count(ask),
        )
        local = self._local_offer(chat, prompt, place, standings.champions.get(match.workflow or ""))
        spoken = incoming.dialect.surface
        cloud = self._cloud_offer(place, envelope, spoken, now)
        base = self.base_for(chat, envelope, place, now)
        loop = keys_of_loop(chat, envelope, incoming.client.name)
        kept = self.loops.lane_of(loop) if envelope.in_tool_loop else None
        budget = self._budget(rulebook.payer(incoming), chat, envelope, cloud, now)
        recalled = None if told == incoming.hints.data_class else told
        given = PolicyInput(envelope, rulebook.policy, now, local, cloud, base, budget, kept, recalled)
        route = decide(rulebook.rules, given, rulebook.digest)
        routed = Routed(
            incoming, interaction_id, now, redaction, chat, prompt, envelope, local, cloud, route, rulebook, base
        )
        context = least_context(spoken, routed.masked, given, route.decision, place)
        vouched = vouched_headers(incoming.headers, redaction.masker.mask)
        return replace(routed, context=context, ask=ask, loop=loop, vouched=vouched)

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
        envelope, policy, upstreams = routed.envelope, routed.rulebook.policy, self._settings.upstreams
        needs = Needs(
            tokens=envelope.estimated_tokens + (client_limit(routed.chat) or 0),
            tools=envelope.has_tools or envelope.in_tool_loop,
            vision=envelope.multimodal,
            json_schema=wants_json(routed.chat) and not wants_json_object(routed.chat),
        )
        stays = envelope.multimodal and policy.images == "refuse"
        may_leave = routed.decision.lane is Lane.CLOUD_ESCALATION and not stays
        found = next_targets(failure, asked, policy, upstreams, needs, may_leave=may_leave, rests=rests)
        if not found:
            return None
        return replace(routed, cloud=self._offer(found[0], routed.incoming.dialect.surface, routed.at))

    def place_of(self, incoming: Incoming) -> Place:
        """Return what a request's model name asks for; raise InvalidRequestError where its hints contradict it."""
        policy, upstreams, local = self._settings.policy, self._settings.upstreams, self._settings.local
        known = self._is_specialist, self._specialists_of, self._workflows
        place = read_place(incoming.request.model, upstreams, policy.cloud, *known, local)
        _check_agreement(place, incoming.hints)
        return place

    def is_configured(self, model: str) -> bool:
        """Say whether an upstream lists a model, which a client may call by its whole name."""
        return any(model.partition("/")[2] in one.models or model in one.models for one in self._upstreams.values())

    def _check_model(self, incoming: Incoming, masked: object) -> None:
        """Refuse a model name that holds what is masked: it would leave as it is. Configured names may be any."""
        model = incoming.request.model
        if not self.is_configured(model) and str(masked).strip() != model:
            raise InvalidRequestError(
                "model looks as if it held a secret or personal data, so it goes nowhere", "model"
            )

    @property
    def _upstreams(self) -> Mapping[str, UpstreamSettings]:
        return self._settings.upstreams

    def _budget(
        self, payer: Payer, chat: JsonObject, envelope: TaskEnvelope, cloud: CloudOffer | None, now: datetime
    ) -> str:
        """Say which budget bars the cloud model, empty where none does."""
        if self.budgets is None or cloud is None or cloud.private or not payer.is_limited:
            return ""
        estimate = self._prices.cost(cloud.target, expected_usage(chat, envelope), now)
        return self.budgets.why_barred(payer, estimate, now)

    def _is_specialist(self, name: str) -> bool:
        return self._registry.specialist(name) is not None

    def _workflows(self) -> Collection[str]:
        return self._registry.seen().told

    def _specialists_of(self, workflow: str) -> list[str] | None:
        """Return the names of a workflow's champion and of its first versions, None where it is not known."""
        standings = self._registry.current()
        if workflow not in standings.told:
            return None
        champion = standings.champions.get(workflow)
        first = [f"{workflow}@{version}" for version in range(1, _NAMED_VERSIONS + 1)]
        found = [name for name in first if self._is_specialist(name)]
        return list(dict.fromkeys([*found, *([champion.specialist.name] if champion else [])]))

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

    def answered(self, routed: Routed) -> None:
        """Note that a request has got its answer: who asks the same again was not content with it."""
        self._asked.answered(routed.ask)

    def told_class(self, incoming: Incoming, unmasked: Callable[[], JsonObject]) -> str | None:
        """Return the class that the client gives, or gave what went before, of which the local-only one holds.

        `unmasked` gives the request in the chat form: a placeholder's number may change from turn to turn.
        """
        client, hint, kept = incoming.client.name, incoming.hints.data_class, self.rulebook.policy.local_only_classes
        if hint in kept:
            self._told.tell(client, unmasked(), hint)
            return hint
        return (self._told.recall(client, unmasked(), kept) if len(self._told) else None) or hint

    def _ask(self, incoming: Incoming, chat: JsonObject, payloads: Sequence[str]) -> Ask:
        session = session_of(incoming.request.body, incoming.hints.session, incoming.headers)
        return self._asked.ask_of(chat, incoming.client.name, session, incoming.headers, payloads)

    def _cloud_offer(self, place: Place, envelope: TaskEnvelope, spoken: str, now: datetime) -> CloudOffer | None:
        if place.target is None:
            return None
        upstreams, needs = self._settings.upstreams, Needs(vision=envelope.multimodal)
        # A model that the client asks for by its whole name is not put off with another.
        fallbacks = self._settings.policy.fallbacks if place.lane is None else ()
        able = able_target(place.target, fallbacks, upstreams, needs)
        return replace(self._offer(able, spoken, now), unfit=lacking(upstreams[able.upstream], needs))

    def _offer(self, target: Target, spoken: str, now: datetime) -> CloudOffer:
        upstream = self._settings.upstreams[target.upstream]
        price, latency_ms = self._prices.blended(target, now), self._latencies.median_ms(target.name, now)
        private = is_private(upstream, target.model)
        return CloudOffer(target, private, price, latency_ms, _surface(upstream, target, spoken))

    def base_for(self, chat: JsonObject, envelope: TaskEnvelope, place: Place, now: datetime) -> BaseOffer | None:
        """Return the general local base of the settings, and whether it is fit for a request; None without one."""
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
