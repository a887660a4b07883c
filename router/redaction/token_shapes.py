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
    r"|prod|acct|in|txn|seti|cs|src|pk(?![-_][0-9]+_)|pub|public|publishable|org|proj|user|usr|team|id|uid|uuid|sha\d*|md5|hash|nonce|rev|commit"
    r"|build|chunk|index|main|app|img|image|layer|step|trace|span|session_id|request|gen|ft|ftjob|vs|modelcmpl|h1|go|key_id"
    r"|ssh|node|pod|job|task|item|row|msgid|ref|tag|version|v\d+|abi|cpython|lib|mangled|_Z\w*)[-_]",
    re.IGNORECASE,
)
_PREFIX: Final = re.compile(r"(?:(?:[a-z][a-z0-9]{0,11}|[A-Z][A-Z0-9]{0,7})[_-]+){1,4}(?=[A-Za-z0-9_-]{16,})")
_HEX: Final = re.compile(r"(?:[0-9a-f]+|[0-9A-F]+)(?:-[0-9a-fA-F]+)*")
_HASH_BEFORE: Final = re.compile(
    r"(?:sha\d+|md5|h1|integrity|checksum|digest|etag|hash|fingerprint|nonce|commit|revision|rev|cid|txt)"
    r"""["'`]?\s{0,4}[-:=@/ ]\s{0,4}["'`]?$""",
    re.IGNORECASE,
)
_LONG_HEX: Final = re.compile(r"(?:[0-9a-f]{8}){4,8}")
_DOTTED_REVERSED: Final = re.compile(r"(?:\.[A-Za-z0-9_-]+)+")
_SECRET_PREFIX: Final = re.compile(
    r"(?:\b|[_-])(?:access|api|auth|live|pat|prod|production|sandbox|sdk|secret|sk|token)[_-]", re.IGNORECASE
)
# A long run without a prefix that mixes its kinds of characters is hardly anything else, names of ids aside.
_LONG_BARE: Final = 32
_LONGEST_BARE: Final = 80
_LONG_PART: Final = 10  # what stands before a dot: a shorter one names a module or a file
# Of random letters and digits a sixth are digits.
_OF_EACH_KIND: Final = ((str.isdigit, 0.05), (str.isupper, 0.15), (str.islower, 0.15))
_APART_BEFORE: Final = re.compile(r"""(?:\A|[\s"'`(<\[{,>])$""")
_ASSIGNED: Final = re.compile(r"""[=:]\s{0,4}["'`]?$""")
_APART_AFTER: Final = re.compile(r"""[.,;:!?]?(?:\Z|[\s"'`)>\]},<])""")
# IPFS content, Bitcoin addresses, SSH public keys.
_PUBLIC_BODY: Final = re.compile(r"(?:Qm[1-9A-HJ-NP-Za-km-z]{44}|[13][1-9A-HJ-NP-Za-km-z]{25,34})$|AAAA[BC][0-9]Nza")
_BLOCK_ABOVE: Final = re.compile(r"[A-Za-z0-9+/=]{24}\r?\n[ \t]*$")
_BLOCK_BELOW: Final = re.compile(r"\r?\n[ \t]*[A-Za-z0-9+/=]{24}")
_BASE62: Final = digits + ascii_uppercase + ascii_lowercase
# Most runs are identifiers, constants and hashes without a name.
_OF_ONE_KIND: Final = re.compile(r"[a-z_-]+|[A-Z_-]+|[0-9a-f-]+|[0-9A-F-]+")
_PER_CHARACTER: Final = 0.55
_LONGEST: Final = 320
_ALMOST_HEX: Final = 0.75
_HEX_LIKE: Final = frozenset("0123456789abcdefABCDEF_-")
_LONG_BODY: Final = 24
_SERIES: Final = 0.4
_SEEN_BEFORE: Final = 48
_SHORTEST_HEX: Final = 32
# A body without a prefix needs a word that speaks of secrets before it, and is not assigned: names judge what is.
_PROMISING: Final = re.compile(
    r"(?:\b|_)(?:api)?(?:key|token|secret|pass(?:word|code|phrase)|credential|auth|bearer|login|jwt|\|)[^:=]{0,24}$",
    re.IGNORECASE,
)


