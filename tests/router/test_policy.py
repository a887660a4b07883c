from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Lane, RouteDecision, Verdict
from registry.settings import PolicyRule, PolicySettings
from router.naming import Target
from router.offers import BaseOffer, CloudOffer, LocalOffer, PolicyInput
from router.policy import Route, compile_policy, decide, digest_of
from tests.router.making import NOON, envelope, evaluation, specialist

CLOUD = CloudOffer(Target("openai", "gpt-5.4"), usd_per_million_tokens=4.0)
DEFAULT = PolicySettings()
CHAMPION = LocalOffer(specialist(), evaluation())
BASE = BaseOffer(CloudOffer(Target("mine", "general"), private=True, usd_per_million_tokens=0.0))
UNABLE = BaseOffer(BASE.upstream, unfit="the request has tools")


def routed(policy: PolicySettings = DEFAULT, **given: Any) -> Route:
    offers = {"local": given.pop("local", None), "cloud": given.pop("cloud", CLOUD), "base": given.pop("base", None)}
    asked = PolicyInput(envelope(**given), policy, NOON, **offers)
    return decide(compile_policy(policy), asked, "digest")


def decided(policy: PolicySettings = DEFAULT, **given: Any) -> RouteDecision:
    return routed(policy, **given).decision


def test_a_champion_with_a_fresh_margin_serves_and_may_escalate() -> None:
    decision = decided(local=CHAMPION)

    assert decision.lane is Lane.LOCAL_FAST
    assert decision.rule == "champion"
    assert decision.selected_model_or_stack == "commit-type@1"
    assert decision.selected_runtime == "embedded"
    assert decision.fallback_target == "openai/gpt-5.4"
    assert "-0.010" in decision.local_reason


def test_without_a_champion_the_cloud_serves() -> None:
    decision = decided()

    assert (decision.lane, decision.rule) == (Lane.CLOUD_ESCALATION, "escalation")
    assert decision.selected_model_or_stack == "openai/gpt-5.4"
    assert decision.redaction_required
    assert decision.evidence_required
    assert decision.fallback_target == "local_summary"


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        (LocalOffer(specialist(), evaluation(margin_lower=-0.06)), "margin -0.060 is below -0.050"),
        (LocalOffer(specialist(), evaluation(expires_at_utc=NOON)), "expired on 2026-11-21"),
        (LocalOffer(specialist(), evaluation(verdict=Verdict.FAIL)), "evaluation says fail"),
        (LocalOffer(specialist(), evaluation(verdict=Verdict.INCONCLUSIVE)), "evaluation says inconclusive"),
        (LocalOffer(specialist(), None), "no measured margin"),
        (LocalOffer(specialist(), evaluation(), unfit="the request has tools"), "the request has tools"),
    ],
)
def test_a_champion_that_has_not_earned_the_task_is_passed_over_with_the_reason(offer: LocalOffer, why: str) -> None:
    decision = decided(local=offer)

    assert decision.lane is Lane.CLOUD_ESCALATION
    assert why in decision.local_reason
    assert why in decision.candidates[0].why_not
    assert decision.candidates[1].why_not == ""


@pytest.mark.parametrize("judged", [None, evaluation(verdict=Verdict.FAIL), evaluation(expires_at_utc=NOON)])
def test_a_persons_reason_keeps_a_champion_in_place(judged: Any) -> None:
    decision = decided(local=LocalOffer(specialist(), judged, by_hand="ann: I checked it"))

    assert decision.lane is Lane.LOCAL_FAST
    assert "promoted by hand (ann: I checked it)" in decision.local_reason


def test_a_raised_minimum_margin_is_not_met_by_hand() -> None:
    by_hand = LocalOffer(specialist(), None, by_hand="ann: I checked it")

    assert decided(local=by_hand, minimum_margin=0.0).lane is Lane.CLOUD_ESCALATION
    assert decided(local=CHAMPION, minimum_margin=0.0).lane is Lane.CLOUD_ESCALATION
    assert decided(local=CHAMPION, minimum_margin=-0.01).lane is Lane.LOCAL_FAST


@pytest.mark.parametrize(
    ("feature", "rule"),
    [
        ({"requires_external_knowledge": True}, "external-knowledge"),
        ({"changed_files": 9}, "many-changed-files"),
        ({"retry_count": 2}, "retried"),
    ],
)
def test_hard_tasks_go_to_the_cloud_before_a_champion(feature: dict[str, Any], rule: str) -> None:
    decision = decided(local=CHAMPION, **feature)

    assert (decision.lane, decision.rule) == (Lane.CLOUD_ESCALATION, rule)
    assert decision.fallback_target == "commit-type@1"
    assert decided(local=CHAMPION, allows_escalation=False, **feature).lane is Lane.LOCAL_FAST


