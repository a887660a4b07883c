"""Find a value wherever a text quotes it: in any letter case, broken over lines, and escaped as JSON within JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

LEAST_CHARACTERS = 3
_SPACE = r"(?:\s|\\+(?:[nrtf]|u[0-9a-f]{4}))+"


def quoting(values: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds any of the values; each has a character that is no white space."""
    return re.compile("|".join(map(_value, values)), re.IGNORECASE)


def _value(value: str) -> str:
    return _SPACE.join(map(_word, value.split()))


def _word(word: str) -> str:
    once = [json.dumps(word, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)]
    twice = [json.dumps(form, ensure_ascii=False)[1:-1] for form in once]
    return f"(?:{'|'.join(map(re.escape, dict.fromkeys((word, *once, *twice))))})"
