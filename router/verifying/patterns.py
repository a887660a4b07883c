"""Regular expressions of policies and schemas, matched in linear time by the Rust engine that pydantic ships.

Python's own `re` needs longer than the universe for `^(a+)+$` on 60 letters. The price: no look-around and no
back-references. `$` is the very end of the text, not before a last line break.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from pydantic_core import SchemaError, SchemaValidator, core_schema

from registry.errors import ConfigError, DataError
from router.chat import JsonObject
from router.verifying.finding import Finding, Reply

MAX_PATTERN_CHARS = 1000
MAX_REPEATS = 10_000
"""The most that counts may multiply to: `a{100000}` was seen to compile for 0.3 s, `a{10000}` for 30 ms."""
MAX_SUBJECT_CHARS = 1 << 18

_COUNTED = re.compile(r"\{(\d{1,9})(?:,(\d{0,9}))?\}")

Matcher = Callable[[str], bool]


class UnusablePatternError(DataError):
    """A regular expression cannot be used."""


def compile_pattern(pattern: str) -> Matcher:
    """Return a function that says whether a text has a match anywhere; texts over 256 Ki characters have none.

    Raises:
        UnusablePatternError: it does not parse, is too large, or needs what has no linear-time form.

    """
    flaw = _flaw(pattern)
    if flaw:
        raise UnusablePatternError(f"the pattern {pattern[:100]!r} cannot be used: {flaw}")
    try:
        validator = SchemaValidator(core_schema.str_schema(strict=True, pattern=pattern, regex_engine="rust-regex"))
    except SchemaError as error:
        said = str(error).strip().splitlines()[-1].strip().removeprefix("error: ")
        raise UnusablePatternError(f"the pattern {pattern[:100]!r} cannot be used: {said}; write it simpler") from error
    return lambda text: len(text) <= MAX_SUBJECT_CHARS and validator.isinstance_python(text)


def _flaw(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN_CHARS:
        return f"it has {len(pattern):,} characters, at most {MAX_PATTERN_CHARS:,} are read"
    counts = [int(found[2] or found[1]) for found in _COUNTED.finditer(pattern)]
    repeats = math.prod(max(1, count) for count in counts)
    return f"its counts multiply to {repeats:,}, at most {MAX_REPEATS:,} are read" if repeats > MAX_REPEATS else ""


class PatternVerifier:
    """Finds an answer ok whose text has a match of a pattern that the user's policy names."""

    def __init__(self, name: str, pattern: str) -> None:
        """Compile the pattern; ConfigError where that is not possible."""
        self._name = name
        self._pattern = pattern
        try:
            self._matches = compile_pattern(pattern)
        except UnusablePatternError as error:
            raise ConfigError(f"policy.verify {name!r}: {error}") from error

    async def verify(self, reply: Reply, _request: JsonObject) -> Finding:
        """Search the text of an answer."""
        if self._matches(reply.text):
            return Finding(ok=True, name=self._name)
        return Finding(ok=False, name=self._name, why=f"the answer does not match {self._pattern[:100]!r}")
