"""The default policy: an ordered list of small named rules, of which the first that matches decides. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from registry.entities import Candidate, Lane, RouteDecision
from registry.settings import EMBEDDED, PolicySettings
from router.conditions import compile_rule
from router.offers import OPAQUE, BaseOffer, CloudOffer, LocalOffer, PolicyInput, choose

NOBODY = "none"
HUMAN_REVIEW = "human_review"
LOCAL_SUMMARY = "local_summary"
_NEXT_STEP = "name a general local base in [local], or breed a specialist"
_LOCAL_LANES = (Lane.LOCAL_FAST, Lane.LOCAL_PRIVATE)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says; a forbidden no_op is policy's refusal, any other one a lack of means."""

    lane: Lane
    reason: str
    runtime: str = NOBODY
    model: str = NOBODY
    fallback: str | None = None
    forbidden: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One named rule; None lets the next one decide."""

    name: str
    decide: Callable[[PolicyInput], Ruling | None]


@dataclass(frozen=True, slots=True)
class Route:
    """A decision, and whether a no_op is policy's refusal rather than a lack of means."""

    decision: RouteDecision
    forbidden: bool = False


Rules: TypeAlias = Sequence[Rule]


def compile_policy(settings: PolicySettings) -> Rules:
    """Return the rules in the order in which they are tried; ConfigError for a rule that cannot be read."""
    return (*_FIRST_RULES, *(_user_rule(number, settings) for number in range(len(settings.rules))), *_LAST_RULES)


def digest_of(settings: PolicySettings) -> str:
    """Return the digest of the resolved policy that every decision names."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()


def decide(rules: Rules, given: PolicyInput, digest: str) -> Route:
    """Return the decision of the first rule that matches."""
    for rule in rules:
        ruling = rule.decide(given)
        if ruling is not None:
            return Route(_decision(rule, ruling, given, digest), ruling.forbidden)
    raise AssertionError("the last rule always decides")


def _decision(rule: Rule, ruling: Ruling, given: PolicyInput, digest: str) -> RouteDecision:
    learns = ruling.lane is Lane.CLOUD_ESCALATION and given.envelope.workflow is not None
    return RouteDecision(
        lane=ruling.lane,
        selected_runtime=ruling.runtime,
        selected_model_or_stack=ruling.model,
        local_reason=ruling.reason,
        rule=rule.name,
        redaction_required=ruling.lane is Lane.CLOUD_ESCALATION or ruling.fallback == given.cloud_name,
        evidence_required=learns,
        fallback_target=ruling.fallback,
        candidates=_candidates(rule, ruling, given),
        policy_digest=digest,
        route_created_at_utc=given.now,
    )


def _serve_local(given: PolicyInput, lane: Lane, reason: str, escalates: bool) -> Ruling:
    assert given.local is not None
    by_hand = f", promoted by hand ({given.local.by_hand})" if given.local.by_hand else ""
    fallback = given.cloud_name if escalates and not given.cloud_barred else HUMAN_REVIEW
    return Ruling(lane, reason + by_hand, EMBEDDED, given.local.specialist.name, fallback)


def _serve_base(given: PolicyInput, lane: Lane, reason: str, escalates: bool) -> Ruling:
    assert given.base is not None
    target = given.base.target
    # A client may name the base itself: it cannot stand in for itself.
    may = escalates and not given.cloud_barred and given.cloud_name != target.name
    return Ruling(lane, reason, target.upstream, target.name, given.cloud_name if may else HUMAN_REVIEW)


def _serve_cloud(given: PolicyInput, reason: str, falls_back: bool = True) -> Ruling:
    assert given.cloud is not None
    stand_in = given.local.specialist.name if given.local and not given.why_not_local() else LOCAL_SUMMARY
    target = given.cloud.target
    return Ruling(Lane.CLOUD_ESCALATION, reason, target.upstream, target.name, stand_in if falls_back else HUMAN_REVIEW)


def _stay(given: PolicyInput, lane: Lane, reason: str, stays: str = "") -> Ruling:
    """Serve on the user's own machines or not at all; an expired evaluation is better than no answer."""
    if given.cloud and given.cloud.private and given.envelope.requested_lane is Lane.LOCAL_PRIVATE:
        target = given.cloud.target
        if given.cloud.unfit:
            return Ruling(Lane.NO_OP, f"{reason}, and {given.cloud.unfit}", fallback=HUMAN_REVIEW)
        return Ruling(Lane.LOCAL_PRIVATE, reason, target.upstream, target.name, HUMAN_REVIEW)
    why_not = given.why_not_local()
    if not why_not:
        return _serve_local(given, lane, reason, escalates=False)
    if given.base is None or given.base.unfit:
        base = f", nor can the general base serve: {given.base.unfit}" if given.base else f"; {_NEXT_STEP}"
        nobody = f"{reason}{stays}, and nothing on your machines can serve the task: {why_not}{base}"
        return Ruling(Lane.NO_OP, nobody, fallback=HUMAN_REVIEW)
    return _serve_base(given, lane, f"{reason}, {why_not}, and the general base can serve it", escalates=False)


