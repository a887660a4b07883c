"""Presidio's patterns for what we have no validator of, in the `[pii]` extra: papers, licences, wallets, accounts.

Its other recognizers are left out: on the corpora they found two telephone numbers that ours had missed, and took file
names, versions, street numbers and the credentials of URLs for findings; a date or a UUID names nobody. Among them is
the one that would fetch a list of domains: nothing is fetched. Presidio's own loop skips a pattern that takes too long;
the one here fails, so that the request reaches no cloud.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Final, cast

from registry.errors import ConfigError
from router.redaction.spans import Span, merge

if TYPE_CHECKING:
    import regex  # type: ignore[import-untyped]  # it ships no types
    from presidio_analyzer import Pattern, PatternRecognizer

PAPERS: Final = "PIIID"
_ENTITIES: Final = frozenset(
    {
        "CRYPTO", "MAC_ADDRESS", "MEDICAL_LICENSE", "UK_NHS", "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN",
        "US_PASSPORT",
    }
)  # fmt: skip
# One number of ten digits in eleven has the right check digit, times and counters too.
_NEEDS_CONTEXT: Final = frozenset({"UK_NHS"})
# What Presidio's own enhancer adds for a context word among the five before, and the least that it then gives.
_CONTEXT_BONUS: Final = 0.35
_LEAST_IN_CONTEXT: Final = 0.4
_CONTEXT_SIZE: Final = 48
_PATTERN_LIMIT_S: Final = 5.0
# Presidio looks for them for the sake of models that are not used here: 4.7 s of 5.6, and most of the memory.
_NEEDLESS: Final = ("torch", "transformers")


class PresidioPatterns:
    """Finds what Presidio's English pattern recognizers score high enough, a context word before it counted in."""

    unbounded: Final = True

    def __init__(self, least_score: float) -> None:
        """Import and build the recognizers, which takes a second; raise ConfigError where the extra is missing."""
        self._least = least_score
        self._rules = [_Rule(one) for one in _recognizers()]

    def find(self, text: str) -> list[Span]:
        """Return the findings, merged under the longest, of equals the best scored; raise TimeoutError."""
        scored = [found for rule in self._rules for found in rule.find(text) if found[0] >= self._least]
        return merge(span for _, span in sorted(scored, key=lambda found: -found[0]))


class _Rule:
    """One recognizer: its patterns compiled, and the words that speak for it."""

    def __init__(self, recognizer: PatternRecognizer) -> None:
        import regex

        self._recognizer = recognizer
        self._entity = recognizer.supported_entities[0]
        flags = recognizer.global_regex_flags
        patterns: list[Pattern] = recognizer.patterns  # type: ignore[has-type]  # Presidio does not annotate it
        self._patterns = [(regex.compile(one.regex, flags=flags), one.score) for one in patterns]
        self._context = _any_word(recognizer.context or ())

    def find(self, text: str) -> Iterator[tuple[float, Span]]:
        """Yield each finding with its score."""
        for pattern, score in self._patterns:
            for match in pattern.finditer(text, timeout=_PATTERN_LIMIT_S):
                judged = self._judged(text, match, score) if _is_whole(text, *match.span()) else 0.0
                if judged > 0:
                    yield judged, Span(match.start(), match.end(), PAPERS, f"presidio:{self._entity}")

    def _judged(self, text: str, match: regex.Match[str], score: float) -> float:
        """Return the score of a match: its pattern's, its validator's, raised by a context word."""
        valid = self._recognizer.validate_result(match[0])
        if valid is False or self._recognizer.invalidate_result(match[0]):
            return 0.0
        near = self._context.search(text, max(0, match.start() - _CONTEXT_SIZE), match.start()) is not None
        if self._entity in _NEEDS_CONTEXT and not near:
            return 0.0
        if valid:
            return 1.0
        return min(1.0, max(score + _CONTEXT_BONUS, _LEAST_IN_CONTEXT)) if near else score


def _is_whole(text: str, start: int, end: int) -> bool:
    """Tell whether a match is no piece of a longer word, as of a hash."""
    return start < end and not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _any_word(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern for any of some words, also inside of `passport_number`; for none where there are none."""
    any_of = "|".join(re.escape(word) for word in words) or r"(?!)"
    return re.compile(rf"(?<![^\W_])(?:{any_of})(?![^\W_])", re.IGNORECASE)


def _recognizers() -> list[PatternRecognizer]:
    with _unless_there(_NEEDLESS), _quiet("presidio-analyzer"):
        return _built()


def _built() -> list[PatternRecognizer]:
    try:
        from presidio_analyzer import PatternRecognizer, RecognizerRegistry
        from presidio_analyzer.nlp_engine import NoOpNlpEngine
    except ImportError as error:
        raise ConfigError(
            "redaction.presidio is on, but Presidio is not installed: pip install 'modelbreeder[pii]', or turn it off"
        ) from error
    engine = NoOpNlpEngine([{"lang_code": "en", "model_name": ""}])
    engine.load()
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    known = (one for one in registry.recognizers if isinstance(one, PatternRecognizer))
    return sorted(
        (one for one in known if one.supported_entities[0] in _ENTITIES), key=lambda one: one.supported_entities[0]
    )


@contextmanager
def _unless_there(names: Iterable[str]) -> Iterator[None]:
    """Let nobody import modules meanwhile that are not imported yet."""
    absent = [name for name in names if name not in sys.modules]
    hidden: dict[str, ModuleType | None] = cast("dict[str, ModuleType | None]", sys.modules)
    hidden.update(dict.fromkeys(absent))
    try:
        yield
    finally:
        for name in absent:
            del hidden[name]


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Let a logger tell errors alone meanwhile: it warns of each recognizer of a language that is not asked for."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
