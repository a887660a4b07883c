"""Credentials of vendors that nobody listed: a prefix and a random body, or a long random body alone.

Hashes, ids that interfaces hand out, UUIDs, file names and pieces of base64 are random too: what stands around them
tells them apart.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

from router.redaction.randomness import is_filler, surprise
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span

_RUN: Final = r"[A-Za-z0-9_-]{20,}"
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# Prefixes of ids and hashes: what they name is no secret.
_ID: Final = re.compile(
    r"(?:chatcmpl|cmpl|req|msg|call|fc|toolu|srvtoolu|resp|rs|run|thread|asst|file|batch|evt|event|ch|pi|pm|cus|sub|price"
    r"|prod|acct|in|txn|seti|cs|src|pk|pub|public|publishable|org|proj|user|usr|team|id|uid|uuid|sha\d*|md5|hash|rev|commit"
    r"|build|chunk|index|main|app|img|image|layer|step|trace|span|session_id|request|gen|ft|ftjob|vs|modelcmpl|h1|go|key_id"
    r"|ssh|node|pod|job|task|item|row|msgid|ref|tag|version|v\d+|abi|cpython|lib|mangled|_Z\w*)[-_]",
    re.IGNORECASE,
)
_PREFIX: Final = re.compile(r"(?:(?:[a-z][a-z0-9]{0,11}|[A-Z][A-Z0-9]{0,7})[_-]+){1,4}(?=[A-Za-z0-9_-]{16,})")
_HEX: Final = re.compile(r"(?:[0-9a-f]+|[0-9A-F]+)(?:-[0-9a-fA-F]+)*")
_HASH_BEFORE: Final = re.compile(
    r"(?:sha\d+|md5|h1|integrity|checksum|digest|etag|hash|fingerprint|nonce|commit|revision|rev|cid)"
    r"""["'`]?\s{0,4}[-:=@/ ]\s{0,4}["'`]?$""",
    re.IGNORECASE,
)
_BASE62: Final = digits + ascii_uppercase + ascii_lowercase
_PER_CHARACTER: Final = 0.55
_LONGEST: Final = 200
_ALMOST_HEX: Final = 0.75
_HEX_LIKE: Final = frozenset("0123456789abcdefABCDEF_-")
_LONG_BODY: Final = 24
_SERIES: Final = 0.4
_SEEN_BEFORE: Final = 48
_HEX_LENGTHS: Final = frozenset({32, 40, 48, 56, 64, 80, 96, 128})
# A body without a prefix needs a word that speaks of secrets before it, and is not assigned: names judge what is.
_PROMISING: Final = re.compile(
    r"(?:\b|_)(?:api)?(?:key|token|secret|pass(?:word|code|phrase)|credential|auth|bearer|login|jwt|\|)[^:=]{0,24}$",
    re.IGNORECASE,
)


class TokenShapes:
    """Finds runs of token characters that were drawn at random."""

    def __init__(self) -> None:
        self.marks = _RUN
        self._runs = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield runs of 20 to 200 characters that look like a token, without punctuation that only surrounds them."""
        for start, end in self._runs.spans(searchable(text)):
            if end - start <= _LONGEST and _is_token(text, start, end):
                yield Span(start, end, "SECRET", "token-shape")


def has_checksum(token: str) -> bool:
    """Tell whether the last six characters are the base62 CRC-32 of the thirty before, as in GitHub's and npm's."""
    prefix, _, body = token.rpartition("_")
    if not prefix or len(body) != 36 or not body.isalnum():
        return False
    return body[30:] == _base62(zlib.crc32(body[:30].encode())).rjust(6, "0")


def _base62(number: int) -> str:
    return (_base62(number // 62) if number >= 62 else "") + _BASE62[number % 62]


def _is_token(text: str, start: int, end: int) -> bool:
    """Judge a run; the cheapest questions come first, as most runs are identifiers, ids and hashes."""
    if _stands_in_a_name(text, start, end):
        return False
    value = text[start:end].strip("-_")
    if has_checksum(value):
        return True
    prefix = _PREFIX.match(value)
    body = value[prefix.end() :] if prefix else value
    if surprise(body) < _PER_CHARACTER * len(body):
        return False
    if _ID.match(value) or _UUID.search(value) or not _has_token_shape(body, prefixed=prefix is not None):
        return False
    before = text[max(0, start - _SEEN_BEFORE) : start].rpartition("\n")[2]
    if _HASH_BEFORE.search(before) or not (prefix or _PROMISING.search(before)):
        return False
    return not (is_filler(value, _SERIES) or _is_text(body))


def _has_token_shape(body: str, *, prefixed: bool) -> bool:
    """Tell whether a body is hexadecimal of a usual length, or of letters and digits far beyond hexadecimal ones."""
    if _HEX.fullmatch(body):
        return prefixed and len(body) in _HEX_LENGTHS
    if sum([character in _HEX_LIKE for character in body]) > _ALMOST_HEX * len(body):
        return False
    kinds = {"d" if c.isdigit() else "u" if c.isupper() else "l" for c in body if c not in "-_"}
    return len(kinds) == 3 or (len(kinds) == 2 and len(body) >= _LONG_BODY)


def _is_text(body: str) -> bool:
    """Tell whether a body is the base64 of ASCII text."""
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), validate=True).decode("ascii").isprintable()
    except ValueError:
        return False


def _stands_in_a_name(text: str, start: int, end: int) -> bool:
    """Tell whether a run is a piece of a path, of base64 or of a file name."""
    before, after = text[start - 1 : start] if start else "", text[end : end + 1]
    if (before and before in "/+#@") or (after and after in "/+("):
        return True
    return after == "." and (text[end + 1 : end + 2].isalnum() or text[end + 1 : end + 2] == ".")
