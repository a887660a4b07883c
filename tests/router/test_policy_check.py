from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from registry.entities import Lane
from registry.settings import PolicyRule, PolicySettings, Settings, UpstreamSettings
from router.conditions import compile_rule
from router.policy_check import Problem, notes, problems, steps
from tests.router.making import envelope


def policy(*conditions: dict[str, Any], **more: Any) -> PolicySettings:
    """Return a policy with rules a, b, c …"""
    rules = tuple(
        PolicyRule(name="abcdef"[number], when=when, lane=Lane.CLOUD_ESCALATION)
        for number, when in enumerate(conditions)
    )
    return PolicySettings(rules=rules, **more)


def told(checked: PolicySettings) -> list[str]:
    return [f"{problem.rule}: {problem.what}" for problem in problems(checked)]


def test_a_policy_without_rules_or_with_good_ones_has_no_problem() -> None:
    good = ({"changed_files": "> 3", "data_class": "code"}, {"changed_files": "> 2"}, {"task_type": "plan"})

    assert told(PolicySettings()) == []
    assert told(policy(*good)) == []


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"changed_files": "> 3"}, {"changed_files": "> 3"}),
        ({"changed_files": "> 3"}, {"changed_files": ">= 4"}),
        ({"changed_files": ">= 4"}, {"changed_files": "> 3"}),
        ({"changed_files": "> 3"}, {"changed_files": 9}),
        ({"changed_files": "!= 3"}, {"changed_files": "> 3"}),
        ({"changed_files": "> 3"}, {"changed_files": "> 8", "task_type": "plan"}),
        ({"data_class": "code"}, {"data_class": "== code", "has_tools": True}),
        ({"has_tools": True}, {"has_tools": "!= false"}),
        ({"match_score": "< 1"}, {"match_score": "<= 0.9"}),
        ({"task_type": "!= plan"}, {"task_type": "review"}),
        ({"deadline_ms": "< 1000"}, {"deadline_ms": 500}),
    ],
)
def test_a_rule_behind_one_with_the_same_or_wider_conditions_is_found(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    assert told(policy(earlier, later)) == [
        "b: it can never decide: rule 'a' before it has the same or wider conditions"
    ]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"changed_files": "> 3"}, {"changed_files": ">= 3"}),
        ({"changed_files": "> 8", "task_type": "plan"}, {"changed_files": "> 8"}),
        ({"changed_files": "!= 3"}, {"changed_files": ">= 3"}),
        ({"data_class": "code"}, {"data_class": "!= code"}),
        ({"match_score": "< 0.9"}, {"match_score": "<= 0.9"}),
        ({"task_type": "!= plan"}, {"task_type": "!= review"}),
        ({"deadline_ms": "< 1000"}, {"deadline_ms": "!= 500"}),
        ({"session": "a"}, {"workflow": "a"}),
    ],
)
def test_a_rule_that_takes_what_an_earlier_one_leaves_is_no_problem(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    assert told(policy(earlier, later)) == []


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ({"changed_files": "9"}, "no task has changed_files '9', which is a number from 0"),
        ({"changed_files": "< 0"}, "no task has changed_files '< 0'"),
        ({"has_tools": "yes"}, "no task has has_tools 'yes', which is true or false"),
        ({"data_class": "> 3"}, "no task has data_class '> 3', which is a text"),
        ({"data_class": "patient"}, "rule local-only keeps such tasks here before"),
        ({"contains_customer_data": True, "changed_files": "> 1"}, "rule local-only keeps such tasks here before"),
        ({"requested_lane": "local_fast"}, "rule explicit-lane decides before"),
    ],
)
def test_a_condition_that_no_task_meets_there_is_found(when: dict[str, Any], why: str) -> None:
    assert len(told(policy(when))) == 1
    assert f"a: it can never decide: {why}" in told(policy(when))[0]


def test_a_local_only_class_of_the_policy_itself_counts_and_one_that_it_drops_does_not() -> None:
    rule = {"data_class": "patient"}

    assert told(policy(rule, local_only_classes=("payroll",))) == []
    assert len(told(policy({"data_class": "payroll"}, local_only_classes=("payroll",)))) == 1


def test_a_problem_is_one_line_that_names_the_rule_or_the_check() -> None:
    assert Problem("a\nb", "it is wrong").line == "rule 'a\\nb': it is wrong"
    assert Problem(None, "it is wrong", "v").line == "policy.verify 'v': it is wrong"
    assert Problem(None, "a key is wrong").line == "a key is wrong"


