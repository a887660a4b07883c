"""The user's own rules: conditions such as `changed_files = "> 8"` compiled to tests of an envelope."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import TypeAlias, get_args

from registry.entities import TaskEnvelope
from registry.errors import ConfigError
from registry.settings import PolicyRule, TaskType

Condition: TypeAlias = Callable[[TaskEnvelope], bool]
Plain: TypeAlias = str | int | float | bool

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_COMPARISON = re.compile(r"(>=|<=|!=|==|>|<)\s*(.+)")
FEATURES = tuple(field.name for field in fields(TaskEnvelope))


def compile_rule(rule: PolicyRule) -> Condition:
    """Return the test that all conditions of a rule hold.

    Raises:
        ConfigError: a condition names no feature of the envelope, or compares with something that is no number.

    """
    conditions = [_compile(rule.name, feature, value) for feature, value in rule.when.items()]
    return lambda envelope: all(condition(envelope) for condition in conditions)


def _compile(rule: str, feature: str, value: Plain) -> Condition:
    if feature not in FEATURES:
        known = ", ".join(FEATURES)
        raise ConfigError(f"policy rule {rule!r} looks at {feature!r}, which no task has; known features: {known}")
    comparison = _COMPARISON.fullmatch(value.strip()) if isinstance(value, str) else None
    if feature == "task_type":
        _check_task_type(rule, comparison[2] if comparison else str(value))
    if comparison is None:
        return lambda envelope: bool(getattr(envelope, feature) == value)
    sign, right = comparison.groups()
    if sign in ("==", "!="):
        return lambda envelope: (_as_text(getattr(envelope, feature)) == right) is (sign == "==")
    number = _number(rule, feature, right)
    compare = _COMPARISONS[sign]
    return lambda envelope: _holds(getattr(envelope, feature), compare, number)


def _check_task_type(rule: str, name: str) -> None:
    known = get_args(TaskType)
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known types: {', '.join(known)}"
        raise ConfigError(f"policy rule {rule!r} looks for task type {name!r}, which there is not; {hint}")


def _number(rule: str, feature: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"policy rule {rule!r} compares {feature} with {text!r}; write a number") from error


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _holds(value: object, compare: Callable[[float, float], bool], number: float) -> bool:
    return isinstance(value, int | float) and compare(value, number)