def test_the_limits_of_the_default_rules_are_inclusive_as_documented() -> None:
    assert decided(local=CHAMPION, changed_files=8).rule == "champion"
    assert decided(local=CHAMPION, retry_count=1).rule == "champion"


@pytest.mark.parametrize("private", [{"data_class": "patient"}, {"contains_customer_data": True}])
def test_a_local_only_task_is_served_locally_or_not_at_all(private: dict[str, Any]) -> None:
    served, refused = decided(local=CHAMPION, **private), routed(**private)

    assert (served.lane, served.rule) == (Lane.LOCAL_PRIVATE, "local-only")
    assert served.fallback_target == "human_review"
    assert refused.decision.lane is Lane.NO_OP
    assert not refused.forbidden


def test_a_local_only_task_may_use_a_private_server_that_it_names() -> None:
    mine = CloudOffer(Target("mine", "llama"), private=True)
    decision = decided(cloud=mine, data_class="client", requested_lane=Lane.LOCAL_PRIVATE)

    assert (decision.lane, decision.selected_model_or_stack) == (Lane.LOCAL_PRIVATE, "mine/llama")


def test_offline_is_local_or_nothing() -> None:
    offline = PolicySettings(offline=True)
    stale = LocalOffer(specialist(), evaluation(expires_at_utc=NOON - timedelta(days=1)))

    assert decided(offline, local=stale).lane is Lane.LOCAL_FAST
    assert decided(offline).lane is Lane.NO_OP
    assert decided(offline, local=stale).fallback_target == "human_review"


def test_an_explicit_lane_is_taken_or_refused() -> None:
    assert decided(local=CHAMPION, requested_lane=Lane.CLOUD_ESCALATION).rule == "explicit-lane"
    assert decided(local=CHAMPION, requested_lane=Lane.CLOUD_ESCALATION).lane is Lane.CLOUD_ESCALATION
    assert decided(local=CHAMPION, requested_lane=Lane.LOCAL_FAST).fallback_target == "human_review"
    assert decided(requested_lane=Lane.LOCAL_FAST).lane is Lane.NO_OP
    assert not routed(requested_lane=Lane.LOCAL_FAST).forbidden


def test_a_cloud_lane_without_the_right_to_escalate_is_refused_by_policy() -> None:
    refused = routed(requested_lane=Lane.CLOUD_ESCALATION, allows_escalation=False)

    assert refused.decision.lane is Lane.NO_OP
    assert refused.forbidden


def test_nothing_left_is_a_no_op_for_a_person() -> None:
    refused, helpless = routed(allows_escalation=False), routed(cloud=None)

    assert (refused.decision.lane, refused.decision.rule) == (Lane.NO_OP, "refused")
    assert refused.decision.fallback_target == "human_review"
    assert refused.forbidden
    assert not helpless.forbidden
    assert "policy.cloud" in helpless.decision.local_reason


def test_the_users_rules_come_after_the_first_three_and_before_fitness() -> None:
    rules = (
        PolicyRule(name="big", when={"estimated_tokens": "> 1000"}, lane=Lane.CLOUD_ESCALATION),
        PolicyRule(name="never", when={"data_class": "source"}, lane=Lane.NO_OP),
    )
    policy = PolicySettings(rules=rules)

    assert decided(policy, local=CHAMPION, estimated_tokens=2000).rule == "big"
    assert decided(policy, local=CHAMPION, estimated_tokens=20).rule == "champion"
    assert decided(policy, local=CHAMPION, estimated_tokens=2000, data_class="client").rule == "local-only"
    assert (
        decided(policy, local=CHAMPION, estimated_tokens=2000, requested_lane=Lane.LOCAL_FAST).rule == "explicit-lane"
    )
    assert routed(policy, data_class="source").forbidden


def test_candidates_say_why_each_was_not_chosen() -> None:
    local, cloud = decided(local=CHAMPION).candidates

    assert (local.model, local.margin, local.coverage, local.age_days, local.why_not) == (
        "commit-type@1",
        -0.01,
        0.9,
        2.0,
        "",
    )
    assert (cloud.model, cloud.usd_per_million_tokens) == ("openai/gpt-5.4", 4.0)
    assert "champion" in cloud.why_not