VENDOR = {"vendor": UpstreamSettings(base_url="https://vendor.test/v1")}
OWN = {
    "upstreams": {**VENDOR, "own": UpstreamSettings(base_url="http://127.0.0.1:1/v1", trust="private", context=2048)},
    "local": {"runtime": "own", "base": "m"},
}
TOLD = ({"name": "client", "paths": ["clients/**"]}, {"name": "patient", "patterns": ["ward"]}, {"name": "student"})


def test_a_data_class_that_is_nearly_a_known_one_is_noted() -> None:
    rules = [{"name": "r", "when": {"data_class": name}, "lane": "no_op"} for name in ("Code", "!= pubilc", "payroll")]
    given: dict[str, Any] = {
        **OWN,
        "policy": {"local_only_classes": ["pateint", "notes"], "rules": rules, "classes": TOLD},
    }
    found = notes(Settings(**given))

    meant = [line.partition("names data class ")[2] for line in found if "did you mean" in line]
    assert meant == [
        "'Code'; did you mean 'code'?",
        "'pateint'; did you mean 'patient'?",
        "'pubilc'; did you mean 'public'?",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {},
            [
                "policy.cloud names no cloud and [local] names no general local base, so every request",
                "told by clients",
            ],
        ),
        (
            {"policy": {"offline": True, "cloud": "vendor/m"}, "upstreams": VENDOR},
            ["policy.offline is set and [local]", ""],
        ),
        (
            {"policy": {"cloud": "vendor/m", "local_only_classes": ["pay", "code"]}, "upstreams": VENDOR},
            [
                "[local] names no general local base, so tasks of pay, code that no",
                "of local_only_classes pay are",
            ],
        ),
        ({"policy": {"cloud": "vendor/m", "local_only_classes": []}, "upstreams": VENDOR}, []),
        ({"policy": {"cloud": "vendor/m", "local_only_classes": ["client", "patient"], "classes": TOLD}, **OWN}, []),
        (
            {"policy": {"local_only_classes": ["student"], "classes": TOLD}, **OWN},
            ["of local_only_classes student are told"],
        ),
    ],
)
def test_what_a_configuration_leaves_to_nobody_is_noted(given: dict[str, Any], said: list[str]) -> None:
    found = notes(Settings(**given))

    assert len(found) == len(said)
    assert all(part in line for part, line in zip(said, found, strict=True))


def test_an_empty_condition_and_names_that_tell_nothing_are_found() -> None:
    twice = PolicyRule(name="retried", when={"changed_files": 1}, lane=Lane.NO_OP)
    found = told(PolicySettings(rules=(twice, twice.model_copy(update={"when": {}}))))

    assert "retried: 2 rules have this name, so no reason tells which of them decided" in found
    assert "retried: a built-in rule has this name, so no reason tells which of them decided" in found
    assert "retried: it has no condition, so all tasks take no_op and no later rule is tried" in found


def test_the_steps_are_all_rules_in_order_with_the_own_ones_in_their_place() -> None:
    listed = steps(policy({"changed_files": "> 3", "has_tools": True, "task_type": "plan"}))
    own = [step for step in listed if step.own]

    assert [step.name for step in listed][:3] == ["local-only", "offline", "explicit-lane"]
    assert listed[-1].name == "refused"
    assert [(step.name, step.what, step.lane) for step in own] == [
        ("a", "changed_files > 3 and has_tools == true and task_type == plan", Lane.CLOUD_ESCALATION)
    ]


_SIGNS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
_CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "changed_files": st.builds(lambda sign, number: f"{sign} {number}", _SIGNS, st.integers(0, 5)),
        "match_score": st.builds(lambda sign, number: f"{sign} {number / 4}", _SIGNS, st.integers(0, 4)),
        "has_tools": st.booleans(),
        "data_class": st.sampled_from(["code", "!= code", "== public"]),
    },
).filter(bool)


@settings(max_examples=60)
@drawn(
    st.lists(_CONDITIONS, min_size=2, max_size=2),
    st.lists(
        st.tuples(
            st.integers(0, 7), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.6, 1.0]), st.booleans(),
            st.sampled_from(["code", "public", "x"]),
        ),
        min_size=30,
        max_size=60,
    ),
)  # fmt: skip
def test_a_rule_that_is_said_never_to_decide_decides_on_no_task(
    conditions: list[dict[str, Any]], tasks: list[tuple[int, float, bool, str]]
) -> None:
    checked = policy(*conditions)
    dead = {problem.rule for problem in problems(checked)}
    tests = {rule.name: compile_rule(rule) for rule in checked.rules}
    names = ("changed_files", "match_score", "has_tools", "data_class")
    for task in tasks:
        asked = envelope(**dict(zip(names, task, strict=True)))
        first = next((name for name, holds in tests.items() if holds(asked)), None)
        assert first not in dead
