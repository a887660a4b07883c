"""Numbers with a structure to check: bank accounts (IBAN, ISO 13616) and US social security numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span

# Country and length, of the IBAN registry.
_LENGTHS: Final = {
    code: int(size)
    for size, codes in {
        "15": "NO", "16": "BE", "18": "DK FI FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH CR HR LI LV", "22": "BG BH DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST", "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV", "29": "BR EG PS QA UA", "30": "JO KW MU YE", "31": "MT SC",
        "32": "LC", "33": "RU",
    }.items()
    for code in codes.split()
}  # fmt: skip
_IBAN: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,30}", re.ASCII)
_SSN: Final = re.compile(r"(?<![\w-])([0-9]{3})([- ])([0-9]{2})\2([0-9]{4})(?![\w-])", re.ASCII)
_BARE_SSN: Final = re.compile(r"([0-9]{3})([0-9]{2})([0-9]{4})(?![\w.-])", re.ASCII)
_SAYS_SSN: Final = re.compile(r"(?:(?<![A-Za-z])ssn(?![A-Za-z])|social[ _-]?security)[^\n0-9]{0,30}$", re.IGNORECASE)


class Ibans:
    """Finds international bank account numbers."""

    def __init__(self) -> None:
        self.marks = r"\b[A-Za-z][A-Za-z][0-9][0-9] ?[A-Za-z0-9][A-Za-z0-9][A-Za-z0-9]"
        self._marks = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield numbers of a country's length whose check digits fit, in groups or not."""
        end = 0
        for start, _ in self._marks.spans(searchable(text)):
            length = _LENGTHS.get(text[start : start + 2].upper())
            if start < end or length is None or text[start - 1 : start].isalnum():
                continue
            run = _IBAN.match(text, start)
            stop = _cut(text, start, run.end(), length) if run else None
            if stop is not None and not text[stop : stop + 1].isalnum() and fits_mod_97(text[start:stop]):
                end = stop
                yield Span(start, end, "PIIIBAN", "iban")


class SocialSecurityNumbers:
    """Finds US social security numbers."""

    def __init__(self) -> None:
        self.marks = r"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}|[0-9]{9}"
        self._marks = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield numbers that could have been issued; nine digits without hyphens need a name before them."""
        for start, end in self._marks.spans(searchable(text)):
            found = _SSN.match(text, start)
            if found and is_issued(found[1], found[3], found[4]):
                if found[2] == "-" or _SAYS_SSN.search(text, max(0, start - 50), start):
                    yield Span(start, end, "PIISSN", "us-ssn")
            elif (
                (bare := _BARE_SSN.match(text, start))
                and is_issued(*bare.groups())
                and _SAYS_SSN.search(text, max(0, start - 50), start)
            ):
                yield Span(start, end, "PIISSN", "us-ssn")


def fits_mod_97(iban: str) -> bool:
    """Tell whether an IBAN's check digits fit (ISO 7064, mod 97-10); blanks and hyphens do not count."""
    letters = [character for character in iban.upper() if character.isalnum()]
    return int("".join(str(int(character, 36)) for character in letters[4:] + letters[:4])) % 97 == 1


def is_issued(area: str, group: str, serial: str) -> bool:
    """Tell whether the parts of a social security number are not among those that are never issued."""
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def _cut(text: str, start: int, end: int, length: int) -> int | None:
    """Return where `length` letters and digits end, None where there are fewer before `end`."""
    for place in range(start, end):
        length -= text[place].isalnum()
        if length == 0:
            return place + 1
    return None
