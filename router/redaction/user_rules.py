"""What a user adds to the detectors and takes from them: names, repository paths, types off, allowed values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Final

import re2  # type: ignore[import-untyped]  # it ships no types

from registry.errors import ConfigError
from router.redaction.scanning import Marked, Scan, searchable
from router.redaction.spans import Detector, Span, is_unbounded

NAME: Final = "PIINAME"
PATH: Final = "REPOPATH"
_LONGEST_PATH: Final = 1024


class NameList:
    """Finds names that a user listed, as whole words in any letter case; a blank in one is any run of white space."""

    def __init__(self, names: Iterable[str]) -> None:
        longest_first = sorted({name.strip() for name in names if name.strip()}, key=lambda name: (-len(name), name))
        if not longest_first:
            raise ConfigError("redaction.names holds only blanks; write the names that are to be masked, or remove it")
        options = re2.Options()
        options.log_errors = False
        try:
            self._names = re2.compile(f"(?i:{'|'.join(map(_spaced, longest_first))})", options)
        except re2.error as error:
            size = sum(map(len, longest_first))
            raise ConfigError(
                f"redaction.names has {size:,} characters in {len(longest_first):,} names, more than one search takes; "
                "keep those that matter, or write what they share as a rule in redaction.rules"
            ) from error

    def find(self, text: str) -> Iterator[Span]:
        """Yield the names; "Ann" is not found in "Annex"."""
        for match in self._names.finditer(text):
            start, end = match.span()
            if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                yield Span(start, end, NAME, "name-list")


class PathGlobs:
    """Finds paths of files that a user does not want to be named: `clients/acme/**`, `*.pem`."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._runs = Scan(r"[A-Za-z0-9_.@~+/\\-]{2,}")
        self._globs = [re.compile(rf"(?:.*/)?{_expression(glob)}", re.IGNORECASE) for glob in globs]

    def find(self, text: str) -> Iterator[Span]:
        """Yield paths any of whose tails a glob matches."""
        for start, end in self._runs.spans(searchable(text)):
            path = text[start:end].rstrip(".")
            if len(path) > _LONGEST_PATH:
                continue
            if any(glob.fullmatch(path.replace("\\", "/")) for glob in self._globs):
                yield Span(start, start + len(path), PATH, "path-glob")


class Sifted:
    """Passes on what a detector finds, without types that are off and values that a user allows to leave."""

    def __init__(self, detector: Detector, off: Collection[str], allowed: Sequence[str]) -> None:
        self._detector = detector
        self._off = frozenset(off)
        self._allowed = tuple(pattern.lower() for pattern in allowed)
        self.unbounded = is_unbounded(detector)

    def find(self, text: str) -> Iterator[Span]:
        """Yield the findings that are left."""
        for span in self._detector.find(text):
            if span.type not in self._off and not self._is_allowed(text[span.start : span.end].lower()):
                yield span

    def _is_allowed(self, value: str) -> bool:
        return any(fnmatchcase(value, pattern) for pattern in self._allowed)


class SiftedMarked(Sifted):
    """A built-in detector, sifted by itself: what it finds may hide what another one finds once they are merged."""

    def __init__(self, detector: Marked, off: Collection[str], allowed: Sequence[str]) -> None:
        super().__init__(detector, off, allowed)
        self.marks = detector.marks
        self.everywhere = getattr(detector, "everywhere", False)


def _spaced(name: str) -> str:
    return r"[\s\x{a0}]+".join(map(re2.escape, name.split()))


def _expression(glob: str) -> str:
    """Return a glob as a regular expression: `*` stays inside one folder, `**` does not."""
    pieces = re.split(r"(\*\*|\*|\?)", glob)
    known = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(known.get(piece, re.escape(piece)) for piece in pieces)
