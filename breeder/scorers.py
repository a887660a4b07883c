"""Scores of an answer against a reference, in [0, 1]; a new scorer is one row in `SCORERS`.

Pure. An answer that cannot be read scores 0 and never raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import NoReturn, TypeAlias

from registry.errors import ConfigError

Scorer: TypeAlias = Callable[[str, str], float]

_FENCE = "```"
_AGREEING = 2
_UNREADABLE = (ValueError, ArithmeticError, RecursionError)


def score(name: str, answer: str, reference: str) -> float:
    """Score an answer by the named scorer; ConfigError for a name that is not in `SCORERS`."""
    return _scorer(name)(answer, reference)


def choose_scorer(references: Sequence[str]) -> str:
    """Choose `json` where all references are JSON objects or arrays, else `text`."""
    return "json" if references and all(map(_is_json_container, references)) else "text"


def consensus(answers: Sequence[str], scorer: str) -> str | None:
    """Return the answer that at least two samples, and more than agree on any other, score as equal; else None."""
    equal = _scorer(scorer)
    groups: list[list[str]] = []
    for answer in answers:
        group = next((each for each in groups if equal(answer, each[0]) == 1.0), None)
        if group is None:
            groups.append([answer])
        else:
            group.append(answer)
    groups.sort(key=len, reverse=True)
    sizes = [*map(len, groups), 0, 0]
    return groups[0][0] if sizes[0] >= _AGREEING and sizes[0] > sizes[1] else None


def strip_fence(text: str) -> str:
    """Trim the text and the one code fence that surrounds it, if any."""
    trimmed = text.strip()
    first, *inner = trimmed.split("\n")
    if not inner or not first.startswith(_FENCE) or inner[-1].strip() != _FENCE:
        return trimmed
    if any(line.startswith(_FENCE) for line in inner[:-1]):
        return trimmed
    return "\n".join(inner[:-1]).strip()


def _scorer(name: str) -> Scorer:
    if name not in SCORERS:
        raise ConfigError(f"unknown scorer {name!r}; choose one of {', '.join(sorted(SCORERS))}")
    return SCORERS[name]


def _text(answer: str, reference: str) -> float:
    return float(strip_fence(answer) == strip_fence(reference))


def _json(answer: str, reference: str) -> float:
    try:
        return float(_parse(answer) == _parse(reference))
    except _UNREADABLE:
        return 0.0


def _is_json_container(text: str) -> bool:
    try:
        return isinstance(_parse(text), dict | list)
    except _UNREADABLE:
        return False


def _parse(text: str) -> object:
    """Parse strict JSON so that `==` compares values: 1 equals 1.0, and no number equals true."""
    return json.loads(strip_fence(text), parse_int=_number, parse_float=_number, parse_constant=_refuse)


def _number(literal: str) -> tuple[str, Decimal]:
    return ("number", Decimal(literal))


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not JSON")


SCORERS: Mapping[str, Scorer] = {"text": _text, "json": _json}
