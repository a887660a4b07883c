"""What is wrong with a policy beyond what keeps it from loading: rules that never decide, and why. Pure.

A condition is tried on the values at which its answer can change, so that what is judged is what will be run. Only
pairs of rules are compared: several earlier ones that together leave nothing to a later one are not found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeAlias, get_args, get_type_hints

from registry.entities import Lane, TaskEnvelope
from registry.settings import LOCAL_ONLY_CLASSES, PUBLIC, PolicyRule, PolicySettings, Settings, TaskType
from router.conditions import compile_rule
from router.data_classes import CODE
from router.policy_notes import OWN_RULES, rule_notes

Value: TypeAlias = str | int | float | bool | None
_ALIKE = 0.8
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ANY_TASK = TaskEnvelope("id", "a task")
_TYPES = get_type_hints(TaskEnvelope)


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule, a check or a key of the user's that does not do what it says, and why."""

    rule: str | None
    what: str
    check: str | None = None
    """The entry of policy.verify that it is about, where it is about none of policy.rules."""

    @property
    def line(self) -> str:
        """What a person is told."""
        if self.rule is None and self.check is None:
            return self.what
        named = f"rule {self.rule!r}" if self.check is None else f"policy.verify {self.check!r}"
        return f"{named}: {self.what}"


@dataclass(frozen=True, slots=True)
class Step:
    """A rule in its place: what it does, and of one of the user's own the conditions and the lane."""

    name: str
    own: bool
    what: str
    lane: Lane | None = None


def steps(policy: PolicySettings) -> list[Step]:
    """Return all rules in the order in which they are tried."""
    found = []
    for note in rule_notes():
        if note.name == OWN_RULES:
            found += [Step(rule.name, True, _conditions(rule), rule.lane) for rule in policy.rules]
        else:
            found.append(Step(note.name, False, note.what))
    return found


def problems(policy: PolicySettings) -> list[Problem]:
    """Return what is wrong with the user's own rules, which compile, in the order of the file."""
    return [*_name_problems(policy.rules), *_rule_problems(policy)]


def notes(settings: Settings) -> list[str]:
    """Return what a configuration leaves to nobody, in words; it may be meant so."""
    policy, found = settings.policy, []
    leaves = not policy.offline and (policy.cloud or any(one.models for one in settings.upstreams.values()))
    if settings.local.general_upstream is None:
        kept = ", ".join(policy.local_only_classes)
        if not leaves:
            found.append(
                f"{_nobody_else(policy)}, so every request that no promoted specialist serves is refused (503)"
            )
        elif kept:
            unserved = f"tasks of {kept} that no promoted specialist serves are refused (503)"
            found.append(f"[local] names no general local base, so {unserved}")
    told = {CODE, *(one.name for one in policy.classes if one.types or one.paths or one.patterns)}
    untold = ", ".join(one for one in policy.local_only_classes if one not in told)
    if untold:
        found.append(
            f"of local_only_classes {untold} are told by clients alone (hint data-class); [[policy.classes]] tells a "
            "class by paths, patterns or types"
        )
    return [*found, *_misspelt_classes(policy)]


def _misspelt_classes(policy: PolicySettings) -> Iterator[str]:
    """Name the classes of rules and of local_only_classes that are nearly those which the project or a class has."""
    known = {PUBLIC, CODE, *LOCAL_ONLY_CLASSES, *(one.name for one in policy.classes)}
    ruled = {str(rule.when["data_class"]).lstrip("!= ") for rule in policy.rules if "data_class" in rule.when}
    for name in sorted({*policy.local_only_classes, *ruled} - known):
        near = get_close_matches(name.lower(), sorted(known), n=1, cutoff=_ALIKE)
        if near:
            yield f"nothing but this policy's own words names data class {name!r}; did you mean {near[0]!r}?"


def _nobody_else(policy: PolicySettings) -> str:
    cloud = policy.why_offline or "policy.cloud names no cloud"
    return f"{cloud} and [local] names no general local base"


def _conditions(rule: PolicyRule) -> str:
    return " and ".join(f"{feature} {_shown(value)}" for feature, value in rule.when.items()) or "every task"


