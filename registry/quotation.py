"""Find a value wherever a text quotes it: in any letter case and Unicode form, broken over lines, escaped as JSON."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LEAST_CHARACTERS = 3
_SPACE = r"(?:\s|\\+(?:[nrtf]|u[0-9a-f]{4}))+"
_CODE_UNITS = re.compile(r"(?:\\+u[0-9a-f]{4})+", re.IGNORECASE)
_HEX = re.compile(r"u(.{4})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Quotation:
    """What finds some values in texts."""

    written: re.Pattern[str]
    folded: re.Pattern[str]
    """Of texts that are folded: by letter cases alone ß would not be SS, nor ü the two characters of a Mac's files."""

    def search(self, text: str) -> bool:
        """Say whether a text quotes any of them."""
        return bool(self.folded.search(_folded(text)) or self.written.search(text))


def quoting(values: Iterable[str]) -> Quotation:
    """Return what finds any of the values; each has a character that is no white space."""
    given = list(values)
    return Quotation(_pattern(given, _word), _pattern(map(_folded, given), _folded_word))


def _folded(text: str) -> str:
    """Return a text with all its spellings alike: unescaped, in one Unicode form and one letter case."""
    if "\\u" in text or "\\U" in text:
        text = _CODE_UNITS.sub(_unescaped, text)
    return text if text.isascii() else unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def _unescaped(escapes: re.Match[str]) -> str:
    units = "".join(_HEX.findall(escapes[0]))
    return bytes.fromhex(units).decode("utf-16-be", "replace")


def _pattern(values: Iterable[str], word: Callable[[str], str]) -> re.Pattern[str]:
    split = [value.split() for value in values]
    return re.compile("|".join(_SPACE.join(map(word, words)) for words in split if words) or "(?!)", re.IGNORECASE)


def _word(word: str) -> str:
    once = [json.dumps(word, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)]
    twice = [json.dumps(form, ensure_ascii=False)[1:-1] for form in once]
    return f"(?:{'|'.join(map(re.escape, dict.fromkeys((word, *once, *twice))))})"


def _folded_word(word: str) -> str:
    once = json.dumps(word, ensure_ascii=False)[1:-1]
    twice = json.dumps(once, ensure_ascii=False)[1:-1]
    return f"(?:{'|'.join(map(re.escape, dict.fromkeys((word, once, twice))))})"