def _local_only(given: PolicyInput) -> Ruling | None:
    if not given.local_only:
        return None
    found = "customer data was found" if given.envelope.contains_customer_data else None
    said = given.envelope.data_class
    earlier = ", told earlier in this conversation," if said == given.recalled else ""
    reason = found or f"data class {said!r}{earlier} is local-only"
    return _stay(given, Lane.LOCAL_PRIVATE, reason, ", which never leaves")


def _offline(given: PolicyInput) -> Ruling | None:
    why = given.settings.why_offline
    return _stay(given, Lane.LOCAL_FAST, why) if why else None


def _explicit_lane(given: PolicyInput) -> Ruling | None:
    lane = given.envelope.requested_lane
    if lane is None:
        return None
    return _take(given, lane, f"the client asked for {given.envelope.requested_model!r} in lane {lane}")


def _take(given: PolicyInput, lane: Lane, reason: str) -> Ruling:
    if lane in _LOCAL_LANES:
        return _stay(given, lane, reason)
    if lane is Lane.NO_OP:
        return Ruling(lane, reason, fallback=HUMAN_REVIEW, forbidden=True)
    if given.cloud_barred:
        why = f"{reason}, but {given.cloud_barred}"
        return Ruling(Lane.NO_OP, why, fallback=HUMAN_REVIEW, forbidden=given.cloud is not None)
    return _serve_cloud(given, reason, falls_back=False)


def _tool_loop(given: PolicyInput) -> Ruling | None:
    if given.kept is Lane.CLOUD_ESCALATION:
        return None if given.cloud_barred else _serve_cloud(given, "its tool loop is in the cloud, and keeps its lane")
    if given.kept is None or given.base is None or given.base.unfit:
        return None
    return _serve_base(given, Lane.LOCAL_FAST, "its tool loop is local, and keeps its lane", escalates=True)


def _user_rule(number: int, settings: PolicySettings) -> Rule:
    rule = settings.rules[number]
    holds = compile_rule(rule)
    reason = f"the user's rule {rule.name!r} takes {rule.lane}"
    return Rule(rule.name, lambda given: _take(given, rule.lane, reason) if holds(given.envelope) else None)


def _images(given: PolicyInput) -> Ruling | None:
    """Keep what cannot be masked on the user's own machines, or refuse it; specialists read text alone."""
    if not given.keeps_opaque:
        return None
    if given.base is None or given.base.unfit:
        base = f"; the general base cannot serve it: {given.base.unfit}" if given.base else ""
        return Ruling(Lane.NO_OP, OPAQUE + base, fallback=HUMAN_REVIEW, forbidden=given.cloud is not None)
    return _serve_base(given, Lane.LOCAL_PRIVATE, f"{OPAQUE}, and the general base sees them", escalates=False)


def _external_knowledge(given: PolicyInput) -> Ruling | None:
    asked = given.envelope.requires_external_knowledge and not given.cloud_barred
    return _serve_cloud(given, "the task asks for knowledge from outside") if asked else None


def _many_changed_files(given: PolicyInput) -> Ruling | None:
    count, limit = given.envelope.changed_files, given.settings.max_changed_files
    return (
        _serve_cloud(given, f"{count} changed files, over {limit}")
        if count > limit and not given.cloud_barred
        else None
    )


def _retried(given: PolicyInput) -> Ruling | None:
    count, limit = given.envelope.retry_count, given.settings.max_retries
    return (
        _serve_cloud(given, f"asked again {count} times, {limit} allowed")
        if count >= limit and not given.cloud_barred
        else None
    )


def _champion(given: PolicyInput) -> Ruling | None:
    if given.local is None or given.why_not_local(fresh=True):
        return None
    evaluation = given.local.evaluation
    margin = f"margin {evaluation.margin_lower:+.3f}" if evaluation else "margin not measured"
    demanded = f"{given.envelope.minimum_margin:+.3f} demanded"
    reason = f"champion of {given.local.specialist.workflow}, {margin}, {demanded}"
    return _serve_local(given, Lane.LOCAL_FAST, reason, escalates=True)


