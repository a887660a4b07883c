"""Personal data with a checkable shape: e-mail addresses and payment cards."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from router.redaction.scanning import Scan, searchable
from router.redaction.spans import END, Span

_LOCAL_REVERSED: Final = re.compile(r"[\w.+%'-]{1,128}")
_ESCAPE: Final = re.compile(r"[bfnrt]|u[0-9A-Fa-f]{4}")
_NOBODY: Final = re.compile(r"^git$|(?:^|[._-])(?:fake|dummy|noreply|no-reply)$", re.IGNORECASE)
_EDGE: Final = "'.%+-"
_DOMAIN: Final = re.compile(r"(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}" + END)
_IN_URL: Final = re.compile(r"://[^\s/?#]{0,512}\Z")
# Endings of files that are no top-level domain: `logo@2x.png`, while `ann@firm.com.pdf` has an address in it.
_FILE: Final = re.compile(
    r"(?:[\w-]+|[0-9]\.[0-9]+x)\.(?:avif|bmp|css|gif|heic|ico|jpe?g|js|json|jsx|less|mjs|pdf|png|scss|svg|tgz|tiff?|ts|tsx|webp|xml|ya?ml)",
    re.IGNORECASE,
)

_CARD: Final = re.compile(
    # Digits of a longer number, a decimal fraction or a hash are no card.
    r"[1-6](?<![0-9a-f][1-6])(?<![0-9]\.[1-6])[0-9]{3}"
    r"(?:[0-9]{8,15}|([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{1,7}|([ -])[0-9]{6}\2[0-9]{4,5})(?![0-9a-f])",
)
# Issuer ranges of ISO/IEC 7812 with their lengths; without them one number in ten passes Luhn.
_ISSUED: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|3(?:0[0-59]|[689]\d)\d{11,16}|35\d{14,17}"
    r"|(?:1800|2131)\d{11}|6\d{15,18}|(?:50(?:18|20|38)|5[68]\d\d|6304|67(?:59|6[1-3]))\d{8,15}",
)


class Emails:
    """Finds e-mail addresses, also as a URL writes them: `ann%40firm.de`."""

    def __init__(self) -> None:
        self.marks = "@|%40"
        self._signs = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield addresses; neither `git@host:path`, `logo@2x.png` nor the credentials of a URL are any."""
        end = 0
        for at, after in self._signs.spans(searchable(text)):
            start = _start_of_local(text, end, at)
            domain = _DOMAIN.match(text, after)
            if (
                domain
                and start < at
                and not _FILE.fullmatch(domain[0])
                and (text[at] == "@" or domain[0].index(".") > 1)  # `%40s.log` is a format
                and not _NOBODY.search(text[start:at])
                and not _IN_URL.search(text[max(end, start - 512) : start])
            ):
                end = domain.end()
                yield Span(start, end, "PIIEMAIL", "email")


class PaymentCards:
    """Finds payment card numbers."""

    def __init__(self) -> None:
        self.marks = r"[1-6][0-9]{3}[ -]?[0-9]{4}"
        self._marks = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield numbers of an issuer's range and length that pass the Luhn check, grouped or not."""
        first = next(self._marks.spans(searchable(text)), None)
        match = _CARD.search(text, first[0]) if first else None
        while match:
            digits = match[0].replace(" ", "").replace("-", "")
            is_card = _ISSUED.fullmatch(digits) is not None and passes_luhn(digits)
            if is_card:
                yield Span(match.start(), match.end(), "PIICARD", "payment-card")
            # A group of digits before a card may look like its first.
            match = _CARD.search(text, match.end() if is_card else match.start() + 1)


def passes_luhn(digits: str) -> bool:
    """Tell whether the last digit is the Luhn check digit of the others."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def _start_of_local(text: str, floor: int, at: int) -> int:
    """Return where the local part that ends at `at` begins, not before `floor`."""
    run = _LOCAL_REVERSED.match(text[max(floor, at - 128) : at][::-1])
    if run is None:
        return at
    start = at - len(run[0])
    if text[start - 1 : start] == "\\" and (escape := _ESCAPE.match(text, start, at)):
        start = escape.end()
    return at - len(text[start:at].lstrip(_EDGE))
