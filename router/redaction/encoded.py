"""Base64 whose text holds something that must not leave: it goes whole, as no part of it could be masked.

Three bytes of ASCII make four characters of which three are of few, so that a scan finds where such text begins.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from typing import Final

from router.redaction.scanning import Marked, MarkedDetectors, Scan, searchable
from router.redaction.spans import Span

_QUAD: Final = "[CI-Za-f][A-HQ-Xg-nw-z0-3][ABEFIJMNQRUVYZcdghklopstwx014589][A-Za-z0-9+/_-]"
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]+")
_LONGEST: Final = 1 << 16


class EncodedTexts:
    """Finds base64 in whose text other detectors find something."""

    def __init__(self, detectors: Iterable[Marked]) -> None:
        self.marks = f"(?:{_QUAD}){{4}}[A-Za-z0-9+/_-]{{8}}"
        self._starts = Scan(self.marks)
        self._inside = MarkedDetectors(detectors)

    def find(self, text: str) -> Iterator[Span]:
        """Yield whole runs of base64, as the first type that is found in their text; padding stays."""
        end = 0
        for start, _ in self._starts.spans(searchable(text)):
            run = _RUN.match(text, start, start + _LONGEST)
            if start < end or run is None or _RUN.match(text, start - 1, start):
                continue
            end = run.end()
            found = self._inside.find(_decoded(run[0]))
            if found:
                yield Span(start, end, found[0].type, "base64")


def _decoded(run: str) -> str:
    body = run[: len(run) - 1] if len(run) % 4 == 1 else run  # one character more decodes to nothing
    return base64.urlsafe_b64decode(body.replace("+", "-").replace("/", "_") + "==").decode("utf-8", "replace")