def _shown(value: str | float) -> str:
    if isinstance(value, str) and value.startswith(("<", ">", "=", "!")):
        return value
    return f"== {str(value).lower() if isinstance(value, bool) else value}"


def _name_problems(rules: Sequence[PolicyRule]) -> Iterator[Problem]:
    built_in = {note.name for note in rule_notes()}
    for name, count in Counter(rule.name for rule in rules).items():
        if count > 1:
            yield Problem(name, f"{count} rules have this name, so no reason tells which of them decided")
        if name in built_in:
            yield Problem(name, "a built-in rule has this name, so no reason tells which of them decided")


def _rule_problems(policy: PolicySettings) -> Iterator[Problem]:
    for number, rule in enumerate(policy.rules):
        if not rule.when:
            yield Problem(rule.name, f"it has no condition, so all tasks take {rule.lane} and no later rule is tried")
        why = _never_holds(rule) or _decided_before(rule, policy) or _covered(rule, policy.rules[:number])
        if why:
            yield Problem(rule.name, f"it can never decide: {why}")


def _never_holds(rule: PolicyRule) -> str:
    for feature, wanted in rule.when.items():
        if not _holding(rule, feature, _values(feature, [rule])):
            return f"no task has {feature} {wanted!r}, which is {_kind(feature)}"
    return ""


def _decided_before(rule: PolicyRule, policy: PolicySettings) -> str:
    """Say which of the built-in rules that are tried before the user's own takes all that a rule is for."""
    classes = _holding(rule, "data_class", _values("data_class", policy.rules, *policy.local_only_classes))
    customers = _holding(rule, "contains_customer_data", (False, True))
    if set(classes) <= set(policy.local_only_classes) or customers == [True]:
        return "rule local-only keeps such tasks here before"
    if None not in _holding(rule, "requested_lane", _values("requested_lane", [rule])):
        return "rule explicit-lane decides before where the client asks for a lane"
    return ""


def _covered(rule: PolicyRule, earlier: Sequence[PolicyRule]) -> str:
    """Say which earlier rule holds wherever a rule does: its conditions, each on one feature, are the same or wider."""
    for before in earlier:
        if all(_is_wider(before, rule, feature) for feature in before.when):
            return f"rule {before.name!r} before it has the same or wider conditions"
    return ""


def _is_wider(before: PolicyRule, rule: PolicyRule, feature: str) -> bool:
    values = _values(feature, [before, rule])
    return set(_holding(rule, feature, values)) <= set(_holding(before, feature, values))


def _holding(rule: PolicyRule, feature: str, values: Sequence[Value]) -> list[Value]:
    """Return the values of a feature with which its condition holds; all, where the rule has none on it."""
    if feature not in rule.when:
        return list(values)
    holds = compile_rule(rule.model_copy(update={"when": {feature: rule.when[feature]}}))
    return [value for value in values if holds(replace(_ANY_TASK, **{feature: value}))]  # type: ignore[arg-type]  # by its type


def _values(feature: str, rules: Sequence[PolicyRule], *further: str) -> list[Value]:
    """Return values of a feature: all that there are, or those at which the conditions of rules can change."""
    kinds = get_args(_TYPES[feature]) or (_TYPES[feature],)
    said = [str(rule.when[feature]).lstrip("<>=! ") for rule in rules if feature in rule.when]
    found: list[Value] = [None] if type(None) in kinds else []
    if bool in kinds:
        return [*found, False, True]
    if Lane in kinds:
        return [*found, *Lane]
    if feature == "task_type":
        return [*found, *get_args(TaskType)]
    if str in kinds:
        return [*found, *said, *further, "another text"]
    numbers = [float(text) for each in said for text in _NUMBER.findall(each)]
    step = 1 if int in kinds else 1e-9
    near = [number + move for number in (0, *numbers) for move in (-step, 0, step)]
    whole = [int(one) for one in near if one >= 0]
    return [*found, *(whole if int in kinds else [-1.0, *near, 1.0])]


def _kind(feature: str) -> str:
    names = {bool: "true or false", int: "a number from 0", float: "a number", str: "a text", Lane: "a lane"}
    kinds = get_args(_TYPES[feature]) or (_TYPES[feature],)
    return next((names[kind] for kind in kinds if kind in names), "something else")
