"""Secrets that only the name beside them gives away: `DB_PASSWORD=...`, `"api_key": "..."`, `the token is ...`.

Tuned for recall: masking is undone in the answer, so a false finding costs little. Names that only look like secrets
(`max_tokens`, `public_key`, `tokenizer`) and values that are code, templates or plain words are left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from router.redaction.passwords import (
    closing_size,
    is_drawn,
    is_grouped,
    is_numbered,
    is_phrase,
    is_strong,
    is_template,
    is_term,
    looks_like_password,
    looks_random,
)
from router.redaction.randomness import is_filler
from router.redaction.spans import Span, ascii_lower

NAMES: Final = (
    r"pass|pwd|kennwort|contrase|senha|wachtwoord|secret|token|credential|creds|key|webhook|salt|auth[^o]|pin\b"
    r"|door ?code|pw\b|[?&][A-Za-z-]*sig(?:nature)?="
)
"""How the names begin, in any case, for `Scan`."""
_PASSWORDS: Final = ("pass", "pw", "kenn", "contra", "senha", "wacht")
_ASKED_APART: Final = frozenset({"pas", "pwd", "ken", "con", "sen", "wac"})
_PROMISES: Final = (
    "pass", "pwd", "kennwort", "contrase", "senha", "wachtwoord", "secret", "token", "credential", "key",
    "authorization",
)  # fmt: skip
_PW: Final = re.compile(r"(?:^|[_.-])pw\Z")
_PARENT: Final = re.compile(
    r"pass(?!age|ive|port|enger)|pwd|kennwort|secret|credential|creds|(?:^|[_.-])pw\Z", re.IGNORECASE
)
_NESTING: Final = frozenset({"password", "passwort", "passwd", "passphrase", "pwd", "kennwort", "credential", "creds"})
_ENDING: Final = "0123456789_"
_NO_NAME: Final = re.compile(r"[^\w-]")
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
# A name of a setting, and names of texts about one.
_SETTING: Final = re.compile(r"[A-Z0-9]_\Z")
_TEXT_OF: Final = re.compile(
    r"(?:bad|change|confirm|empty|enter|err(?:or)?|forgot|hide|incorrect|invalid|label|message|missing|msg|no|reset|show"
    r"|title|weak|wrong)[-_. ]?\Z",
    _FLAGS,
)
_KEY_HEADER: Final = re.compile(r"\bapi-\Z", _FLAGS)
_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:(?:\??\.|::|->)[A-Za-z_]\w*)+", re.ASCII)
_FOLDER: Final = re.compile(r"(?:/[\w.@-]+)+", re.ASCII)
_DIGIT: Final = re.compile(r"[0-9]")
_NO_WORD: Final = re.compile(r"[0-9!@#$%^&*?]")
_CALL: Final = re.compile(r"\([^()\n]*\)")
_CUT: Final = re.compile(r"\.{2,}|…|\.\.\[")
_HASH_OR_ID: Final = re.compile(r"[0-9a-f]{32,128}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9]{15,}", _FLAGS)


def assigned(text: str, starts: Iterable[int]) -> Iterator[Span]:
    """Yield values assigned to the names that begin at `starts`, without quotes, where they look like secrets."""
    end = 0
    for start in starts:
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
                    found.start(group), end - closing_size(value), "SECRET", f"{found['word'].lower()}-assignment"
                )
        elif text[start] in "pPdD" and (pin := _PIN.match(text, start)):
            yield Span(pin.start(1), pin.end(1), "SECRET", "pin")


def promises_secret(name: str) -> bool:
    """Tell whether a name, such as the key of a JSON object, may have a secret as its value."""
    lower = ascii_lower(name)
    return any(literal in lower for literal in _PROMISES) or _PW.search(lower) is not None


def inherited(name: str, parent: str) -> str:
    """Return what says what the value of a key is: with it, the key of the object around it where that one promises."""
    if not _PARENT.search(parent) or (promises_secret(name) and "secret" not in name.lower()):
        return name
    return f"{parent.partition('.')[0]}.{_NO_NAME.sub('_', name)[:_HEAD_SIZE]}"


def names_no_secret(tail: str) -> bool:
    """Tell whether the end of a name says that it names something beside the secret: `_hash`, `_policy`, `length`."""
    return bool(_HARMLESS_TAIL.fullmatch(tail))


def _holds_secret(text: str, found: re.Match[str]) -> bool:
    head = text[max(0, found.start() - _HEAD_SIZE) : found.start()]
    value = found["quoted"] or found["bare"].rstrip(".:!?")
    if len(value) < _SHORTEST_VALUE or is_template(value) or (found["bare"] and _CALL.match(text, found.end())):
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
    if (secret_word or word == "secret") and _holds_phrase(head, found, value):
        return True
    if found.re is _APART and not _OPTION.search(head):
        # What only follows a word has to be a password by itself.
        return secret_word and is_drawn(value)
    if found["quote"] and "." in found["tail"] and word in _NESTING:
        return looks_like_password(value)
    if secret_word:
        return _fits_password(head, found, value)
    if word != "key" or _STRONG_KEY.search(head):
        random = looks_random(value, 8, 12 if word == "token" and "_" in value else 6)
        strong = word == "secret" and is_strong(value) and not is_term(value)
        return random or strong or bool(_HASH_OR_ID.fullmatch(value)) or _fits_simple_key(head, found, value)
    return looks_random(value, _LONG) and not _HASH_OR_ID.fullmatch(value) and not _HARMLESS_KEY.search(head)


def _holds_phrase(head: str, found: re.Match[str], value: str) -> bool:
    """Tell whether a value is a password of several words, quoted from beginning to end."""
    if not found["quote"] or " " not in value or found["tail"].strip(_ENDING) or _TEXT_OF.search(head):
        return False
    closed = found.string.startswith(found["quote"], found.end("quoted"))
    return closed and is_phrase(value, written=_is_setting(head, found))


def _is_setting(head: str, found: re.Match[str]) -> bool:
    """Tell whether the name is one of an environment file, with its value right behind the sign: `API_KEY=`."""
    at = found.end("tail")
    directly = found.string.startswith("=", at) and not found.string[at + 1].isspace()
    return directly and found["word"].isupper() and _SETTING.search(head) is not None


def _fits_simple_key(head: str, found: re.Match[str], value: str) -> bool:
    """Tell whether a key that is not random is one of groups, or of a word and a number where nothing else stands."""
    if found["tail"].strip(_ENDING):
        return False
    element = found.string.startswith(">", found.end("tail"))
    literal = element or _is_setting(head, found) or _KEY_HEADER.search(head)
    return is_grouped(value) or bool(literal and is_numbered(value))


def _fits_password(head: str, found: re.Match[str], value: str) -> bool:
    if found["word"].lower() == "pw":
        return is_drawn(value) or (not head[-1:].isalnum() and looks_like_password(value))
    if _PATH.fullmatch(value) and not (found["quote"] and _DIGIT.search(value)):
        return False
    if found["word"] == "PWD" and _FOLDER.fullmatch(value):
        return False  # the working directory of a shell
    written = bool(found["quote"]) or found["word"].isupper() or "ansible_" in head
    ending = _ENDING + "sS" if found["quote"] else _ENDING
    return _is_password(value, exact=not found["tail"].strip(ending), written=written)


def _continues(head: str, word: str, tail: str) -> bool:
    """Tell whether the word is part of another: `tokenizer`, `KEYWORD`, `monkey`, `bypass`."""
    rest = tail.removeprefix("S" if word.isupper() else "s")
    if rest[:1].isalpha() and (rest[0].islower() or word.isupper()):
        return True
    glued = head[-1:].isalpha() and head[-1:].isupper() == word[0].isupper()
    return glued and (word.lower() == "pass" or (word.lower() == "key" and not _STRONG_KEY.search(head)))


def _is_password(value: str, *, exact: bool, written: bool) -> bool:
    """Judge a value by how its name ends (`exact`: with the word itself) and whether it is `written` as a literal."""
    if " " not in value and exact:
        return written or bool(_NO_WORD.search(value))
    return looks_random(value, _SHORTEST_VALUE)
