"""What a client may say about its task, in X-ModelBreeder-* headers or `metadata` fields; hints only narrow policy.

Where a hint is given twice, the higher margin and the narrower escalation right hold; other hints must agree. A name
counts in any letter case and with any signs between its words: as a slip of the pen it could let a task leave.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches

from registry.entities import Json, Lane
from router.problems import InvalidRequestError

HEADER_PREFIX = "x-modelbreeder-"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MAX_TEXT = 200
_SIGNS = str.maketrans("", "", "-_.: \t")
_OURS = "modelbreeder"
_KEEPS_HERE = ("data-class", "allow-escalation", "minimum-margin")
"""Hints without which a task may leave, of names so long that nobody else's are like them."""
_KEPT = {hint.translate(_SIGNS): hint for hint in _KEEPS_HERE}
_SHORTEST = min(map(len, _KEPT))
_ENDS = tuple(re.split("[^a-z]", hint)[-1] for hint in _KEEPS_HERE)
_ALIKE, _MISSING = 0.85, 2
_WRAPPERS = ("metadata", "extra_body")
_MOST_FIELDS = 64
"""Metadata fields among which misspelt hints are looked for; vendors take no more than 16."""
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
_BY_LETTERS = {hint.translate(_SIGNS): hint for hint in _READERS}


def parse_hints(headers: Iterable[tuple[str, str]], metadata: Json = None, fields: Iterable[str] = ()) -> Hints:
    """Read the hints of a request from its headers (names in lower case) and its metadata.

    Args:
        headers: of the request.
        metadata: what it has under `metadata`.
        fields: the names of all its fields, or the fields themselves, among and in which a hint has no place.

    Raises:
        InvalidRequestError: a hint has a value that cannot be read, two contradict each other, what is named as ours is
            no hint, metadata that are no object might hold one, or one stands beside the metadata.

    """
    _check_places(fields)
    if isinstance(metadata, str | list):
        raise InvalidRequestError('metadata must be an object, as in {"data-class": "client"}', "metadata")
    given = metadata if isinstance(metadata, dict) else {}
    few = len(given) <= _MOST_FIELDS
    named = [(f"metadata.{key}"[:80], _metadata_hint(key, few=few), value) for key, value in given.items()]
    # All headers pass here, and most are nobody's of ours.
    named += [(key[:80], _header_hint(key), value) for key, value in headers if "breeder" in key or key.endswith(_ENDS)]
    values: dict[str, object] = {}
    for param, hint, value in named:
        if hint is not None:
            name = hint.replace("-", "_")
            read = _read(param, value, _READERS[hint])
            values[name] = _narrower(param, values[name], read) if name in values else read
    return Hints(**values)  # type: ignore[arg-type]  # each reader returns the type of its field


def _check_places(fields: Iterable[str]) -> None:
    """Refuse a hint beside the metadata, in another field than these, or further within them: it would be lost."""
    for beside in fields:
        _check_place(beside, beside)
        value = fields[beside] if isinstance(fields, Mapping) else None
        if not isinstance(value, dict):
            continue
        for key, inner in value.items():
            if beside != "metadata":
                _check_place(key, f"{beside}.{key}")
            # Deeper than that a schema may well have such a name among its properties.
            if isinstance(inner, dict) and beside in _WRAPPERS:
                for nested in inner:
                    _check_place(nested, f"{beside}.{key}.{nested}")


def _check_place(name: str, path: str) -> None:
    letters, ours = _letters(name) if len(name) >= _SHORTEST else ("", False)
    hint = _BY_LETTERS.get(letters)
    if ours or hint in _KEEPS_HERE:
        said = f"{path[:80]!r} is no field of a request; write it as metadata.{hint or 'NAME'}, or as a header"
        raise InvalidRequestError(said, path[:80])


def without_hints(metadata: Json) -> Json:
    """Return a request's metadata less our hints; None where nothing else was in it."""
    if not isinstance(metadata, dict):
        return metadata
    return {key: value for key, value in metadata.items() if _letters(key)[0] not in _BY_LETTERS} or None


def _metadata_hint(key: str, *, few: bool) -> str | None:
    """Return the hint of a metadata field, None for one of the client's own; refuse what was probably meant as ours."""
    letters, ours = _letters(key)
    if letters in _BY_LETTERS:
        return _BY_LETTERS[letters]
    if ours:
        return _known_hint(key, f"metadata.{key}")
    meant = next((hint for kept, hint in _KEPT.items() if _is_like(letters, kept)), None) if few else None
    if meant is not None:
        raise _no_hint(f"metadata.{key}", meant)
    return None


def _header_hint(key: str) -> str | None:
    """Return the hint of a header, None for one of somebody else's; refuse one in which only our name is misspelt."""
    letters, ours = _letters(key)
    if ours:
        return _known_hint(key, key)
    meant = next((hint for kept, hint in _KEPT.items() if letters.endswith(kept)), None)
    if meant is not None:
        raise _no_hint(key, meant)
    return None


def _known_hint(key: str, param: str) -> str:
    """Return the hint of a name that is ours; one that is misspelt could let a task leave that was to stay."""
    letters, _ = _letters(key)
    if letters not in _BY_LETTERS:
        near = next(iter(get_close_matches(letters, _BY_LETTERS, n=1)), None)
        raise _no_hint(param, near and _BY_LETTERS[near])
    return _BY_LETTERS[letters]


def _no_hint(param: str, meant: str | None) -> InvalidRequestError:
    prefix = "metadata." if param.startswith("metadata.") else HEADER_PREFIX
    known = f"did you mean {prefix}{meant}?" if meant else f"known are {', '.join(_READERS)}"
    return InvalidRequestError(f"no hint has the name {param[:80]!r}; {known}", param[:80])


def _letters(key: str) -> tuple[str, bool]:
    """Return the letters of a hint's name, without what says that it is ours, and whether something does."""
    plain = key.lower().translate(_SIGNS)
    bare = plain.removeprefix("x")
    return (bare.removeprefix(_OURS), True) if bare.startswith(_OURS) else (plain, False)


def _is_like(letters: str, name: str) -> bool:
    # Nearly all names are so unlike ours that the exact look, at 20 us, can be spared.
    if abs(len(letters) - len(name)) > _MISSING or len({*name}.difference(letters)) > _MISSING:
        return False
    return SequenceMatcher(None, letters, name).ratio() >= _ALIKE


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
