"""What a detector finds: spans of text, checked and merged.

A detector is outside code to the rest of the router: whatever it raises or returns wrongly becomes a `RedactionError`,
never a silent miss.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from registry.errors import RedactionError

TYPE_NAME: Final = re.compile(r"[A-Z]{2,24}")

# A word of its own begins after anything but an ASCII letter or digit, and after an escape of quoted source code or
# JSON: \n, \u003c.
WORD_START: Final = r"(?:(?<![A-Za-z0-9])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4}))"
# A secret may also follow an escape of a URL.
START: Final = rf"(?:{WORD_START}|(?<=%[0-9A-Fa-f]{{2}}))"
END: Final = r"(?![A-Za-z0-9])"

_REMEMBERED: Final = 4096
_LONGEST_KEPT: Final = 200


@dataclass(frozen=True, slots=True)
class Span:
    """One finding: `text[start:end]`, what it is (`SECRET`, `PIIEMAIL`, ...) and which rule found it."""

    start: int
    end: int
    type: str
    detector: str
    joined: tuple[str, ...] = field(default=(), compare=False)
    """Types of other findings that became one with it: they tell a data class, though their name is lost."""


class Detector(Protocol):
    """Finds one family of secrets; its own spans must be disjoint."""

    def find(self, text: str) -> Iterable[Span]:
        """Return the findings in `text`, in character offsets."""


def is_unbounded(detector: Detector) -> bool:
    """Tell whether a detector is outside code that no promise bounds in time; the built-in ones are linear."""
    return bool(getattr(detector, "unbounded", False))


class CleanTexts:
    """What the detectors of one redactor found in texts before, so that a conversation's history is not scanned again.

    Short texts without findings are kept as they are: roles, field names and tools come back with every request of a
    client. Of long ones only a keyed digest is kept, with places and types: no secret stays here, and without the key,
    which dies with the process, nobody can test a guess. Short texts with a finding are looked at every time.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._texts: set[str] = set()
        self._findings: dict[bytes, tuple[Span, ...]] = {}
        self._key = secrets.token_bytes(32) if key is None else key

    def __contains__(self, text: str) -> bool:
        return text in self._texts

    def recall(self, text: str) -> tuple[Span, ...] | None:
        """Return what was found in a text, None where it is not known."""
        if len(text) <= _LONGEST_KEPT:
            return () if text in self._texts else None
        return self._findings.get(self._digest(text))

    def remember(self, text: str, found: Sequence[Span]) -> None:
        """Remember what was found in a text."""
        if len(text) > _LONGEST_KEPT:
            if len(self._findings) >= _REMEMBERED:
                self._findings.clear()
            self._findings[self._digest(text)] = tuple(found)
        elif not found:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            self._texts.add(text)

    def _digest(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=24).digest()


def find_spans(text: str, detectors: Sequence[Detector], clean: CleanTexts | None = None) -> list[Span]:
    """Return the findings of all detectors, ordered and disjoint; raise RedactionError if a detector misbehaves.

    Overlapping and touching findings become one span over all their characters, named after the longest, or the first
    of equals. What is in `clean` is not looked at again, and what was looked at joins it.
    """
    if clean is not None and (known := clean.recall(text)) is not None:
        return list(known)
    found = [span for detector in detectors for span in _checked(detector, text)]
    merged = merge(found) if found else found
    if clean is not None:
        clean.remember(text, merged)
    return merged


def merge(spans: Iterable[Span]) -> list[Span]:
    """Join spans that overlap or touch; no character of any of them is lost."""
    merged: list[Span] = []
    longest: Span | None = None
    for span in sorted(spans, key=lambda s: (s.start, -s.end)):
        if longest is not None and span.start <= merged[-1].end:
            last, longest = merged[-1], max(longest, span, key=lambda s: s.end - s.start)
            types = {last.type, *last.joined, span.type, *span.joined} - {longest.type}
            merged[-1] = replace(longest, start=last.start, end=max(last.end, span.end), joined=tuple(sorted(types)))
        else:
            longest = span
            merged.append(span)
    return merged


def ascii_lower(text: str) -> str:
    """Lower ASCII letters and keep every offset (str.lower lengthens some other letters)."""
    if text.isascii():
        return text.lower()
    return text.encode("ascii", "replace").decode("ascii").lower()


def _checked(detector: Detector, text: str) -> list[Span]:
    try:
        spans = list(detector.find(text))
        sound = not spans or _are_sound(spans, len(text))
    except Exception as error:  # noqa: BLE001 - fail closed: any failure of a detector must stop the request
        # The original may quote the text it failed on, so neither its message nor the chain is kept.
        raise _refusal(detector, f"failed with {type(error).__name__}") from None
    if not sound:
        raise _refusal(detector, "returned spans that are not disjoint, not inside the text or of no valid type")
    return spans


def _are_sound(spans: Sequence[Span], length: int) -> bool:
    end = 0
    for span in sorted(spans, key=lambda span: span.start):
        whole = isinstance(span.start, int) and isinstance(span.end, int)
        if not (whole and end <= span.start < span.end <= length and TYPE_NAME.fullmatch(span.type)):
            return False
        end = span.end
    return True


def _refusal(detector: Detector, what: str) -> RedactionError:
    name = type(detector).__name__
    return RedactionError(f"detector {name} {what}; nothing was sent: use a local lane, or fix or remove this detector")