def test_the_digest_changes_with_the_policy_and_only_with_it() -> None:
    assert digest_of(PolicySettings()) == digest_of(PolicySettings())
    assert digest_of(PolicySettings()) != digest_of(PolicySettings(max_retries=3))


# A general local base, and the choice where either lane will do.


def test_a_task_type_listed_as_local_goes_to_the_general_base() -> None:
    decision = decided(base=BASE, task_type="summarize", estimated_tokens=1200)

    assert (decision.lane, decision.rule) == (Lane.LOCAL_FAST, "general-local")
    assert (decision.selected_runtime, decision.selected_model_or_stack) == ("mine", "mine/general")
    assert decision.fallback_target == "openai/gpt-5.4"
    assert decision.redaction_required
    assert not decision.evidence_required
    assert decision.local_reason == "task type summarize is listed as local, about 1,200 tokens"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"task_type": None}, "task type is not clear"),
        ({"task_type": "plan"}, "task type plan is not in policy.local_task_types"),
        ({"task_type": "summarize", "estimated_tokens": 12_000}, "12,000 tokens reach policy.max_local_tokens, 12,000"),
        ({"task_type": "summarize", "base": UNABLE}, "the request has tools"),
        ({"task_type": "draft", "data_class": "internal"}, "takes public data only, not 'internal'"),
    ],
)
def test_a_general_base_that_does_not_take_a_task_is_a_candidate_with_the_reason(
    given: dict[str, Any], why: str
) -> None:
    decision = decided(**{"base": BASE, **given})
    base, cloud = decision.candidates

    assert (decision.lane, decision.rule) == (Lane.CLOUD_ESCALATION, "escalation")
    assert why in decision.local_reason
    assert (base.model, base.lane) == ("mine/general", Lane.LOCAL_FAST)
    assert why in base.why_not
    assert cloud.why_not == ""


def test_the_limit_of_tokens_is_the_policys_own() -> None:
    small = PolicySettings(max_local_tokens=100)

    assert decided(small, base=BASE, task_type="extract", estimated_tokens=99).rule == "general-local"
    assert decided(small, base=BASE, task_type="extract", estimated_tokens=100).rule == "escalation"


def test_the_users_list_says_which_types_are_local() -> None:
    plans = PolicySettings(local_task_types=("plan",))

    assert decided(plans, base=BASE, task_type="plan").rule == "general-local"
    assert decided(plans, base=BASE, task_type="summarize").rule == "escalation"


def test_tools_prefer_an_able_base_from_the_first_turn_on_whatever_the_task_type() -> None:
    first = decided(base=BASE, has_tools=True, task_type="plan", estimated_tokens=500)
    loop = {"has_tools": True, "in_tool_loop": True, "task_type": "plan"}
    grown = decided(base=BASE, **loop, estimated_tokens=90_000, opening_tokens=500)
    large = decided(base=BASE, **loop, estimated_tokens=90_000, opening_tokens=20_000)

    assert first.rule == grown.rule == "general-local"
    assert "able to call tools" in first.local_reason
    assert large.rule == "escalation"
    assert decided(base=UNABLE, has_tools=True, task_type="summarize").lane is Lane.CLOUD_ESCALATION


@pytest.mark.parametrize(
    ("feature", "rule"),
    [
        ({"requires_external_knowledge": True}, "external-knowledge"),
        ({"changed_files": 9}, "many-changed-files"),
        ({"retry_count": 2}, "retried"),
        ({"requested_lane": Lane.CLOUD_ESCALATION}, "explicit-lane"),
    ],
)
def test_hard_tasks_go_to_the_cloud_before_the_general_base(feature: dict[str, Any], rule: str) -> None:
    assert decided(base=BASE, task_type="summarize", **feature).rule == rule


def test_a_champion_comes_before_the_general_base() -> None:
    decision = decided(local=CHAMPION, base=BASE, task_type="summarize")

    assert decision.rule == "champion"
    assert [candidate.model for candidate in decision.candidates if candidate.why_not] == [
        "mine/general",
        "openai/gpt-5.4",
    ]


@pytest.mark.parametrize(
    ("policy", "given", "rule"),
    [
        (DEFAULT, {"contains_customer_data": True}, "local-only"),
        (PolicySettings(offline=True), {}, "offline"),
        (DEFAULT, {"requested_lane": Lane.LOCAL_FAST}, "explicit-lane"),
    ],
)
def test_what_must_stay_goes_to_the_general_base_where_no_specialist_fits(
    policy: PolicySettings, given: dict[str, Any], rule: str
) -> None:
    served, refused = decided(policy, base=BASE, **given), decided(policy, base=UNABLE, **given)

    assert (served.rule, served.selected_model_or_stack) == (rule, "mine/general")
    assert served.fallback_target == "human_review"
    assert decided(policy, base=BASE, local=CHAMPION, **given).selected_model_or_stack == "commit-type@1"
    assert refused.lane is Lane.NO_OP
    assert "nor can the general base serve: the request has tools" in refused.local_reason


