"""The words that stand for masked values, and how they are found again in whole texts and in streams."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final

from router.redaction.json_text import Edit, apply
from router.redaction.spans import END, WORD_START, ascii_lower

BOUNDARY: Final = re.compile(WORD_START)
# How much text before a word decides whether it is one, and where in a run of letters and digits it may begin.
_CONTEXT: Final = len(r"\u003c")
_OFFSETS: Final = (0, len("n"), len("u003c"))


class Vocabulary:
    """The shape of placeholders: a type in any letter case, an ordinal from 1, nothing glued to either side."""

    def __init__(self, types: Iterable[str]) -> None:
        self.types = frozenset(types)
        self._literals = tuple(sorted(name.lower() for name in self.types))
        self._word = re.compile(rf"{WORD_START}((?i:{'|'.join(self._literals)}))[1-9][0-9]*{END}", re.ASCII)

    def is_word(self, text: str) -> bool:
        """Tell whether a text is one word of this shape."""
        return self._word.fullmatch(text) is not None

    def find(self, text: str) -> list[re.Match[str]]:
        """Return every word of this shape, in order; its first group is the type."""
        # Searching a literal in lowered text is 20 times as fast as a pattern that ignores case.
        lower = ascii_lower(text)
        begun = [literal for literal in self._literals if literal in lower]
        found = [self._word.match(text, start) for literal in begun for start in _positions(lower, literal)]
        return sorted((word for word in found if word), key=lambda word: word.start())


@lru_cache(maxsize=16)
def vocabulary_of(types: frozenset[str]) -> Vocabulary:
    """Return the vocabulary of some types, the same for each conversation: to compile one takes 30 µs."""
    return Vocabulary(types)


def restorations(text: str, vocabulary: Vocabulary, values: Mapping[str, str]) -> Iterator[Edit]:
    """Yield the edits that put values back; a placeholder without a value stays visible."""
    for word in vocabulary.find(text) if values else ():
        value = values.get(word[0].upper())
        if value is not None:
            yield Edit(word.start(), word.end(), value)


class StreamRestorer:
    """Restores a text that arrives in pieces; holds back only what may still become a placeholder."""

    def __init__(self, vocabulary: Vocabulary, values: Mapping[str, str]) -> None:
        self._vocabulary = vocabulary
        self._values = dict(values)
        self._prefixes = {name[:size] for name in values for size in range(1, len(name) + 1)}
        self._longest = max(map(len, values), default=0)
        self._context = ""
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what is certain once `text` has arrived."""
        return self._release(text, final=False)

    def flush(self) -> str:
        """Return what is left at the end of the stream."""
        return self._release("", final=True)

    def _release(self, text: str, *, final: bool) -> str:
        text = self._context + self._held + text
        begin = len(self._context)
        end = len(text) if final else self._held_from(text, begin)
        edits = restorations(text[:end], self._vocabulary, self._values)
        restored = apply(text[:end], (edit for edit in edits if edit.start >= begin))
        self._context, self._held = text[:end][-_CONTEXT:], text[end:]
        return restored[begin:]

    def _held_from(self, text: str, begin: int) -> int:
        """Return where the words that may go on begin: the start of a placeholder that ends the text, else its end."""
        start, floor = len(text), max(0, len(text) - self._longest - _CONTEXT)
        while start > floor and text[start - 1].isascii() and text[start - 1].isalnum():
            start -= 1
        for candidate in (start + offset for offset in _OFFSETS):
            held = candidate >= begin and text[candidate:].upper() in self._prefixes
            if held and BOUNDARY.match(text, candidate):
                return candidate
        return len(text)


def _positions(text: str, literal: str) -> Iterator[int]:
    start = text.find(literal)
    while start >= 0:
        yield start
        start = text.find(literal, start + 1)
