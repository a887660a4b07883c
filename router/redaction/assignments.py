"""Secrets that only the name beside them gives away: `DB_PASSWORD=...`, `"api_key": "..."`, `the token is ...`.

Tuned for recall: masking is undone in the answer, so a false finding costs little. Names that only look like secrets
(`max_tokens`, `public_key`, `tokenizer`) and values that are code, templates or plain words are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from router.redaction.randomness import is_filler, surprise
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span, ascii_lower, merge

_LITERALS: Final = (
    "pass", "pwd", "kennwort", "contrase", "senha", "wachtwoord", "secret", "token", "credential", "creds", "key",
    "webhook", "salt",
)  # fmt: skip
_PASSWORDS: Final = ("pass", "pw", "kenn", "contra", "senha", "wacht")
_ASKED_APART: Final = frozenset({"pas", "pwd", "ken", "con", "sen", "wac"})
_PROMISES: Final = (
    "pass", "pwd", "kennwort", "contrase", "senha", "wachtwoord", "secret", "token", "credential", "key",
    "authorization",
)  # fmt: skip
_HEAD_SIZE: Final = 24
_SHORTEST_VALUE: Final = 4
_LONG: Final = 16
_FLAGS: Final = re.IGNORECASE | re.ASCII

# The first characters of a value are judged; a secret is then followed to its end.
_ASSIGNMENT: Final = re.compile(
    r"(?P<word>pass(?:w(?:or)?[dt]|phrase|code|e)?|kennwort|contrase[nñ]a|senha|wachtwoord|pwd?|secret|token|credential"
    r"|creds|key|auth|salt|webhook)(?P<tail>[\w.-]{0,40})"
    # A type: `string` of Go, `: &str` of Rust.
    r"""(?:\\{0,3}["'`])?\]?"""
    r"(?:[ \t]{1,4}string\b|:[ \t]{0,4}&?(?:'\w{1,20}[ \t])?[a-z][\w.:<>\[\]]{0,30}(?=[ \t]{0,4}=[^=>]))?"
    r"(?:[ \t]{0,16}(?:[.?+]=|:{0,3}=>?|:\*{0,2}|\*{1,2}:|\|\|)[ \t]{0,16}"
    r"|[ \t]{1,4}(?:is|was|ist|lautet|est?|é|è)(?:[ \t]{1,4}:?|:)[ \t]{0,4}"
    # A pair of name and value: `{"name": "KEY", "value": "..."}`, `variable "key" { default = "..."`.
    r"""|>\s{0,24}"""
    r"""|(?:[\s,]{1,24}\\{0,3}["']?value\\{0,3}["']?|[ \t]{0,4}\{[^{}"'=]{0,80}?default)[ \t]{0,4}[:=][ \t]{0,4}"""
    r"""|,[ \t]{0,8}(?=\\{0,3}["'`]))"""
    r"""(?:[bru@]{1,2}(?=["'`]))?(?:(?P<quote>\\{0,3}["'`])(?P<quoted>(?:(?!(?P=quote))(?:\\.|[^\n\\])){4,128})"""
    r"""|(?P<bare>(?!=)[^\s"'`\\,;<>()\[\]{}&|]{4,128}))""",
    _FLAGS,
)
_OPTION: Final = re.compile(r"--[\w-]{0,24}\Z", re.ASCII)
_SIGNED: Final = re.compile(r"[?&][\w-]{0,16}sig(?:nature)?=([\w%+/.~-]{16,}+)", _FLAGS)
# `--password VALUE`, "the password VALUE": nothing stands between a name and its value.
_APART: Final = re.compile(
    r"(?P<word>pass(?:w(?:or)?[dt]|phrase|code|e)?|pwd|kennwort|contrase[nñ]a|senha|wachtwoord|secret|token|credential|key)"
    r"(?P<tail>[\w-]{0,16})[ \t]{1,4}"
    r"""(?:(?P<quote>["'])(?P<quoted>(?:(?!(?P=quote))[^\n\\]){4,128})|(?P<bare>[^\s"'`\\,;<>()\[\]{}&|=:-][^\s"'`\\,;<>()\[\]{}&|]{3,127}))""",
    _FLAGS,
)
_REST: Final = re.compile(r"""[^\s"'`\\,;<>()\[\]{}&|]*+""")
# "the pin for the front door is 4711"
_PIN: Final = re.compile(
    r"(?:pin|passcode|door ?code)\b[^\n.:=0-9]{0,40}(?:\bis|:|=)[ \t]{0,4}([0-9]{4,8})(?![0-9.])", _FLAGS
)

_STRONG_KEY: Final = re.compile(
    r"(?:access|account|admin|api|app|auth|client|consumer|deploy|encryption|hmac|integration|licen[cs]e|master|private"
    r"|secret|service|session|shared|signing|storage|subscription|webhook|write)[-_. ]?\Z",
    _FLAGS,
)
_HARMLESS_KEY: Final = re.compile(
    r"(?:bucket|cache|dedup\w*|foreign|group|idempotency|index|key|partition|primary|row|sort)[-_. ]?\Z",
    _FLAGS,
)
_PUBLIC: Final = re.compile(
    r"(?:pub|public(?:[-_. ]?key)?|publishable|csrf|xsrf|anti-?forgery|authenticity|next_?page|continuation|page)"
    r"[-_. ]?\Z",
    _FLAGS,
)
_HARMLESS_TAIL: Final = re.compile(
    r"(?:[\w.-]*[-_.]|[\w.-]*(?=[A-Z][a-z]))?(?:arn|at|budget|cost|count|digest|dir|endpoint|env|error|event|expir\w*|field"
    r"|file(?:name)?|format|hash|header|help|hint|id|index|input|issuer|kind|label|len(?:gth)?|limit|map|max|message|min|mode"
    r"|name|num|path|pattern|policy|price|prompt|provider|rate|ref|regex|sha\d*|size|source|status|title|ttl|type|ur[li]"
    r"|usage|user|var|version)s?\Z",
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
_CUT: Final = re.compile(r"\.{2,}|…|\.\.\[")
_HASH_OR_ID: Final = re.compile(r"[0-9a-f]{32,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{15,}", _FLAGS)


class Assignments:
    """Finds values assigned to names that promise a secret."""

    def __init__(self) -> None:
        self.marks = (
            f"(?i:{'|'.join(_LITERALS)}|auth[^o]|pin\\b|passcode|door ?code|\\bpw\\b|[?&][A-Za-z-]*sig(?:nature)?=)"
        )
        self._names = Scan(self.marks)

    def find(self, text: str) -> list[Span]:
        """Return the values, without quotes, that look like secrets."""
        return merge(self._values(text))

    def _values(self, text: str) -> Iterator[Span]:
        end = 0
        for start, _ in self._names.spans(searchable(text)):
            if start < end:
                continue
            if text[start] in "?&":
                signed = _SIGNED.match(text, start)
                if signed and looks_random(signed[1], _LONG):
                    yield Span(signed.start(1), signed.end(), "SECRET", "signature")
                continue
            found = _ASSIGNMENT.match(text, start)
            if found is None and (text[start : start + 3].lower() in _ASKED_APART or text[start - 1 : start] == "-"):
                found = _APART.match(text, start)
            if found and _holds_secret(text, found):
                group = "quoted" if found["quote"] else "bare"
                rest = _REST.match(text, found.end(group))
                end = rest.end() if rest else found.end(group)
                value = text[found.start(group) : end]
                if not _CUT.search(value[-16:]):
                    yield Span(
                        found.start(group), end - _closing(value), "SECRET", f"{found['word'].lower()}-assignment"
                    )
            elif text[start] in "pPdD" and (pin := _PIN.match(text, start)):
                yield Span(pin.start(1), pin.end(1), "SECRET", "pin")


def promises_secret(name: str) -> bool:
    """Tell whether a name, such as the key of a JSON object, may have a secret as its value."""
    lower = ascii_lower(name)
    return any(literal in lower for literal in _PROMISES)


def looks_random(value: str, length: int, piece_length: int = 6) -> bool:
    """Tell whether a value of at least `length` characters has a piece that no word or number explains."""
    pieces = _PIECE.findall(value) if len(value) >= length else ()
    return any(_is_mixed(piece) for piece in pieces if len(piece) >= piece_length)


def _closing(value: str) -> int:
    """Return how many characters of punctuation end a bare value that ends a sentence."""
    return len(value) - len(value.rstrip(".:")) if value[-1:] in ".:" else 0


def _holds_secret(text: str, found: re.Match[str]) -> bool:
    head = text[max(0, found.start() - _HEAD_SIZE) : found.start()]
    value = found["quoted"] or found["bare"].rstrip(".:!?")
    if len(value) < _SHORTEST_VALUE or _HARMLESS_VALUE.match(value):
        return False
    if (
        _continues(head, found["word"], found["tail"])
        or _HARMLESS_TAIL.fullmatch(found["tail"])
        or _PUBLIC.search(head)
    ):
        return False
    return _fits_name(head, found, value) and not is_filler(value)


def _fits_name(head: str, found: re.Match[str], value: str) -> bool:
    """Tell whether a value is what the word before it, with `head` in front of it, promises."""
    word = found["word"].lower()
    secret_word = word.startswith(_PASSWORDS)
    if word == "pw" or (found.re is _APART and not _OPTION.search(head)):
        # What only follows a word has to be a password by itself.
        return secret_word and _is_strong(value)
    if secret_word:
        written = bool(found["quote"]) or found["word"].isupper()
        return _is_password(value, exact=not found["tail"].strip("0123456789_"), written=written)
    if word != "key" or _STRONG_KEY.search(head):
        return looks_random(value, 8, 12 if word == "token" and "_" in value else 6) or bool(
            _HASH_OR_ID.fullmatch(value)
        )
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


def _is_strong(value: str) -> bool:
    """Tell whether a value has what a form asks of a password, or letters and digits mixed as no word has them."""
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    return len(value) >= 8 and (all(any(map(kind, value)) for kind in kinds) or looks_random(value, 8))


def _is_mixed(piece: str) -> bool:
    """Tell whether letters and digits alternate more often than in `Version12`, or letters follow by chance."""
    kinds = [character.isdigit() for character in piece]
    if all(kinds):
        return False
    if sum(a != b for a, b in pairwise(kinds)) > 1:
        return True
    return len(piece) >= _LONG and surprise(piece) > 0
