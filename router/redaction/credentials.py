"""Credentials that their surroundings give away: key blocks, authorization headers, URLs.

Every search starts at a literal and is bounded or moves forward only, so that no text makes it slow.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

from router.redaction.spans import Span, ascii_lower, merge

_KEY_MARK: Final = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BREAK: Final = r"(?:\s|\\+[nr])"
# What follows the BEGIN of a block that was cut off: armour headers and long runs of base64.
_KEY_BODY: Final = re.compile(
    rf"(?:\s*+[A-Z][A-Za-z-]{{2,20}}: [^\n\\]{{1,100}})*+"
    rf"(?:{_BREAK}*+[A-Za-z0-9+/=]{{16,}}+(?:{_BREAK}++[A-Za-z0-9+/]{{1,15}}={{0,2}}$)?)*+",
    re.MULTILINE,
)

_HEADER: Final = re.compile(
    r"""authorization[\\"'`]{0,4}[ \t]{0,8}[:=,][ \t]{0,8}[\\"'`]{0,4}[ \t]{0,8}"""
    r"""(?:(?:bearer|basic|token|apikey|digest)[ \t]+)?+([^\s"'`\\<>${},;]{6,}+)""",
    re.IGNORECASE | re.ASCII,
)
_BEARER: Final = re.compile(r"bearer(?:[ \t]{1,4}|%20)([\w.~+/-]{12,}+=*)", re.IGNORECASE | re.ASCII)
_BASIC: Final = re.compile(r"basic(?:[ \t]{1,4}|%20)([A-Za-z0-9+/]{6,}+={0,2})", re.IGNORECASE | re.ASCII)
_RANDOM: Final = re.compile(r"(?=\D*[0-9])(?=[^A-Za-z]*[A-Za-z])")

# Hosts may follow several @ signs: all but the last belong to the password.
_USERINFO: Final = re.compile(r"""://([^\s/?#"'`<>\\]{1,512})@""")
_TEMPLATE: Final = re.compile(r"\$?(?:\w*|\{.*\}|\(.*\))(?<=[$})])|\$\w+|%\w*%?|[*.xX]+|password|[A-Z]+(?:_[A-Z]+)+")
_LONE_TOKEN: Final = re.compile(r"(?=\D*[0-9])[\w.~-]{16,}", re.ASCII)


def _is_basic(value: str) -> bool:
    """Tell whether a value is base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _is_credential(value: str) -> bool:
    """Tell whether a value is more than words: it has letters and digits, or is Basic."""
    return bool(_RANDOM.match(value)) or _is_basic(value)


_SCHEMES: Final = (
    ("authorization", _HEADER, _is_credential),
    ("bearer", _BEARER, _is_credential),
    ("basic", _BASIC, _is_basic),
)


class PrivateKeys:
    """Finds private key blocks whole, from BEGIN to END."""

    def find(self, text: str) -> Iterator[Span]:
        """Yield PEM and PGP blocks, on one line or many; of a block that was cut off, what looks like its body."""
        if "PRIVATE KEY" not in text:
            return
        begin: re.Match[str] | None = None
        for mark in _KEY_MARK.finditer(text):
            if mark[1] == "END" and begin:
                yield _key_block(begin.start(), mark.end())
                begin = None
            elif mark[1] == "BEGIN":
                if begin:
                    yield _key_block(begin.start(), _end_of_body(text, begin.end()))
                begin = mark
        if begin:
            yield _key_block(begin.start(), _end_of_body(text, begin.end()))


class AuthorizationHeaders:
    """Finds the credentials of `Authorization` headers and of bare `Bearer` and `Basic` schemes."""

    def find(self, text: str) -> list[Span]:
        """Return credentials without their scheme; prose such as "bearer of bad news" holds none."""
        lower = ascii_lower(text)
        spans = []
        for literal, rule, is_credential in _SCHEMES:
            position = lower.find(literal)
            while position >= 0:
                found = rule.match(text, position)
                if found and is_credential(found[1]):
                    spans.append(Span(found.start(1), found.end(), "SECRET", "authorization"))
                position = lower.find(literal, found.end() if found else position + 1)
        return merge(spans)


class UrlCredentials:
    """Finds the user and password of `scheme://user:password@host`."""

    def find(self, text: str) -> Iterator[Span]:
        """Yield user and password, or a lone token before the @; templates such as `${PASSWORD}` are left."""
        for match in _USERINFO.finditer(text):
            user, colon, password = match[1].partition(":")
            at, end = match.start(1) + len(user), match.end(1)
            secret = bool(password) and not _TEMPLATE.fullmatch(password) if colon else _LONE_TOKEN.fullmatch(user)
            if secret and user:
                yield Span(match.start(1), at, "SECRET", "url-user")
            if secret and password:
                yield Span(at + 1, end, "SECRET", "url-password")


def _key_block(start: int, end: int) -> Span:
    return Span(start, end, "SECRET", "private-key")


def _end_of_body(text: str, start: int) -> int:
    body = _KEY_BODY.match(text, start)
    return body.end() if body else start