def test_without_the_right_to_escalate_a_person_stands_behind_the_general_base() -> None:
    decision = decided(base=BASE, task_type="summarize", allows_escalation=False)

    assert (decision.rule, decision.fallback_target) == ("general-local", "human_review")


def test_a_client_that_names_the_general_base_as_its_cloud_gets_it_once_and_without_a_stand_in() -> None:
    decision = decided(base=BASE, cloud=BASE.upstream, task_type="summarize")

    assert [candidate.model for candidate in decision.candidates] == ["mine/general"]
    assert decision.fallback_target == "human_review"


def priced(usd: float | None, latency_ms: float | None = None) -> CloudOffer:
    return CloudOffer(CLOUD.target, usd_per_million_tokens=usd, latency_ms=latency_ms)


def paid_base(usd: float | None, latency_ms: float | None = None) -> BaseOffer:
    return BaseOffer(CloudOffer(Target("mine", "general"), True, usd, latency_ms))


@pytest.mark.parametrize(
    ("base", "cloud", "model", "why"),
    [
        (0.0, 4.0, "mine/general", "mine/general is cheapest, $0 per million tokens against $4"),
        (None, 4.0, "mine/general", "mine/general is cheapest, $0 per million tokens against $4"),
        (0.0, 0.0, "mine/general", "$0 per million tokens against $0"),
        (0.0, None, "mine/general", "the cloud's price is not known"),
        (9.0, 4.0, "openai/gpt-5.4", "openai/gpt-5.4 is cheapest, $4 per million tokens against $9"),
    ],
)
def test_either_lane_by_price(base: float | None, cloud: float | None, model: str, why: str) -> None:
    decision = decided(base=paid_base(base), cloud=priced(cloud), task_type="draft")

    assert (decision.rule, decision.selected_model_or_stack) == ("either-lane", model)
    assert "either lane will do for task type draft" in decision.local_reason
    assert why in decision.local_reason


@pytest.mark.parametrize(
    ("base_ms", "cloud_ms", "model", "why"),
    [
        (2000.0, 900.0, "openai/gpt-5.4", "openai/gpt-5.4 is fastest, 900 ms against 2,000"),
        (800.0, 900.0, "mine/general", "mine/general is fastest, 800 ms against 900"),
        (None, 900.0, "mine/general", "too few answers were timed lately to know the fastest, so the cheapest serves"),
        (2000.0, None, "mine/general", "too few answers were timed lately to know the fastest, so the cheapest serves"),
    ],
)
def test_either_lane_by_latency(base_ms: float | None, cloud_ms: float | None, model: str, why: str) -> None:
    policy = PolicySettings(choose="fastest")
    decision = decided(policy, base=paid_base(0.0, base_ms), cloud=priced(4.0, cloud_ms), task_type="draft")

    assert (decision.rule, decision.selected_model_or_stack) == ("either-lane", model)
    assert why in decision.local_reason


def test_either_lane_by_quality_is_the_cloud_as_long_as_nothing_is_measured_of_the_base() -> None:
    decision = decided(PolicySettings(choose="best"), base=BASE, task_type="draft")

    assert (decision.rule, decision.lane) == ("either-lane", Lane.CLOUD_ESCALATION)
    assert "nothing is measured of the quality of mine/general" in decision.local_reason


@pytest.mark.parametrize("choose", ["cheapest", "fastest", "best"])
def test_either_lane_is_the_base_where_the_cloud_is_barred(choose: Any) -> None:
    policy = PolicySettings(choose=choose)
    forbidden = decided(policy, base=paid_base(9.0), task_type="draft", allows_escalation=False)
    absent = decided(policy, base=paid_base(9.0), cloud=None, task_type="draft")

    for decision, why in [(forbidden, "the client allows no escalation"), (absent, "no cloud is configured")]:
        assert (decision.rule, decision.selected_model_or_stack) == ("either-lane", "mine/general")
        assert decision.fallback_target == "human_review"
        assert why in decision.local_reason
    assert decided(policy, base=UNABLE, task_type="draft").rule == "escalation"


