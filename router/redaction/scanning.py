"""One pass of a linear-time engine over a text finds the few places where anything could stand.

RE2 searches bytes at some 500 MB/s. Every character outside of ASCII becomes one `?` first, so that places in the bytes
are places in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import re2  # type: ignore[import-untyped]  # it ships no types

from router.redaction.spans import Span, merge

_LONG: Final = 20_000
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
        self._pattern = re2.compile(pattern.encode("ascii"), _options())

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yield start and end of each match, in order and disjoint."""
        return (match.span() for match in self._pattern.finditer(data))


class MarkedDetectors:
    """Runs those of its detectors whose marks stand in a text, which one scan for all marks tells."""

    def __init__(self, detectors: Iterable[Marked]) -> None:
        self._detectors = tuple(detectors)
        self._marks = re2.Set.SearchSet(_options())
        for detector in self._detectors:
            self._marks.Add(detector.marks.encode("ascii"))
        self._marks.Compile()

    def find(self, text: str) -> list[Span]:
        """Return the findings of all, merged."""
        # In a long text most marks stand somewhere, and each detector's own scan finds out as fast.
        hits = range(len(self._detectors)) if len(text) > _LONG else self._marks.Match(searchable(text))
        if not hits:
            return []
        return merge([span for index in sorted(hits) for span in self._detectors[index].find(text)])


def searchable(text: str) -> bytes:
    """Return one byte for each character."""
    return text.encode("ascii", "replace")


def _options() -> re2.Options:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.never_capture = True
    options.max_mem = _MEMORY_BYTES
    return options
