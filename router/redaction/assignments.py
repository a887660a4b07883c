"""Secrets that only the name beside them gives away: `DB_PASSWORD=...`, `"api_key": "..."`, `the token is ...`.

Tuned for recall: masking is undone in the answer, so a false finding costs little. Names that only look like secrets (`max_tokens`,
`public_key`, `tokenizer`) and values that are code, templates or plain words are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from router.redaction.spans import Span, ascii_lower, merge

_LITERALS: Final = ("pass", "pwd", "secret", "token", "credential", "key")
_HEAD_SIZE: Final = 24

# The first characters of a value are judged; a secret is then followed to its end.
_ASSIGNMENT: Final = re.compile(
    r"(?P<word>pass(?:w(?:or)?d|phrase|code)?|pwd|secret|token|credential|key)(?P<tail>[\w.-]{0,40})"
    r"""(?:\\{0,3}["'`])?\]?(?:[ \t]{1,4}string\b)?"""
    r"(?:[ \t]{0,16}(?:[.?+]=|:{0,3}=>?|:|>|\|\||,)\s{0,24}|[ \t]{1,4}(?:is|was)[ \t]{1,4}:?[ \t]{0,4})"
    r"""(?:(?P<quote>\\{0,3}["'`])(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\n\\])){4,128})"""
    r"""|(?P<bare>[^\s"'`\\,;<>()\[\]{}&|=]{4,128}))""",
    re.IGNORECASE,
)
_REST: Final = re.compile(r"""[^\s"'`\\,;<>()\[\]{}&|]*+""")

_STRONG_KEY: Final = re.compile(
    r"(?:api|access|secret|private|auth|signing|encryption|account|licen[cs]e|master|service|shared|storage|client|app|session|webhook"
    r"|subscription|consumer|deploy|admin)[-_. ]?\Z",
    re.IGNORECASE,
)
_HARMLESS_KEY: Final = re.compile(
    r"(?:public|pub|cache|primary|foreign|sort|partition|group|idempotency|dedup\w*|index|bucket|row|key)[-_. ]?\Z", re.IGNORECASE
)
_HARMLESS_TAIL: Final = re.compile(
    r"[-_.]?(?:name|type|kind|count|num|ur[li]|path|file(?:name)?|dir|len(?:gth)?|size|limit|max|min|ttl|expir\w*|expires?_?\w*|hash|sha\d*|digest|index"
    r"|label|field|input|prompt|hint|help|regex|pattern|format|policy|map|usage|price|cost|budget|rate|at|env|var|ref|arn|version|message|error|title)s?\Z",
    re.IGNORECASE,
)
_TEMPLATE: Final = re.compile(r"[$<{]|%[({]|\[?redacted|x{4,}|\*{3,}|\.{3}|(?:your|my|some|the|insert|enter|put|change|replace|example|dummy|todo)[-_ ]", re.IGNORECASE)
_CALL: Final = re.compile(r"[A-Za-z_][\w.]*[(\[].*", re.ASCII)
_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:(?:\??\.|::|->)[A-Za-z_]\w*)+", re.ASCII)
_STOP_WORDS: Final = frozenset(
    ("string", "password", "passwd", "secret", "token", "none", "null", "true", "false", "undefined", "text", "required", "optional", "changeme")
)
_PIECE: Final = re.compile(r"[A-Za-z0-9]+")
_HASH_OR_UUID: Final = re.compile(r"[0-9a-f]{32,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{15,}", re.IGNORECASE)
_CHECKSUM: Final = re.compile(r"(?:sha|md)[0-9]+[-:=]", re.IGNORECASE)


class Assignments:
    """Finds values assigned to names that promise a secret."""

    def find(self, text: str) -> list[Span]:
        """Return the values, without quotes, that look like secrets."""
        return merge(self._values(text))

    def _values(self, text: str) -> Iterator[Span]:
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


def promises_secret(name: str) -> bool:
    """Tell whether a name, such as the key of a JSON object, may have a secret as its value."""
    lower = ascii_lower(name)
    return any(literal in lower for literal in (*_LITERALS, "authorization"))


def _holds_secret(text: str, found: re.Match[str]) -> bool:
    word, tail = found["word"].lower(), found["tail"]
    head = text[max(0, found.start() - _HEAD_SIZE) : found.start()]
    value = found["quoted"] or found["bare"].rstrip(".:!?")
    if _continues(head, found["word"], tail) or _HARMLESS_TAIL.fullmatch(tail) or _is_harmless(value):
        return False
    if word.startswith(("pass", "pwd")):
        literal = bool(found["quote"]) or found["word"].isupper()
        return _is_password(value, exact=not tail.strip("0123456789_"), literal=literal)
    if word != "key" or _STRONG_KEY.search(head):
        return looks_random(value, 8) or bool(_HASH_OR_UUID.fullmatch(value))
    return looks_random(value, 16) and not _HASH_OR_UUID.fullmatch(value) and not _HARMLESS_KEY.search(head)


def _is_harmless(value: str) -> bool:
    """Tell whether a value is a template, a stop word, a checksum or a call."""
    return len(value) < 4 or value.lower() in _STOP_WORDS or any(rule.match(value) for rule in (_TEMPLATE, _CHECKSUM, _CALL))  # noqa: PLR2004


def _continues(head: str, word: str, tail: str) -> bool:
    """Tell whether the word is part of another: `tokenizer`, `KEYWORD`, `monkey`, `bypass`."""
    rest = tail.removeprefix("S" if word.isupper() else "s")
    if rest[:1].isalpha() and (rest[0].islower() or word.isupper()):
        return True
    glued = head[-1:].isalpha() and head[-1:].isupper() == word[0].isupper()
    return glued and (word.lower() == "pass" or (word.lower() == "key" and not _STRONG_KEY.search(head)))


def _is_password(value: str, *, exact: bool, literal: bool) -> bool:
    """Judge the value of a password: any word will do where it is written as a literal."""
    if _PATH.fullmatch(value):
        return False
    if " " in value:
        return looks_random(value, 6)
    if any(letter.isdigit() or letter in "!@#$%^&*?" for letter in value):
        return exact or looks_random(value, 6)
    return exact and literal


def looks_random(value: str, length: int) -> bool:
    """Tell whether a value of at least `length` has a piece that no word or number explains."""
    return len(value) >= length and any(_is_mixed(piece) for piece in _PIECE.findall(value))


def _is_mixed(piece: str) -> bool:
    """Tell whether letters and digits, or cases, alternate more often than in `Version12` or `camelCase`."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" for c in piece]
    changes = sum(a != b for a, b in pairwise(kinds) if (a, b) != ("u", "l"))
    return len(piece) >= 6 and ("d" in kinds and changes >= 2 or changes * 5 >= len(piece) and len(piece) >= 16)  # noqa: PLR2004
