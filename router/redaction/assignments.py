"""Secrets that only the name beside them gives away: `DB_PASSWORD=...`, `"api_key": "..."`, `the token is ...`.

Tuned for recall: masking is undone in the answer, so a false finding costs little. Names that only look like secrets
(`max_tokens`, `public_key`, `tokenizer`) and values that are code, templates or plain words are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from router.redaction.spans import Span, ascii_lower, merge

_LITERALS: Final = ("pass", "pwd", "secret", "token", "credential", "key")
_PROMISES: Final = (*_LITERALS, "authorization")
_HEAD_SIZE: Final = 24
_SHORTEST_VALUE: Final = 4
_LONG: Final = 16
_FLAGS: Final = re.IGNORECASE | re.ASCII

# The first characters of a value are judged; a secret is then followed to its end.
_ASSIGNMENT: Final = re.compile(
    r"(?P<word>pass(?:w(?:or)?d|phrase|code)?|pwd|secret|token|credential|key)(?P<tail>[\w.-]{0,40})"
    r"""(?:\\{0,3}["'`])?\]?(?:[ \t]{1,4}string\b)?"""
    r"(?:[ \t]{0,16}(?:[.?+]=|:{0,3}=>?|:|\|\|)[ \t]{0,16}|[ \t]{1,4}(?:is|was)[ \t]{1,4}:?[ \t]{0,4}"
    r"""|>\s{0,24}|,[ \t]{0,8}(?=\\{0,3}["'`]))"""
    r"""(?:(?P<quote>\\{0,3}["'`])(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\n\\])){4,128})"""
    r"""|(?P<bare>(?!=)[^\s"'`\\,;<>()\[\]{}&|]{4,128}))""",
    _FLAGS,
)
_REST: Final = re.compile(r"""[^\s"'`\\,;<>()\[\]{}&|]*+""")

_STRONG_KEY: Final = re.compile(
    r"(?:access|account|admin|api|app|auth|client|consumer|deploy|encryption|licen[cs]e|master|private|secret|service"
    r"|session|shared|signing|storage|subscription|webhook)[-_. ]?\Z",
    _FLAGS,
)
_HARMLESS_KEY: Final = re.compile(
    r"(?:bucket|cache|dedup\w*|foreign|group|idempotency|index|key|partition|primary|pub|public|row|sort)[-_. ]?\Z",
    _FLAGS,
)
_HARMLESS_TAIL: Final = re.compile(
    r"[-_.]?(?:arn|at|budget|cost|count|digest|dir|env|error|expir\w*|field|file(?:name)?|format|hash|help|hint|index"
    r"|input|kind|label|len(?:gth)?|limit|map|max|message|min|name|num|path|pattern|policy|price|prompt|rate|ref|regex"
    r"|sha\d*|size|title|ttl|type|ur[li]|usage|var|version)s?\Z",
    _FLAGS,
)
_HARMLESS_VALUE: Final = re.compile(
    r"[$<{]|%[({]|\[?redacted|x{4,}|\*{3,}|\.{3}"
    r"|(?:change|dummy|enter|example|insert|my|put|replace|some|the|todo|your)[-_ ]"
    r"|(?:md|sha)[0-9]+[-:=]"  # a checksum
    r"|[a-z_][\w.]*[(\[]"  # a call or an item
    r"|(?:changeme|false|none|null|optional|passwd|password|required|secret|string|text|token|true|undefined)\Z",
    _FLAGS,
)
_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:(?:\??\.|::|->)[A-Za-z_]\w*)+", re.ASCII)
_NO_WORD: Final = re.compile(r"[0-9!@#$%^&*?]")
_PIECE: Final = re.compile(r"[A-Za-z0-9]{6,}")
_HASH_OR_ID: Final = re.compile(r"[0-9a-f]{32,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{15,}", _FLAGS)


class Assignments:
    """Finds values assigned to names that promise a secret."""

    def find(self, text: str) -> list[Span]:
        """Return the values, without quotes, that look like secrets."""
        return merge(_values(text))


def promises_secret(name: str) -> bool:
    """Tell whether a name, such as the key of a JSON object, may have a secret as its value."""
    lower = ascii_lower(name)
    return any(literal in lower for literal in _PROMISES)


def looks_random(value: str, length: int) -> bool:
    """Tell whether a value of at least `length` characters has a piece that no word or number explains."""
    return len(value) >= length and any(_is_mixed(piece) for piece in _PIECE.findall(value))


def _values(text: str) -> Iterator[Span]:
    lower = ascii_lower(text)
    for literal in _LITERALS:
        position = lower.find(literal)
        while position >= 0:
            end = position + 1
            if (found := _ASSIGNMENT.match(text, position)) and _holds_secret(text, found):
                group = "quoted" if found["quote"] else "bare"
                rest = _REST.match(text, found.end(group))
                end = rest.end() if rest else found.end(group)
                yield Span(found.start(group), end, "SECRET", f"{literal}-assignment")
            position = lower.find(literal, end)


def _holds_secret(text: str, found: re.Match[str]) -> bool:
    word, tail = found["word"].lower(), found["tail"]
    head = text[max(0, found.start() - _HEAD_SIZE) : found.start()]
    value = found["quoted"] or found["bare"].rstrip(".:!?")
    if len(value) < _SHORTEST_VALUE or _HARMLESS_VALUE.match(value):
        return False
    if _continues(head, found["word"], tail) or _HARMLESS_TAIL.fullmatch(tail):
        return False
    if word.startswith(("pass", "pwd")):
        written = bool(found["quote"]) or found["word"].isupper()
        return _is_password(value, exact=not tail.strip("0123456789_"), written=written)
    if word != "key" or _STRONG_KEY.search(head):
        return looks_random(value, 8) or bool(_HASH_OR_ID.fullmatch(value))
    return looks_random(value, _LONG) and not _HASH_OR_ID.fullmatch(value) and not _HARMLESS_KEY.search(head)


def _continues(head: str, word: str, tail: str) -> bool:
    """Tell whether the word is part of another: `tokenizer`, `KEYWORD`, `monkey`, `bypass`."""
    rest = tail.removeprefix("S" if word.isupper() else "s")
    if rest[:1].isalpha() and (rest[0].islower() or word.isupper()):
        return True
    glued = head[-1:].isalpha() and head[-1:].isupper() == word[0].isupper()
    return glued and (word.lower() == "pass" or (word.lower() == "key" and not _STRONG_KEY.search(head)))


def _is_password(value: str, *, exact: bool, written: bool) -> bool:
    """Judge a value by how its name ends (`exact`: with the word itself) and whether it is `written` as a literal."""
    if _PATH.fullmatch(value):
        return False
    if " " not in value and exact:
        return written or bool(_NO_WORD.search(value))
    return looks_random(value, _SHORTEST_VALUE)


def _is_mixed(piece: str) -> bool:
    """Tell whether letters, digits and cases alternate more often than in `Version12` or `camelCase`."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in piece]
    changes = sum(a != b for a, b in pairwise(kinds) if (a, b) != ("u", "l"))
    if "d" in kinds:
        return changes > 1
    return len(piece) >= _LONG and changes * 5 >= len(piece)
