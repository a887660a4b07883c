"""Credentials that their surroundings give away: key blocks, authorization headers, cookies, command lines.

Every search starts at a literal and is bounded or moves forward only, so that no text makes it slow.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Final

from router.redaction.randomness import is_named_filler
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span, merge

_KEY_MARK: Final = re.compile(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_MATERIAL: Final = re.compile(r"[A-Za-z0-9+/=]{16}")
_PUTTY: Final = re.compile(
    r"Private-Lines: [0-9]{1,4}((?:\\+[rn]|\s){1,4}(?:[A-Za-z0-9+/=]{1,128}(?:\\+[rn]|\s){0,4}){1,200})", re.ASCII
)
# base64 of "-----BEGIN " followed by a letter of PRIVATE KEY or of what may precede it
_ENCODED: Final = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]{40,}+={0,2}", re.ASCII)
_BREAK: Final = r"(?:\s|\\+[nr])"
# What follows the BEGIN of a block that was cut off: armour headers and long runs of base64.
_KEY_BODY: Final = re.compile(
    rf"(?:\s*+[A-Z][A-Za-z-]{{2,20}}: [^\n\\]{{1,100}})*+"
    rf"(?:{_BREAK}*+[A-Za-z0-9+/=]{{16,}}+(?:{_BREAK}++[A-Za-z0-9+/]{{1,15}}={{0,2}}$)?)*+",
    re.MULTILINE,
)

_HEADER: Final = re.compile(
    r"""authorization[\\"'`]{0,4}[ \t]{0,8}[:=,][ \t]{0,8}[\\"'`]{0,4}[ \t]{0,8}"""
    r"""(?:[a-z][\w-]{2,15}[ \t]+)?+([^\s"'`\\<>${},;]{6,}+)""",
    re.IGNORECASE | re.ASCII,
)
_BEARER: Final = re.compile(r"bearer(?:[ \t]{1,4}|%20)([\w.~+/-]{12,}+=*)", re.IGNORECASE | re.ASCII)
_BASIC: Final = re.compile(r"basic(?:[ \t]{1,4}|%20)([A-Za-z0-9+/]{6,}+={0,2})", re.IGNORECASE | re.ASCII)
_COOKIE: Final = re.compile(
    r"""cookie["'`]?[ \t]{0,4}[:=][ \t]{0,4}["'`]?[^\n"'`]{0,120}?"""
    r"""(?:sess|sid|auth|token|jwt|login)[\w.-]{0,40}=([^\s;"'`\\]{12,}+)""",
    re.IGNORECASE | re.ASCII,
)
_COMMAND: Final = re.compile(
    r"""(?:--user|-u)(?:[ \t]{1,4}|=)((?P<q>["'])(?:(?!(?P=q))[^\s]){0,64}:(?:(?!(?P=q))[^\n]){4,64}(?P=q)"""
    r"""|["']?[\w.@{}+-]{0,64}["']?:["']?[^\s"'$]{1}[^\s"']{3,64}["']?)""",
    re.ASCII,
)
# A line of .netrc, which has no sign between name and value.
_NETRC: Final = re.compile(r"login[ \t\n]{1,4}\S{1,64}[ \t\n]{1,4}password[ \t\n]{1,4}(\S{6,128}+)", re.ASCII)
_RANDOM: Final = re.compile(r"(?=\D*[0-9])(?=[^A-Za-z]*[A-Za-z])")


def _is_basic(value: str) -> bool:
    """Tell whether a value is base64 of `user:password`."""
    try:
        return b":" in base64.b64decode(value, validate=True)
    except ValueError:
        return False


def _is_credential(value: str) -> bool:
    """Tell whether a value is more than words: it has letters and digits, or is Basic."""
    return (bool(_RANDOM.match(value)) or _is_basic(value)) and not is_named_filler(value)


def _is_user_and_password(value: str) -> bool:
    """Tell whether `user:password` of a command is neither a template nor a container's user and group."""
    password = value.strip("\"'").partition(":")[2].strip("\"'{}")
    words = password.isalpha() and password.islower()
    return bool(password) and not (words or password.isdigit() or is_named_filler(value) or password[0] in "$<%")


_SCHEMES: Final = {
    "authorization": (_HEADER, _is_credential),
    "bearer": (_BEARER, _is_credential),
    "basic": (_BASIC, _is_basic),
    "cookie": (_COOKIE, _is_credential),
    "--user": (_COMMAND, _is_user_and_password),
    "-u": (_COMMAND, _is_user_and_password),
    "login": (_NETRC, _is_credential),
}


class PrivateKeys:
    """Finds private key blocks whole, from BEGIN to END."""

    marks = "PRIVATE KEY|Private-Lines: |LS0tLS1CRUdJTi"

    def find(self, text: str) -> list[Span]:
        """Return PEM, PGP and PuTTY keys, on one line or many; of a block that was cut off, what looks like a body."""
        found = list(_blocks(text)) if "PRIVATE KEY" in text else []
        if "Private-Lines: " in text:
            found += [_key_block(match.start(1), match.end()) for match in _PUTTY.finditer(text)]
        if "LS0tLS1CRUdJTi" in text:
            found += [
                _key_block(match.start(), match.end())
                for match in _ENCODED.finditer(text)
                if b"PRIVATE KEY" in base64.b64decode(match[0][:88])
            ]
        return merge(found)


class AuthorizationHeaders:
    """Finds the credentials of headers, of bare `Bearer` and `Basic` schemes, of session cookies and of commands."""

    def __init__(self) -> None:
        self.marks = r"(?i:authorization|bearer|basic|cookie)|--user|-u[ \t=]|login[ \t\n]"
        self._schemes = Scan(self.marks)

    def find(self, text: str) -> list[Span]:
        """Return credentials without their scheme; prose such as "bearer of bad news" holds none."""
        spans = []
        end = 0
        for start, stop in self._schemes.spans(searchable(text)):
            if start < end:
                continue
            literal = text[start:stop].lower()
            rule, is_credential = _SCHEMES["-u" if literal.startswith("-u") else literal.strip()]
            found = rule.match(text, start)
            if found and is_credential(found[1]):
                end = found.end()
                spans.append(
                    Span(found.start(1), end, "SECRET", "command-line" if rule is _COMMAND else "authorization")
                )
        return merge(spans)


def _blocks(text: str) -> Iterator[Span]:
    begin: re.Match[str] | None = None
    for mark in _KEY_MARK.finditer(text):
        if mark[1] == "END" and begin:
            # Documentation and rules write BEGIN and END with nothing between them.
            if _KEY_MATERIAL.search(text, begin.end(), mark.start()):
                yield _key_block(begin.start(), mark.end())
            begin = None
        elif mark[1] == "BEGIN":
            if begin:
                yield _key_block(begin.start(), _end_of_body(text, begin.end()))
            begin = mark
    if begin:
        yield _key_block(begin.start(), _end_of_body(text, begin.end()))


def _key_block(start: int, end: int) -> Span:
    return Span(start, end, "SECRET", "private-key")


def _end_of_body(text: str, start: int) -> int:
    body = _KEY_BODY.match(text, start)
    return body.end() if body else start
