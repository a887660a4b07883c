"""One pass of a linear-time engine over a text finds the few places where anything could stand.

RE2 searches bytes at some 500 MB/s. Every character outside of ASCII becomes one `?` first, so that places in the bytes
are places in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import re2  # type: ignore[import-untyped]  # it ships no types
from re2 import _re2

from router.redaction.spans import Span, merge

_LONG: Final = 20_000
_ANYWHERE: Final = _re2.RE2.Anchor.UNANCHORED
_MEMORY_BYTES: Final = 32 << 20  # the most that a compiled pattern and what it learns of texts may take


class Marked(Protocol):
    """A detector that finds nothing where its marks are not."""

    @property
    def marks(self) -> str:
        """Return a pattern that matches somewhere in every text with a finding; RE2's syntax, without groups."""

    def find(self, text: str) -> Iterable[Span]:
        """Return the findings in `text`, in character offsets."""


class Scan:
    """A compiled pattern whose matches are short or maximal runs, so that repeating the search stays linear."""

    def __init__(self, pattern: str) -> None:
        # Not re2.compile: its Match objects take as long again as the search, 1.5 of 12 ms for a dense 100 KB.
        self._pattern = _re2.RE2(pattern.encode("ascii"), _options())
        if not self._pattern.ok():
            raise ValueError(f"RE2 cannot compile {pattern[:80]!r}: {self._pattern.error()!r}")

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield start and end of each match, in order and disjoint."""
        match, size = self._pattern.Match, len(data)
        start, end = match(_ANYWHERE, data, 0, size)[0]
        while start >= 0:
            yield start, end
            start, end = match(_ANYWHERE, data, end, size)[0]


class MarkedDetectors:
    """Runs those of its detectors whose marks stand in a text, which one scan for all marks tells.

    A long text has the marks of some anyway: a scan that has to remember theirs, too, would take five times as long.
    """

    def __init__(self, detectors: Iterable[Marked]) -> None:
        self._detectors = tuple(detectors)
        indices = range(len(self._detectors))
        self._everywhere = [index for index in indices if getattr(self._detectors[index], "everywhere", False)]
        self._elsewhere = [index for index in indices if index not in self._everywhere]
        self._all = self._set_of(indices)
        self._rare = self._set_of(self._elsewhere)

    def find(self, text: str) -> list[Span]:
        """Return the findings of all, merged."""
        data = searchable(text)
        if len(text) > _LONG:
            hits = [*self._everywhere, *(self._elsewhere[hit] for hit in self._rare.Match(data) or ())]
        else:
            hits = self._all.Match(data) or []
        if not hits:
            return []
        return merge(span for index in sorted(hits) for span in self._detectors[index].find(text))

    def _set_of(self, indices: Iterable[int]) -> re2.Set:
        marks = re2.Set.SearchSet(_options())
        for index in indices:
            marks.Add(self._detectors[index].marks.encode("ascii"))
        marks.Compile()
        return marks


def searchable(text: str) -> bytes:
    """Return one byte for each character."""
    return text.encode("ascii", "replace")


def in_bytes(words: str) -> str:
    """Return a pattern of words for `searchable` bytes; without what must stand around them it matches more."""
    return re.sub(r"[^ -~]", r"\?", re.sub(r"\(\?<=[^)]*\)|\\b", "", words))


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY_BYTES
    return options
