from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Lane, RouteDecision, Verdict
from registry.settings import PolicyRule, PolicySettings
from router.naming import Target
from router.offers import CloudOffer, LocalOffer, PolicyInput
from router.policy import Route, compile_policy, decide, digest_of
from tests.router.making import NOON, envelope, evaluation, specialist

CLOUD = CloudOffer(Target("openai", "gpt-5.4"), usd_per_million_tokens=4.0)
DEFAULT = PolicySettings()
CHAMPION = LocalOffer(specialist(), evaluation())


def routed(policy: PolicySettings = DEFAULT, **given: Any) -> Route:
    offers = {"local": given.pop("local", None), "cloud": given.pop("cloud", CLOUD)}
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


_OFFERS = st.sampled_from(
    [
        None,
        CHAMPION,
        LocalOffer(specialist(), evaluation(verdict=Verdict.FAIL)),
        LocalOffer(specialist(), None, by_hand="ann: yes"),
        LocalOffer(specialist(), evaluation(), unfit="tools"),
    ]
)
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
        "estimated_tokens": st.integers(0, 10**6),
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
    _CLOUDS,
    st.builds(lambda features, private: features | private, _FEATURES, _PRIVATE),
    _RULES,
    st.booleans(),
)
def test_a_local_only_task_never_gets_the_cloud_whatever_else_is_said(
    local: LocalOffer | None,
    cloud: CloudOffer | None,
    features: dict[str, Any],
    rules: list[PolicyRule],
    offline: bool,
) -> None:
    policy = PolicySettings(rules=tuple(rules), offline=offline)
    decision = decided(policy, local=local, cloud=cloud, **features)

    assert decision.rule == "local-only"
    assert decision.lane in (Lane.LOCAL_PRIVATE, Lane.NO_OP)
    assert decision.fallback_target == "human_review"
    chosen = decision.selected_model_or_stack
    assert chosen in ("none", "commit-type@1") or (cloud is not None and cloud.private and chosen == "mine/llama")


@given(_OFFERS, _CLOUDS, _FEATURES, _RULES)
def test_without_the_right_to_escalate_the_cloud_is_neither_choice_nor_fallback(
    local: LocalOffer | None, cloud: CloudOffer | None, features: dict[str, Any], rules: list[PolicyRule]
) -> None:
    policy = PolicySettings(rules=tuple(rules))
    decision = decided(policy, local=local, cloud=cloud, **{**features, "allows_escalation": False})

    assert decision.lane is not Lane.CLOUD_ESCALATION
    assert decision.fallback_target == "human_review"


@given(_OFFERS, _CLOUDS, _FEATURES, _RULES, st.booleans())
def test_every_decision_names_a_rule_a_reason_and_at_most_one_choice(
    local: LocalOffer | None, cloud: CloudOffer | None, features: dict[str, Any], rules: list[PolicyRule], offline: bool
) -> None:
    decision = decided(PolicySettings(rules=tuple(rules), offline=offline), local=local, cloud=cloud, **features)
    chosen = [candidate for candidate in decision.candidates if not candidate.why_not]

    assert decision.rule
    assert decision.local_reason
    assert len(chosen) == (0 if decision.lane is Lane.NO_OP else 1)
    assert all(candidate.model == decision.selected_model_or_stack for candidate in chosen)
