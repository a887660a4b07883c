"""Who is asked after a failure."""

from __future__ import annotations

from typing import Any

import pytest

from registry.settings import PolicySettings, UpstreamSettings
from router.failures import PASSING, FailureKind
from router.fallbacks import Needs, lacking, next_targets
from router.naming import Target

CLOUD = Target("openai", "gpt-5.4")


def upstream(**changes: Any) -> UpstreamSettings:
    return UpstreamSettings(**{"base_url": "https://vendor.test/v1", **changes})


UPSTREAMS = {
    "openai": upstream(context=100_000),
    "anthropic": upstream(dialect="anthropic", context=200_000),
    "small": upstream(context=8_000),
    "unstated": upstream(),
    "mine": upstream(trust="private", context=300_000),
}
POLICY = PolicySettings(
    cloud=CLOUD.name,
    fallbacks=("anthropic/claude", "small/s", "unstated/u", "openai/gpt-5.4", "anthropic/claude", "mine/llama"),
    content_policy_fallbacks=("unstated/liberal",),
)


def after(kind: FailureKind, *asked: Target, **more: Any) -> list[str]:
    given = {"needs": Needs(tokens=1000), "may_leave": True, "rests": lambda _: None, **more}
    return [target.name for target in next_targets(kind, [CLOUD, *asked], POLICY, UPSTREAMS, **given)]


@pytest.mark.parametrize("kind", sorted(PASSING))
def test_r01_the_fallbacks_are_asked_in_their_order_and_nobody_twice(kind: FailureKind) -> None:
    assert after(kind) == ["anthropic/claude", "small/s", "unstated/u", "mine/llama"]
    assert after(kind, Target("anthropic", "claude"), Target("small", "s")) == ["unstated/u", "mine/llama"]


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.REQUEST])
def test_r05_a_refused_request_or_key_is_the_clients_to_hear(kind: FailureKind) -> None:
    assert after(kind) == []


def test_r06_a_prompt_that_is_too_long_goes_to_larger_contexts_alone() -> None:
    assert after(FailureKind.CONTEXT_LENGTH) == ["anthropic/claude", "mine/llama"]
    assert after(FailureKind.CONTEXT_LENGTH, Target("anthropic", "claude")) == ["mine/llama"]


def test_r06_one_that_no_context_is_large_enough_for_goes_nowhere() -> None:
    assert after(FailureKind.CONTEXT_LENGTH, needs=Needs(tokens=1_000_000)) == []


def test_a_prompt_that_is_not_wanted_goes_to_those_named_for_that_alone() -> None:
    assert after(FailureKind.CONTENT_POLICY) == ["unstated/liberal"]
    assert next_targets(
        FailureKind.CONTENT_POLICY,
        [CLOUD],
        PolicySettings(fallbacks=POLICY.fallbacks),
        UPSTREAMS,
        Needs(),
        may_leave=True,
        rests=lambda _: None,
    ) == []  # fmt: skip


@pytest.mark.parametrize("kind", list(FailureKind))
def test_what_must_not_leave_goes_to_private_models_alone(kind: FailureKind) -> None:
    assert set(after(kind, may_leave=False)) <= {"mine/llama"}
    policy = PolicySettings(fallbacks=("mine/gpt-oss:120b-cloud",), content_policy_fallbacks=("mine/glm:cloud",))
    clouds = next_targets(kind, [CLOUD], policy, UPSTREAMS, Needs(), may_leave=False, rests=lambda _: None)
    assert clouds == []


def test_r02_who_rests_is_passed_over() -> None:
    resting = {"anthropic/claude", "unstated/u"}

    assert after(FailureKind.SERVER, rests=lambda name: name in resting) == ["small/s", "mine/llama"]


def test_who_is_known_to_be_unable_is_passed_over() -> None:
    assert after(FailureKind.SERVER, needs=Needs(tokens=9_000)) == ["anthropic/claude", "unstated/u", "mine/llama"]
    assert after(FailureKind.SERVER, needs=Needs(tools=True)) == ["anthropic/claude", "small/s", "unstated/u"]


def test_without_fallbacks_there_are_none() -> None:
    assert next_targets(
        FailureKind.SERVER, [CLOUD], PolicySettings(), UPSTREAMS, Needs(), may_leave=True, rests=lambda _: None
    ) == []  # fmt: skip


@pytest.mark.parametrize("need", ["tools", "vision", "json_schema"])
@pytest.mark.parametrize("trust", ["cloud", "private"])
@pytest.mark.parametrize("stated", [True, False, None])
def test_a_cloud_has_what_it_is_not_said_to_lack_and_a_private_server_the_tools_and_eyes_that_are_stated(
    need: str, trust: str, stated: bool | None
) -> None:
    assumed = trust == "cloud" or need == "json_schema"
    why = lacking(upstream(trust=trust, **{need: stated}), Needs(**{need: True}))

    assert (why == "") is (assumed if stated is None else stated)


def test_what_is_not_needed_is_not_missed() -> None:
    assert lacking(upstream(tools=False, vision=False, json_schema=False, context=1000), Needs(tokens=1000)) == ""
