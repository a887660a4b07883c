"""Tells a password by itself: the words for one in many languages, and what looks like one rather than like a term.

A password has letters with digits or symbols among them. So have `SHA256`, `bcrypt2`, `12ms`, dates, versions, paths
and addresses, which are told by their form.
"""

from __future__ import annotations

import base64
import re
from itertools import pairwise
from typing import Final

from router.redaction.randomness import is_filler, is_named_filler, surprise

# How the words for one begin, in any letter case; those of the second table have no ASCII letters. Russian without its
# first letter, the only one that is written in two ways.
LATIN: Final = (
    r"pass?(?:word|wort|wd|phrase|code|ord)|\bpwd?\b|kennw[oö]rt|zugangscode"
    r"|(?<=mot de )passe\b|(?<=mots de )passe\b|contrase[nñ]a|senha|(?<=palavra-)passe\b|wachtwoord"
    r"|l[oö]senord|adgangskode|salasana|jelsz[oó]|has[lł][oa]|\bhesl[oa]"
    r"|\bparol[aăeiu]|\b[sş]ifre|m[aậ]t kh[aẩ]u"
    r"|kata sandi|\bclaves?\b"
)
FOREIGN: Final = (
    "арол", "密码", "密碼", "口令", "パスワード", "暗証番号", "비밀번호", "패스워드", "암호", "पासवर्ड", "كلمة المرور",
    "كلمة السر", "رمز عبور", "סיסמ", "รหัสผ่าน", "κωδικ",
)  # fmt: skip

_SHORTEST: Final = 4
_LONG: Final = 16
_ENDING: Final = ".,:;!?)"
_BLANK: Final = re.compile(r"\s|[\x00-\x1f\x7f]")
_SYMBOL: Final = re.compile(r"[!@#$%^&*?+~§€]")
_HARMLESS_VALUE: Final = re.compile(
    # A variable or a template; a dollar or brace alone may begin a password.
    r"\$(?:[({$0-9]|[a-z_]\w*(?:\Z|[^\w!#%&*+?~^@]))|[<{](?:[^<>{}]*[>}]|[\w. -]*\Z)|\{\{|%[({]"
    r"|\[?redacted|x{4,}|\*{3,}|\.{3}"
    r"|(?:change|dummy|enter|example|insert|my|put|replace|some|the|todo|your)[-_ ]"
    r"|(?:md|sha)[0-9]+[-:=]"  # a checksum
    r"|[a-z_][\w.]*(?:\(.*\)|\[.*\]|[(\[]\Z)"  # a call or an item
    r"|(?:changeme|false|none|null|optional|passwd|password|required|secret|string|text|token|true|undefined)\Z",
    re.IGNORECASE | re.ASCII,
)
_PIECE: Final = re.compile(r"[A-Za-z0-9]{6,}")
_TERM: Final = re.compile(
    # Names with a number, numbers with a unit, dates, versions, addresses, paths, attributes, calls, options.
    r"[A-Z]{2,6}[-_]?[0-9]{1,4}(?:[-/.][0-9]{1,4})?"
    r"|(?i:aes|argon|base|bcrypt|crc|hmac|html|https?|int|ipv|iso|krb|md|ntlm|oauth|pbkdf|pkcs|python|rfc|rsa|scrypt|sha|ssh"
    r"|tls|uint|utf|x)[-_]?(?:v|sha)?[0-9]{1,4}(?:[-./_][\w./-]{0,16}|[a-z]{0,3})|v[0-9]+(?:(?:alpha|beta|rc)[0-9]*|-[a-z]+)?"
    r"|[0-9]{1,4}(?:[.,][0-9]+)?(?:[+%]|-?(?:[a-z]{0,3}|bits?|bytes?)|-[a-z-]+|[A-Z][a-z]*|[kKMGT]i?[bB])"
    r"|[0-9]+(?:st|nd|rd|th)|0x[0-9A-Fa-f]+|[0-9:.,/-]*[:.,/-][0-9:.,/-]*|v?[0-9]+(?:\.[0-9]+)+\S*"
    r"|\S*://\S*|[\w.+-]+@[\w.-]+\.[A-Za-z]{2,}|(?:\.{0,2}/|~/|[A-Za-z]:\\|\\\\)\S*|[\w-]+(?:/[\w.-]+)+"
    r"|[A-Za-z_]\w*(?:\??\.|::|->)[A-Za-z_]\S*|[\w-]+\.[a-z]{2,5}"
    r"|[A-Za-z_][\w.]*(?:\(.*\)|\[.*\]|<.*>|[(\[=]|=\w+)|--?[a-z][\w-]*(?:=\S*)?|%[sdr]|&[a-z]+;?\S*"
    r"|@[a-z]\w*|#(?:[0-9A-Fa-f]{3,8}|[0-9]+)",
    re.ASCII,
)

