"""Telephone numbers, judged by the numbering plans that the phonenumbers library knows.

Digits in groups are common in code and logs, so that a number without a country code needs either the shape of a
North American number or a word near it that speaks of telephones. The library is imported at the first candidate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span

_NUMBER: Final = re.compile(
    # Behind a comma, as in a row of a table, it says itself where it is from.
    r"(?<![\w./$#+-])(?:(?<!,)|(?=\+[1-9](?:[ ().-]{0,2}[0-9]){9}|00[1-9][0-9]{0,2} [0-9][0-9 ]{5}))"
    r"(?<!\d[ :])(?:(?<!\()|(?![0-9]{1,5}\)))(?P<plus>\+|00(?=[1-9]))?[ -]?"
    # Possessive: a long run of digits can be cut into groups in a quarter of a million ways.
    r"(?P<digits>\(?\+?[0-9]{1,5}+\)?(?:[ .\-/]{0,2}\(?[0-9]{1,6}+\)?){1,6})"
    r"(?P<extension>[ ,]{0,2}(?:x|ext\.?|extension)[ .]?[0-9]{1,5})?"
    r"(?![\w:@%$]|(?(plus)[./-]|[.,/-])[0-9]|-[A-Z0-9]{2})",
    re.ASCII,
)
_AMERICAN: Final = re.compile(r"(?:1[-. ])?\(?[2-9][0-9]{2}\)?[-. ]?[0-9]{3}[-. ][0-9]{4}")
_DATE: Final = re.compile(
    r"(?:19|20)[0-9]{2}[-./ ](?:0?[1-9]|1[0-2])[-./ ](?:0?[1-9]|[12][0-9]|3[01])\b.*"
    r"|(?:0?[1-9]|[12][0-9]|3[01])[-./](?:0?[1-9]|[12][0-9]|3[01])[-./](?:19|20)?[0-9]{2}"
    r"|(?:19|20)[0-9]{2}[- ]+(?:19|20)[0-9]{2}"
)
# RE2, as the words end anywhere before a number. A letter outside of ASCII is a question mark here.
_BEFORE: Final = Scan(
    r"(?i:(?:phone|mobile|cell(?:phone|ular)?|\btel|telephone|telefon|handy|t[e?]l[e?]phone|\bfax|\bdesk|whats ?app"
    r"|signal|landline|hotline|\bdial|\bcall(?:ed|ing)?\b|\btext(?:ed|ing)?\b|\bring\b|\bsms\b|answering|contact"
    r"|messages?|reach(?:ed)?|registered"
    # What is numbered stands before the word: "order number" tells of no person.
    r"|(?:^|[^a-z \t_-]|\b(?:a|account|at|customer|direct|emergency|employee|following|her|his|home|identity|insurance"
    r"|its|licen[cs]e|member|my|new|office|old|on|our|passport|patient|personal|private|same|security|tax|the|their|this|to"
    r"|work|wrong|your))[ \t]*numbers?)[^0-9\n]{0,24}\n?[^0-9\n]{0,4}$)"
)
_GROUP: Final = re.compile("[0-9]{2}")
_AFTER: Final = re.compile(r"[ ,(-]{1,3}(?:office|mobile|cell|fax|home|work|desk|phone|tel)\b", re.IGNORECASE)
# Where a number without a country code may be from, the largest plans first.
_REGIONS: Final = (
    "US",
    "GB",
    "DE",
    "FR",
    "IN",
    "AU",
    "ES",
    "IT",
    "NL",
    "BR",
    "MX",
    "SE",
    "CH",
    "PL",
    "DK",
    "NO",
    "FI",
    "BE",
)
_FEWEST, _MOST = 7, 15


class Phones:
    """Finds telephone numbers."""

    def __init__(self) -> None:
        self.marks = r"(?:\b|[+(])[0-9][0-9 ().+/\-]{4,24}[0-9]"
        self._marks = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield numbers that a numbering plan allows, with their extension."""
        end = 0
        for start, stop in self._marks.spans(searchable(text)):
            if sum([character.isdigit() for character in text[start:stop]]) < _FEWEST:
                continue
            place = max(start, end)
            while place < stop:
                found = _NUMBER.match(text, place)
                if found and _is_phone(text, found):
                    end = place = found.end()
                    yield Span(found.start(), end, "PIIPHONE", "phone")
                else:
                    place = _next_group(text, place, stop)


def _next_group(text: str, place: int, stop: int) -> int:
    """Return where the next group of digits begins, beyond `place`."""
    place += 1
    while place < stop and text[place] not in " (+":
        place += 1
    while place < stop and text[place] == " ":
        place += 1
    return place


def _is_phone(text: str, found: re.Match[str]) -> bool:
    written = found[0]
    count = sum(character.isdigit() for character in found["digits"])
    if not _FEWEST <= count <= _MOST or not _GROUP.search(written) or _DATE.fullmatch(written):
        return False
    digits = _unwrapped(found["digits"])
    if found["plus"] or "+" in digits:
        return is_possible("+" + digits.replace("+", ""), None)
    if _AMERICAN.fullmatch(digits):
        return True
    return _is_near_a_word(text, found.start(), found.end()) and any(is_possible(digits, region) for region in _REGIONS)


def _unwrapped(digits: str) -> str:
    """Return a number without the brackets in which a text puts the whole of it."""
    return digits[1:-1] if digits[0] == "(" and digits[-1] == ")" else digits


def _is_near_a_word(text: str, start: int, end: int) -> bool:
    if any(_BEFORE.spans(searchable(text[max(0, start - 60) : start]))):
        return True
    return _AFTER.match(text, end) is not None


def is_possible(number: str, region: str | None) -> bool:
    """Tell whether a number has a length that the numbering plan of a region, or of its country code, has."""
    import phonenumbers  # it takes 40 ms and 8 MB, and most texts hold no candidate

    try:
        return bool(phonenumbers.is_possible_number(phonenumbers.parse(number, region)))
    except phonenumbers.NumberParseException:
        return False