def _general_local(given: PolicyInput) -> Ruling | None:
    if given.base is None or not given.prefers_base or given.why_not_base():
        return None
    kind, tokens = given.envelope.task_type, given.envelope.estimated_tokens
    why = "the general base is able to call tools" if given.uses_tools else f"task type {kind} is listed as local"
    return _serve_base(given, Lane.LOCAL_FAST, f"{why}, about {tokens:,} tokens", escalates=True)


def _either_lane(given: PolicyInput) -> Ruling | None:
    if given.base is None or not given.either_will_do or given.why_not_base():
        return None
    either = f"either lane will do for task type {given.envelope.task_type}"
    if given.cloud is None or given.cloud_barred:
        return _serve_base(given, Lane.LOCAL_FAST, f"{either}, and {given.cloud_barred}", escalates=False)
    chosen, why = choose(given.settings.choose, given.base.upstream, given.cloud)
    if chosen is given.cloud:
        return _serve_cloud(given, f"{either}, and {why}")
    return _serve_base(given, Lane.LOCAL_FAST, f"{either}, and {why}", escalates=True)


def _budget(given: PolicyInput) -> Ruling | None:
    if not given.budget or given.cloud_barred != given.budget:
        return None
    ruling = _stay(given, Lane.LOCAL_FAST, given.budget)
    return replace(ruling, forbidden=ruling.lane is Lane.NO_OP)


def _escalation(given: PolicyInput) -> Ruling | None:
    return None if given.cloud_barred else _serve_cloud(given, _why_not_here(given))


def _why_not_here(given: PolicyInput) -> str:
    base = f", and the general base does not take it: {given.why_not_base()}" if given.base else ""
    return given.why_not_local(fresh=True) + base


def _refused(given: PolicyInput) -> Ruling:
    reason = f"{_why_not_here(given)}, and {given.cloud_barred}"
    forbidden = given.cloud is not None and not given.envelope.allows_escalation
    return Ruling(Lane.NO_OP, reason, fallback=HUMAN_REVIEW, forbidden=forbidden)


_FIRST_RULES = (
    Rule("local-only", _local_only),
    Rule("offline", _offline),
    Rule("explicit-lane", _explicit_lane),
    Rule("tool-loop", _tool_loop),
)
_LAST_RULES = (
    Rule("images", _images),
    Rule("external-knowledge", _external_knowledge),
    Rule("many-changed-files", _many_changed_files),
    Rule("retried", _retried),
    Rule("champion", _champion),
    Rule("general-local", _general_local),
    Rule("either-lane", _either_lane),
    Rule("budget", _budget),
    Rule("escalation", _escalation),
    Rule("refused", _refused),
)


def _candidates(rule: Rule, ruling: Ruling, given: PolicyInput) -> tuple[Candidate, ...]:
    lost = f"rule {rule.name!r} decided for {ruling.model}"
    local = (
        [_local_candidate(given.local, ruling, given.why_not_local(fresh=True) or lost, given.now)]
        if given.local
        else []
    )
    cloud = [_cloud_candidate(given.cloud, ruling, given.cloud_barred or lost)] if given.cloud else []
    apart = given.base is not None and given.base.target.name != given.cloud_name
    base = [_base_candidate(given.base, ruling, given.why_not_base() or lost)] if given.base and apart else []
    return (*local, *base, *cloud)


def _local_candidate(offer: LocalOffer, ruling: Ruling, why_not: str, now: datetime) -> Candidate:
    evaluation = offer.evaluation
    return Candidate(
        model=offer.specialist.name,
        lane=ruling.lane if ruling.lane in _LOCAL_LANES else Lane.LOCAL_FAST,
        margin=evaluation.margin_lower if evaluation else None,
        coverage=evaluation.coverage if evaluation else None,
        age_days=round((now - evaluation.at_utc).total_seconds() / 86_400, 3) if evaluation else None,
        usd_per_million_tokens=0.0,
        why_not="" if ruling.model == offer.specialist.name else why_not,
    )


def _base_candidate(offer: BaseOffer, ruling: Ruling, why_not: str) -> Candidate:
    chosen = ruling.model == offer.target.name
    return Candidate(
        model=offer.target.name,
        lane=ruling.lane if chosen else Lane.LOCAL_FAST,
        usd_per_million_tokens=offer.upstream.usd_per_million_tokens,
        why_not="" if chosen else why_not,
    )


def _cloud_candidate(offer: CloudOffer, ruling: Ruling, why_not: str) -> Candidate:
    return Candidate(
        model=offer.target.name,
        lane=ruling.lane if ruling.model == offer.target.name else Lane.CLOUD_ESCALATION,
        usd_per_million_tokens=offer.usd_per_million_tokens,
        why_not="" if ruling.model == offer.target.name else why_not,
    )