_PHRASE: Final = re.compile(r"[\w!?#%&*+@^~§€'\u2019-]{1,24}(?: [\w!?#%&*+@^~§€'\u2019-]{1,24}){1,4}")
_PLAIN_WORDS: Final = re.compile(r"[a-z]+(?: [a-z]+){2,4}")
# What forms, their errors and their help say of a password.
_ABOUT: Final = re.compile(
    rf"{LATIN}|secret|token|credential|\b(?:key|api|a|and?|are|at|be|by|can|char(?:acter)?s?|choose|confirm|contains?"
    r"|current|digits?|empty|enter|error|expired|fail(?:ed|s|ure)?|field|for|forg[eo]t\w*|from|generated?|has|have|here"
    r"|hidden|if|in|incorrect|invalid|is|it|least|length|letters?|level|long|match\w*|max\w*|min\w*|missing|must|new|no|not|of"
    r"|old|on|optional|or|page|please|re-?enter|repeat|required|reset|retype|same|section|set|short|should|show|step|stored"
    r"|strong|than|the|this|to|too|try|type|update|used?|user\w*|valid|version|via|weak|with|wrong|you|your"
    r"|bitte|ein\w*|falsch\w*|für|geben|(?:un)?gültig\w*|ist|lang|mindestens|muss|neue[rs]?|oder|und|vergessen"
    r"|wiederhol\w*|zeichen|ziffern|au|caract\w+|de|doit|du|entrez|les?|la|moins|nouveau|oubli\w*|saisi\w*|votre|al"
    r"|debe|el|introdu\w*|menos|nuev[ao]|olvid\w*|su|tu)\b",
    re.IGNORECASE,
)
_TWO_DIGITS: Final = re.compile(r"[0-9]{2}")
_GROUPED: Final = re.compile(r"[A-Za-z0-9]{3,8}(?:-[A-Za-z0-9]{3,8}){2,7}")
_NUMBERED: Final = re.compile(r"(?=.{8,32}\Z)[A-Za-z]{4,}[_-]?[0-9]{2,}[A-Za-z]*[!?#]?")
_MIXED: Final = re.compile(r"(?=[0-9]*[A-Za-z])(?=[A-Za-z]*[0-9])")


def looks_like_password(value: str) -> bool:
    """Tell whether a value that nothing quotes looks like a password, and like no word, number, name or term."""
    core = value.rstrip(_ENDING)
    if len(value) < _SHORTEST or _BLANK.search(value) or _TERM.fullmatch(core) or is_named_filler(value):
        return False
    if core.isdigit():
        return len(core) >= 6
    if core.isalpha():
        return core.isascii() and not (core.islower() or core.isupper() or core.istitle()) and _is_drawn(core)
    letters = sum(map(str.isalpha, core))
    return letters > 0 and (any(map(str.isdigit, core)) or _SYMBOL.search(core) is not None)


def is_phrase(value: str, *, written: bool = False) -> bool:
    """Tell whether a value that quotes end is a password of two to five words, and no text about passwords.

    It has a number of two digits or more; where the name is `written` as that of a setting, small words alone will do.
    """
    if not _PHRASE.fullmatch(value) or _ABOUT.search(value) or is_harmless(value) or is_term(value.replace(" ", "-")):
        return False
    letters = any(map(str.isalpha, value))
    return letters and (_TWO_DIGITS.search(value) is not None or (written and bool(_PLAIN_WORDS.fullmatch(value))))


def is_grouped(value: str) -> bool:
    """Tell whether a value has groups of one length, two of them of letters and digits: `a1b2-c3d4-e5f6`."""
    groups = value.split("-") if _GROUPED.fullmatch(value) else []
    return len({len(group) for group in groups}) == 1 and sum(bool(_MIXED.match(group)) for group in groups) > 1


def is_numbered(value: str) -> bool:
    """Tell whether a value is a word with a number behind it, and none of what is said about secrets."""
    return bool(_NUMBERED.fullmatch(value)) and looks_like_password(value) and not _ABOUT.search(value)


def is_strong(value: str) -> bool:
    """Tell whether a value has what forms ask of a password: eight characters, small, capital, digits and others."""
    kinds = (str.islower, str.isupper, str.isdigit, lambda character: not character.isalnum())
    return len(value) >= 8 and all(any(map(kind, value)) for kind in kinds)


def is_drawn(value: str) -> bool:
    """Tell whether a value has what forms ask of a password, or letters and digits mixed as no word has them."""
    return is_strong(value) or looks_random(value, 8)


def is_term(value: str) -> bool:
    """Tell whether a value with digits or symbols is a name, a number, a date or an address: `SHA256`, `12ms`."""
    return bool(_TERM.fullmatch(value.rstrip(_ENDING)))


def looks_random(value: str, length: int, piece_length: int = 6) -> bool:
    """Tell whether a value of at least `length` characters has a piece that no word or number explains."""
    pieces = _PIECE.findall(value) if len(value) >= length else ()
    return any(_is_mixed(piece) for piece in pieces if len(piece) >= piece_length)


def is_template(value: str) -> bool:
    """Tell whether a value is a variable, a call, a checksum or a word that stands for a value."""
    return bool(_HARMLESS_VALUE.match(value))


def is_harmless(value: str) -> bool:
    """Tell whether a value is a template, or an example of a value."""
    return is_template(value) or is_filler(value)


def closing_size(value: str) -> int:
    """Return how many characters of punctuation end a bare value that ends a sentence."""
    return len(value) - len(value.rstrip(".:")) if value[-1:] in ".:" else 0


def is_encoded_text(value: str) -> bool:
    """Tell whether a value is the base64 of a short text, as in manifests."""
    try:
        return len(value) >= _SHORTEST and base64.b64decode(value, validate=True).decode("utf-8").strip().isprintable()
    except ValueError:
        return False


def _is_drawn(letters: str) -> bool:
    return surprise(letters) > 0 or is_encoded_text(letters)


def _is_mixed(piece: str) -> bool:
    """Tell whether letters and digits alternate more often than in `Version12`, or letters follow by chance."""
    kinds = [character.isdigit() for character in piece]
    if all(kinds):
        return False
    if sum(a != b for a, b in pairwise(kinds)) > 1:
        return True
    return len(piece) >= _LONG and surprise(piece) > 0
