"""Finds values that are known wherever they stand, in a time that hardly grows with how many they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

SHORTEST: Final = 6
"""Characters of a value at least."""
_FEW: Final = 64  # searches by C, each for one value, that take no longer than one walk over the text


class KnownValues:
    """Values of `SHORTEST` characters and more."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._lengths: dict[str, set[int]] = {}
        for value in values:
            self.add(value)

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: str) -> None:
        """Let a value be found from now on."""
        self._values.add(value)
        self._lengths.setdefault(value[:SHORTEST], set()).add(len(value))

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where values begin and end; one may stand within another."""
        if len(self._values) <= _FEW:
            for value in self._values:
                start = text.find(value)
                while start >= 0:
                    yield start, start + len(value)
                    start = text.find(value, start + len(value))
            return
        for start in range(len(text) - SHORTEST + 1):
            for end in (start + length for length in self._lengths.get(text[start : start + SHORTEST], ())):
                if end <= len(text) and text[start:end] in self._values:
                    yield start, end