class TokenShapes:
    """Finds runs of token characters that were drawn at random."""

    everywhere = True

    def __init__(self) -> None:
        self.marks = _RUN
        self._runs = Scan(self.marks)

    def find(self, text: str) -> Iterator[Span]:
        """Yield runs of 20 to 320 characters that look like a token, without punctuation that only surrounds them."""
        last = 0
        for start, end in self._runs.spans(searchable(text)):
            if end - start <= _LONGEST and _is_token(text, start, end):
                begin = _start_of_dotted(text, last, start)
                last = end
                yield Span(begin, end, "SECRET", "token-shape")


def has_checksum(token: str) -> bool:
    """Tell whether the last six characters are the base62 CRC-32 of the thirty before, as in GitHub's and npm's."""
    prefix, _, body = token.rpartition("_")
    if not prefix or len(body) != 36 or not body.isalnum():
        return False
    return body[30:] == _base62(zlib.crc32(body[:30].encode())).rjust(6, "0")


def _start_of_dotted(text: str, floor: int, start: int) -> int:
    """Return where a token of several parts with dots between them begins, the last of which begins at `start`."""
    if start == 0 or text[start - 1] != ".":
        return start
    parts = _DOTTED_REVERSED.match(text[max(floor, start - _LONGEST) : start][::-1])
    return start - len(parts[0].rstrip(".-_")) if parts else start


def _base62(number: int) -> str:
    return (_base62(number // 62) if number >= 62 else "") + _BASE62[number % 62]


def _is_token(text: str, start: int, end: int) -> bool:
    """Judge a run; the cheapest questions come first, as most runs are identifiers, ids and hashes."""
    if _stands_in_a_name(text, start, end):
        return False
    value = text[start:end].strip("-_")
    if _OF_ONE_KIND.fullmatch(value):
        return False
    return has_checksum(value) or _is_random_body(text, start, end, value)


def _is_random_body(text: str, start: int, end: int, value: str) -> bool:
    prefix = _PREFIX.match(value)
    body = value[prefix.end() :] if prefix else value
    if surprise(body) < _PER_CHARACTER * len(body):
        return False
    if _ID.match(value) or not _is_shaped(value, body, prefixed=prefix is not None):
        return False
    before = text[max(0, start - _SEEN_BEFORE) : start].rpartition("\n")[2]
    if _HASH_BEFORE.search(before):
        return False
    if not (prefix or _PROMISING.search(before) or _speaks_for_itself(text, start, end)):
        return False
    return not (is_filler(value, _SERIES) or _is_text(body))


def _is_shaped(value: str, body: str, *, prefixed: bool) -> bool:
    """Tell whether a value is no UUID but one that a word such as `secret-live-` begins, and its body a token's."""
    uuid = _UUID.search(value)
    if uuid is not None:
        return _SECRET_PREFIX.search(value, 0, uuid.start()) is not None
    return _has_token_shape(body, prefixed=prefixed)


def _speaks_for_itself(text: str, start: int, end: int) -> bool:
    """Tell whether a run without prefix is too long and too mixed for an id, and stands by itself.

    What is assigned is judged by its name, and a line of a block of base64 by nothing.
    """
    begin = _start_of_dotted(text, 0, start)
    run, longest = text[start:end], _LONGEST_BARE if begin == start else _LONGEST
    if not _LONG_BARE <= end - start <= longest or any(
        sum(map(kind, run)) < share * len(run) for kind, share in _OF_EACH_KIND
    ):
        return False
    first = text[begin:start].partition(".")[0]
    if begin < start and (len(first) < _LONG_PART or surprise(first) < _PER_CHARACTER * len(first)):
        return False
    above, below = text[max(0, begin - _SEEN_BEFORE) : begin], text[end : end + _SEEN_BEFORE]
    if not (_APART_BEFORE.search(above) and _APART_AFTER.match(below)):
        return False
    return not (
        _ASSIGNED.search(above) or _PUBLIC_BODY.match(run) or _BLOCK_ABOVE.search(above) or _BLOCK_BELOW.match(below)
    )


def _has_token_shape(body: str, *, prefixed: bool) -> bool:
    """Tell whether a body is hexadecimal of whole bytes, or of letters and digits far beyond hexadecimal ones."""
    if _HEX.fullmatch(body):
        figures = len(body.replace("-", ""))
        return prefixed and figures >= _SHORTEST_HEX and figures % 2 == 0
    if prefixed and any(_LONG_HEX.fullmatch(piece) for piece in re.split("[_-]", body)):
        return True
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
