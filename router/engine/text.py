"""From the bytes of tokens to text that is certain: whole UTF-8 characters, never a part of a stop string."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextAssembler:
    """Joins token bytes; holds back what may still become a character or a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.stopped = False

    def feed(self, data: bytes, *, last: bool = False) -> str:
        """Return the text that became certain; `last` releases everything. After a stop string nothing comes."""
        if not self._stops:
            return self._decoder.decode(data, last)
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(data, last)
        cut = self._first_stop(text)
        if cut is not None:
            self.stopped = True
            return text[:cut]
        keep = 0 if last else self._possible_stop(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def _first_stop(self, text: str) -> int | None:
        """Return where the stop string begins that is complete first, whatever the pieces were."""
        found = [(at + len(stop), at) for stop in self._stops if (at := text.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _possible_stop(self, text: str) -> int:
        """Return the length of the longest end of the text with which a stop string begins."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        lengths = range(min(longest, len(text)), 0, -1)
        return next((n for n in lengths if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)
