"""Masks findings with placeholders (`PIIEMAIL1`, `SECRET2`) and puts the values back into answers.

A finding is widened to whole words, and a text's own words that look like a placeholder in use are masked too, so
restoring what was masked always gives the original. Values live in memory only and are never shown by repr.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from typing_extensions import override

from registry.errors import RedactionError
from router.redaction.assignments import promises_secret
from router.redaction.detectors import DEFAULT_TYPES
from router.redaction.json_text import Edit, apply, edit_leaf, edit_value, escape, is_json
from router.redaction.known_values import SHORTEST, KnownValues
from router.redaction.opaque import set_aside
from router.redaction.placeholders import (
    BOUNDARY,
    Placeholder,
    StreamRestorer,
    placeholder,
    restorations,
    vocabulary_of,
)
from router.redaction.places import Place, places_in
from router.redaction.spans import CleanTexts, Detector, Span, find_spans, merge

_SECRET: Final = "SECRET"  # noqa: S105 - the name of a type
_URL: Final = "PIIURL"
_SCHEME: Final = re.compile(r"(?:https?|ftps?|wss?)://", re.IGNORECASE)
# Keys that say what a short value is, as the words before it would in a text.
_OF_SOMEBODY: Final = re.compile(
    "phone|mobile|cell|tel|fax|contact|ssn|social|passport|licen[cs]e|permit|account|bank|tax|nhs|medical|wallet"
    "|mac_?addr",
    re.IGNORECASE,
)
_LONGEST_NUMBER: Final = 48
MOST_PUT_BACK: Final = 64 << 20
"""So many characters of values at most go into one whole answer."""


class Masker:
    """The placeholders of one conversation, numbered per type by first appearance."""

    def __init__(
        self, detectors: Sequence[Detector], types: Iterable[str] = DEFAULT_TYPES, clean: CleanTexts | None = None
    ) -> None:
        """Take what is looked for; `clean` is shared by all conversations with the same detectors."""
        self._detectors = tuple(detectors)
        self._clean = clean
        self._vocabulary = vocabulary_of(frozenset(types))
        self._values: dict[str, str] = {}
        self._placeholders: dict[str, Placeholder] = {}
        self._reserved: set[str] = set()
        self._telling = KnownValues()
        self._last: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._joined: set[str] = set()

    @override
    def __repr__(self) -> str:
        return f"Masker(counts={self.counts})"

    @property
    def counts(self) -> dict[str, int]:
        """How many different values of each type were masked."""
        return dict(sorted(self._counts.items()))

    @property
    def joined(self) -> frozenset[str]:
        """Types that were found as part of another finding, whose name the placeholder has."""
        return frozenset(self._joined)

    def mask(self, text: str) -> str:
        """Return plain text with every finding replaced; `restore` is the inverse."""
        return apply(text, self._masking(text, ""))

    def mask_report(self, text: str) -> str:
        """Return plain text about a masked one with every finding replaced; placeholders in use stay as they are."""
        return apply(text, self._masking(text, "", report=True))

    def mask_json(self, value: object) -> object:
        """Return a JSON value with every string masked: keys, values, and JSON inside strings, which stays JSON.

        `restore_json` is the inverse, but for a finding in a bare number of such inner JSON: it becomes a string.
        So do long whole numbers of `value` itself. Raise RedactionError for what is not JSON.
        """
        return edit_value(value, self._masking)

    def mask_report_json(self, value: object) -> object:
        """Return a JSON value about a masked one, such as an answer to it, masked as `mask_report` masks text."""
        return edit_value(value, partial(self._masking, report=True))

    def places(self, value: object) -> list[Place]:
        """Return where in a JSON value what was masked, and as what: masked anew, as nothing was seen before it.

        Raise RedactionError as masking it does.
        """
        aside = set_aside({"": value})
        anew = Masker(self._detectors, self._vocabulary.types, self._clean)
        return places_in(aside.body[""], anew._masking, self._vocabulary, aside.payloads)

    def restore(self, text: str) -> str:
        """Return plain text with this conversation's placeholders replaced by their values, in any letter case."""
        return apply(text, self._restoring(text, ""))

    def restore_json_text(self, text: str) -> str:
        """Return JSON text restored and still JSON; in a piece of JSON, values are escaped once."""
        if is_json(text):
            return edit_leaf(text, self._restoring)
        return apply(text, restorations(text, self._vocabulary, self._escaped_values()))

    def restore_json(self, value: object) -> object:
        """Return a JSON value, such as a whole answer, with every string restored; JSON inside strings stays JSON.

        An answer that says a long value again and again gets it so often that memory holds it; then its name stays.
        """
        put_back = 0

        def restoring(text: str, key: str) -> Iterator[Edit]:
            nonlocal put_back
            for edit in self._restoring(text, key):
                put_back += len(edit.replacement)
                if put_back > MOST_PUT_BACK:
                    return
                yield edit

        return edit_value(value, restoring)

    def restorer(self, *, json_text: bool = False) -> StreamRestorer:
        """Return a restorer for one stream of plain text, or of JSON text such as tool arguments."""
        values = self._escaped_values() if json_text else self._values
        return StreamRestorer(self._vocabulary, values, [one.text for one in self._placeholders.values()])

    def _restoring(self, text: str, _key: str) -> Iterator[Edit]:
        return restorations(text, self._vocabulary, self._values)

    def _escaped_values(self) -> dict[str, str]:
        return {name: escape(value) for name, value in self._values.items()}

    def _masking(self, text: str, key: str, *, report: bool = False) -> Iterator[Edit]:
        words = self._vocabulary.find(text)
        own = [Span(word.start, word.end, word.type, "own-word") for word in words]
        named = {(word.start, word.end): word.name for word in words}
        findings = self._findings(text, key)
        for one in findings:
            self._joined.update(one.joined)
        for span in merge([*own, *findings]):
            start = _host_of(text, span) if span.type == _URL else span.start
            name = named.get((start, span.end))
            if name is not None and (report or name not in self._values):
                self._reserved.add(name)
            else:
                stands = self._placeholder(span.type, text[start : span.end], own=name is not None)
                yield Edit(start, span.end, stands)

    def _findings(self, text: str, key: str) -> list[Span]:
        """Return what must go from a text that is the value of `key`, ordered, disjoint and whole words."""
        named = promises_secret(key) or (
            len(text) <= _LONGEST_NUMBER and not text.isalpha() and _OF_SOMEBODY.search(key) is not None
        )
        spans = find_spans(text, self._detectors, None if named else self._clean)
        if named:
            opening = f'{key}="'
            found = find_spans(f'{opening}{text}"', self._detectors)
            spans += _moved(found, -len(opening), len(text))
        for span in spans:
            if span.type not in self._vocabulary.types:
                message = f"a detector found type {span.type}, which was not declared; add it to the redactor's types"
                raise RedactionError(message)
        if not spans and not self._telling:
            return spans
        return _widened(text, merge([*spans, *self._seen(text, spans)]))

    def _seen(self, text: str, spans: Iterable[Span]) -> Iterator[Span]:
        """Yield known secrets wherever else they stand: an answer repeats them without what first gave them away."""
        found = {text[span.start : span.end] for span in spans if span.type == _SECRET}
        for known in (self._telling, KnownValues(filter(_is_telling, found))):
            for start, end in known.find(text):
                yield Span(start, end, _SECRET, "seen-before")

    def _placeholder(self, type_name: str, value: str, *, own: bool) -> str:
        if value in self._placeholders:
            return self._placeholders[value].text
        if not own:
            self._counts[type_name] += 1
            if type_name == _SECRET and _is_telling(value):
                self._telling.add(value)
        stands: Placeholder | None = None
        while stands is None or stands.name in self._reserved:
            self._last[type_name] += 1
            stands = placeholder(type_name, self._last[type_name], value)
        self._placeholders[value] = stands
        self._values[stands.name] = value
        return stands.text


