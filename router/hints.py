"""What a client may say about its task, in X-ModelBreeder-* headers or `metadata` fields; hints only narrow policy.

Where a hint is given twice, the higher margin and the narrower escalation right hold; other hints must agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from registry.entities import Json, Lane
from router.problems import InvalidRequestError

HEADER_PREFIX = "x-modelbreeder-"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MAX_TEXT = 200
_LANES = {**{lane.value: lane for lane in Lane}, "local": Lane.LOCAL_FAST, "cloud": Lane.CLOUD_ESCALATION}
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class Hints:
    """The hints of one request; None where the client said nothing."""

    workflow: str | None = None
    task_id: str | None = None
    data_class: str | None = None
    lane: Lane | None = None
    minimum_margin: float | None = None
    allow_escalation: bool | None = None
    changed_files: int | None = None
    retry_count: int | None = None
    session: str | None = None
    deadline_ms: int | None = None


def _name(text: str) -> str:
    if not NAME_PATTERN.fullmatch(text):
        raise ValueError("letters, digits, '.', '_' and '-', at most 80")
    return text


def _text(text: str) -> str:
    if not text or len(text) > _MAX_TEXT:
        raise ValueError(f"1 to {_MAX_TEXT} characters")
    return text


def _data_class(text: str) -> str:
    return _name(text.strip().lower())


def _lane(text: str) -> Lane:
    if text not in _LANES:
        raise ValueError(f"one of {', '.join(_LANES)}")
    return _LANES[text]


def _margin(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not -1 <= margin <= 1:
        raise ValueError("a number from -1 to 1")
    return margin


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError("true or false")
    return _TRUTH[text.lower()]


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError("a whole number, 0 or more")
    return int(text)


_READERS: Mapping[str, Callable[[str], object]] = {
    "workflow": _name,
    "task-id": _text,
    "data-class": _data_class,
    "lane": _lane,
    "minimum-margin": _margin,
    "allow-escalation": _truth,
    "changed-files": _count,
    "retry-count": _count,
    "session": _text,
    "deadline-ms": _count,
}


def parse_hints(headers: Iterable[tuple[str, str]], metadata: Json = None) -> Hints:
    """Read the hints of a request from its headers (names in lower case) and its metadata.

    Raises:
        InvalidRequestError: a hint has a value that cannot be read, two contradict each other, or a header names none.

    """
    fields = metadata.items() if isinstance(metadata, dict) else ()
    named = [(f"metadata.{key}", _hint_of(key), value) for key, value in fields]
    named += [(key, _header_hint(key), value) for key, value in headers if key.startswith(HEADER_PREFIX)]
    values: dict[str, object] = {}
    for param, hint, value in named:
        if hint is not None:
            name = hint.replace("-", "_")
            read = _read(param, value, _READERS[hint])
            values[name] = _narrower(param, values[name], read) if name in values else read
    return Hints(**values)  # type: ignore[arg-type]  # each reader returns the type of its field


def without_hints(metadata: Json) -> Json:
    """Return a request's metadata less our hints; None where nothing else was in it."""
    if not isinstance(metadata, dict):
        return metadata
    return {key: value for key, value in metadata.items() if _hint_of(key) is None} or None


def _header_hint(key: str) -> str:
    """Return the hint of a header of ours; one that is misspelt could let a task leave that was to stay."""
    hint = _hint_of(key)
    if hint is None:
        near = get_close_matches(key.removeprefix(HEADER_PREFIX), _READERS, n=1)
        known = f"did you mean {HEADER_PREFIX}{near[0]}?" if near else f"known are {', '.join(_READERS)}"
        raise InvalidRequestError(f"no hint has the name {key[:80]!r}; {known}", key[:80])
    return hint


def _hint_of(key: str) -> str | None:
    hint = key.lower().replace("_", "-").removeprefix(HEADER_PREFIX)
    return hint if hint in _READERS else None


def _read(param: str, value: Json, read: Callable[[str], object]) -> object:
    text = str(value).lower() if isinstance(value, bool) else value
    if isinstance(text, int | float):
        text = f"{text:g}" if isinstance(text, float) else str(text)
    if not isinstance(text, str):
        raise InvalidRequestError(
            f"{param} must be a string, a number or a truth value; leave it out or mend it", param
        )
    try:
        return read(text.strip())
    except ValueError as error:
        raise InvalidRequestError(f"{param} is {text[:80]!r}; it must be {error}", param) from error


def _narrower(param: str, first: object, second: object) -> object:
    if isinstance(first, bool) and isinstance(second, bool):
        return first and second
    if isinstance(first, float) and isinstance(second, float):
        return max(first, second)
    if first != second:
        raise InvalidRequestError(f"{param} says {second!s}, elsewhere the request says {first!s}; keep one", param)
    return first