_OFFERS = st.sampled_from(
    [
        None,
        CHAMPION,
        LocalOffer(specialist(), evaluation(verdict=Verdict.FAIL)),
        LocalOffer(specialist(), None, by_hand="ann: yes"),
        LocalOffer(specialist(), evaluation(), unfit="tools"),
    ]
)
_BASES = st.sampled_from([None, BASE, UNABLE])
_CLOUDS = st.sampled_from([None, CLOUD, CloudOffer(Target("mine", "llama"), private=True)])
_FEATURES = st.fixed_dictionaries(
    {
        "changed_files": st.integers(0, 20),
        "retry_count": st.integers(0, 5),
        "requires_external_knowledge": st.booleans(),
        "allows_escalation": st.booleans(),
        "minimum_margin": st.floats(-1, 1),
        "requested_lane": st.sampled_from([None, *Lane]),
        "has_tools": st.booleans(),
        "in_tool_loop": st.booleans(),
        "estimated_tokens": st.one_of(st.integers(0, 10**6), st.integers(0, 20_000)),
        "task_type": st.sampled_from([None, "plan", "summarize", "draft"]),
    }
)
_PRIVATE = st.one_of(
    st.just({"contains_customer_data": True}),
    st.builds(lambda name: {"data_class": name}, st.sampled_from(PolicySettings().local_only_classes)),
)
_RULES = st.lists(
    st.builds(lambda lane: PolicyRule(name="r", when={"changed_files": ">= 0"}, lane=lane), st.sampled_from(Lane)),
    max_size=2,
)


@given(
    _OFFERS,
    _BASES,
    _CLOUDS,
    st.builds(lambda features, private: features | private, _FEATURES, _PRIVATE),
    _RULES,
    st.booleans(),
)
def test_a_local_only_task_never_gets_the_cloud_whatever_else_is_said(
    local: LocalOffer | None,
    base: BaseOffer | None,
    cloud: CloudOffer | None,
    features: dict[str, Any],
    rules: list[PolicyRule],
    offline: bool,
) -> None:
    policy = PolicySettings(rules=tuple(rules), offline=offline)
    decision = decided(policy, local=local, base=base, cloud=cloud, **features)

    assert decision.rule == "local-only"
    assert decision.lane in (Lane.LOCAL_PRIVATE, Lane.NO_OP)
    assert decision.fallback_target == "human_review"
    chosen = decision.selected_model_or_stack
    mine = {"none", "commit-type@1"} | ({"mine/general"} if base is BASE else set())
    assert chosen in mine or (cloud is not None and cloud.private and chosen == "mine/llama")


@given(_OFFERS, _BASES, _CLOUDS, _FEATURES, _RULES)
def test_without_the_right_to_escalate_the_cloud_is_neither_choice_nor_fallback(
    local: LocalOffer | None,
    base: BaseOffer | None,
    cloud: CloudOffer | None,
    features: dict[str, Any],
    rules: list[PolicyRule],
) -> None:
    policy = PolicySettings(rules=tuple(rules))
    decision = decided(policy, local=local, base=base, cloud=cloud, **{**features, "allows_escalation": False})

    assert decision.lane is not Lane.CLOUD_ESCALATION
    assert decision.fallback_target == "human_review"


@given(_OFFERS, _BASES, _CLOUDS, _FEATURES, _RULES, st.booleans(), st.sampled_from(["cheapest", "fastest", "best"]))
def test_every_decision_names_a_rule_a_reason_and_at_most_one_choice(
    local: LocalOffer | None,
    base: BaseOffer | None,
    cloud: CloudOffer | None,
    features: dict[str, Any],
    rules: list[PolicyRule],
    offline: bool,
    choose: Any,
) -> None:
    policy = PolicySettings(rules=tuple(rules), offline=offline, choose=choose)
    decision = decided(policy, local=local, base=base, cloud=cloud, **features)
    chosen = [candidate for candidate in decision.candidates if not candidate.why_not]

    assert decision.rule
    assert decision.local_reason
    assert len(chosen) == (0 if decision.lane is Lane.NO_OP else 1)
    assert all(candidate.model == decision.selected_model_or_stack for candidate in chosen)


@given(_OFFERS, _BASES, _CLOUDS, _FEATURES)
def test_a_base_that_cannot_take_a_request_is_never_chosen(
    local: LocalOffer | None, base: BaseOffer | None, cloud: CloudOffer | None, features: dict[str, Any]
) -> None:
    chosen = decided(local=local, base=base, cloud=cloud, **features).selected_model_or_stack

    assert chosen != "mine/general" or base is BASE