def _host_of(text: str, url: Span) -> int:
    """Return where the host of a URL begins: a scheme that many have stays, as `https://PIIURL1.masked.invalid`.

    A finding that touches the URL is one span with it, and may look like a scheme.
    """
    scheme = _SCHEME.match(text, url.start, url.end)
    return scheme.end() if scheme else url.start


def _is_telling(value: str) -> bool:
    """Tell whether a secret may be looked for by itself: it is no common word such as the password `postgres`."""
    return len(value) >= SHORTEST and not re.sub("[_-]", "", value).isalpha()


def _moved(spans: Iterable[Span], offset: int, length: int) -> Iterator[Span]:
    """Yield spans moved by `offset` and cut to a text of `length` characters."""
    for span in spans:
        start, end = max(0, span.start + offset), min(length, span.end + offset)
        if start < end:
            yield replace(span, start=start, end=end)


def _widened(text: str, spans: Iterable[Span]) -> list[Span]:
    """Widen ordered spans until no ASCII letter or digit touches them: a placeholder in their place is one word."""
    widened: list[Span] = []
    floor = 0
    for span in spans:
        start, end = span.start, span.end
        while start > floor and not BOUNDARY.match(text, start):
            start -= 1
        # A finding that an earlier one has already swallowed is not walked again: long words stay linear.
        while end > floor and end < len(text) and text[end].isascii() and text[end].isalnum():
            end += 1
        widened.append(replace(span, start=start, end=end))
        floor = max(floor, end)
    return merge(widened)
