"""Passwords that a sentence tells: `Das Passwort für das Programm lautet ...`, `login: ann / ...`, `密码是...`.

A word for a password opens a window that ends with its clause. What stands there behind a verb or a colon is judged by
itself; windows are short, so that no text makes the search slow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Final

from router.redaction.assignments import names_no_secret
from router.redaction.passwords import (
    FOREIGN,
    LATIN,
    closing_size,
    is_drawn,
    is_harmless,
    is_phrase,
    looks_like_password,
)
from router.redaction.spans import Span

_NOUN: Final = re.compile(rf"(?:{LATIN})\w{{0,8}}(?:['\u2019]s(?=[ \t]))?(?![\w(])", re.IGNORECASE)
_BOTH: Final = (
    r"\b(?:log-?ins?|cred(?:s|entials?)|identifiants|credencia(?:les|is)|credenziali|inloggegevens)"
    r"|(?:zugangs|anmelde)daten"
)
_EITHER: Final = r"\b(?:user(?:name)?|benutzer(?:name)?)[ \t]?[/+&|]"
LABELS: Final = rf"(?:{_BOTH})[ \t:]|{_EITHER}"
"""How what stands before a name and its password begins, in any case, for `Scan`."""
_LABEL: Final = re.compile(rf"(?:{_BOTH}|{_EITHER}[ \t]?(?:pass[a-z]*|pwd?|kennwort))(?![\w(])", re.IGNORECASE)
# A clause is a piece of a line, without what only code has; a full stop ends it before a space.
_CLAUSE: Final = re.compile(r"(?:[-=]>|[^\n;{}<>|=.]|\.(?=\S)){0,100}")
_VERB: Final = re.compile(
    r"[ \t](?:is|was|are|ist|war|sind|lauten?|lautete[nt]?|lautet|(?:es[ \t])?hei(?:ß|ss)t|est|était|sont|es|era|son|é"
    r"|è|sono|são|c['\u2019]est|là|är|er|var|on|jest|brzmi|to|auf|je|zní)(?:[ \t]{0,2}:)?[ \t]{1,4}"
    r"|[ \t]{0,2}(?::(?!//|:)\*{0,2}|[-=]>|→|\uff1a)[ \t]{0,8}|[ \t][-\u2013\u2014][ \t]"
)
_CHANGE: Final = re.compile(r"chang|\bset|reset|updat|rotat|änder|setz|stell|cambi|modif", re.IGNORECASE)
_TO: Final = re.compile(r"[ \t]+(?:to|auf)[ \t]+")
_AROUND: Final = 40
_PLAIN: Final = re.compile(r"[ \t]+(?:je|er|on|var)[ \t]+")  # what other languages have as other words
_ENGLISH: Final = re.compile(r"pass|pw|cred|log", re.IGNORECASE)
_SURE: Final = re.compile(r"[ \t](?:lautete?|(?:es[ \t])?hei(?:ß|ss)t|brzmi|zní)\b")
_WORDS: Final = re.compile(r"(?:[ \t]+[(\[\"'`]?[\w@.'\u2019+-]+[)\]\"'`]?){0,8}[ \t]*")
_QUOTED: Final = re.compile(
    r"""(?P<quote>\*\*|["'`])(?P<value>(?![)\]},;])(?:(?!(?P=quote))[^\s\\]){4,128})(?P=quote)"""
    r"""|[„“«\u2018「『]\s?(?P<typeset>[^\s“”»\u2019」』]{4,128})\s?[“”»\u2019」』]"""
)
_SPACED: Final = re.compile(
    r"""(?P<quote>["'`])(?P<value>(?:(?!(?P=quote))[^\n\\]){4,64})(?P=quote)"""
    r"""|[„“«\u2018「『]\s?(?P<typeset>[^\n„“”«»\u2018\u2019「」『』]{4,64}?)\s?[“”»\u2019」』]"""
)
# What prose does not quote ends with a space; signs that no password ends with belong to the sentence.
_BARE: Final = re.compile(
    r"""(?=[\w!#$%&*+?@^~=-])(?:[^\s"`\\<„“”«»\u2018\u2019「」『』。\uff0c、\uff01]|<(?![/A-Za-z!])){4,128}"""
)
_AFTER: Final = ",.;:'|)]}>"
_CLAUSE_END: Final = re.compile(r"[.!?]?[ \t]*(?:\r?\n|\Z)")
_WORD: Final = re.compile(r"\w")
_ADVERB: Final = re.compile(r"[a-zà-ÿ]{2,12}[ \t]{1,4}")
_NEXT_LINE: Final = re.compile(r":[ \t]{0,8}\r?\n(?:[ \t]*\r?\n)?[ \t]{0,8}([!-~]{6,64})[ \t]{0,8}(?:\r?\n|\Z)")
_PAIR: Final = re.compile(
    r"(?P<verb>[^\n:=;{}<>()|\[\]\"',.]{0,30}?(?::|[ \t](?:are|is|was|sind|ist|lauten|sont|son|sono|são)(?:[ \t]?:)?))?"
    r"[ \t\"'`]{1,4}(?P<user>[\w.@+\\-]{2,64})[\"'`]?"
    r"(?P<between>[ \t]{0,4}(?:[/|,]|:(?!//))[ \t]{0,4}|[ \t]+(?:and|und|et|y|e|en|mit|with)?[ \t]*)"
)
_FOREIGN: Final = re.compile("|".join(FOREIGN))
_FOREIGN_END: Final = re.compile(r"[\n。]")
_LONGEST: Final = 80
_LATIN_RUN: Final = re.compile(r"[!#-&*-\[\]-_a-{}~]{4,128}")  # printable ASCII without quotes and parentheses
_GAP: Final = re.compile(r"[ \t]{1,4}")
_SHORTEST: Final = 6
_SHORTEST_BARE: Final = 4


def told(text: str, starts: Iterable[int]) -> Iterator[Span]:
    """Yield the passwords of the clauses with a word at one of `starts`, without quotes and punctuation behind them."""
    words = [word for start in starts if (word := _NOUN.match(text, start) or _LABEL.match(text, start))]
    end = 0
    for word, after in zip_longest(words, words[1:]):
        if word.start() < end:
            continue
        if word.re is _LABEL:
            value = _in_pair(text, word.end())
        else:
            # The next word for one opens a window of its own.
            value = _in_clause(text, word, after.start() if after else len(text)) or _beside(text, word)
        if value:
            end = value[1]
            yield Span(value[0], end, "SECRET", "sentence")


def told_in_other_scripts(text: str) -> Iterator[Span]:
    """Yield runs of ASCII that look like a password, in a clause with a word for one in another script."""
    end = 0
    for noun in _FOREIGN.finditer(text):
        first = max(end, noun.end())
        clause = _FOREIGN_END.search(text, first, first + _LONGEST)
        for run in _LATIN_RUN.finditer(text, first, clause.start() if clause else first + _LONGEST):
            start, end = run.start(), run.end() - closing_size(run[0])
            if looks_like_password(text[start:end]) and not is_harmless(text[start:end]):
                yield Span(start, end, "SECRET", "sentence")


def _in_clause(text: str, noun: re.Match[str], limit: int) -> tuple[int, int] | None:
    """Return the first value behind a verb or colon of the clause that looks like a password."""
    clause = _CLAUSE.match(text, noun.end(), limit)
    if clause is None or names_no_secret(clause[0].split(maxsplit=1)[0] if clause[0].strip() else ""):
        return None
    english = _ENGLISH.match(noun[0]) is not None
    for verb in _VERB.finditer(text, noun.end(), clause.end() + 1):
        if ":" in verb[0] and not _WORDS.fullmatch(text, noun.end(), verb.start()):
            continue
        if english and not _is_verb(text, noun, verb):
            continue
        if value := _value_at(text, verb):
            return value
    return None


def _is_verb(text: str, noun: re.Match[str], verb: re.Match[str]) -> bool:
    """Tell whether a word behind an English or German one is no other: "to" and "auf" are where something changes."""
    if _TO.match(verb[0]):
        return _CHANGE.search(text, max(0, noun.start() - _AROUND), verb.end() + _AROUND) is not None
    return _PLAIN.match(verb[0]) is None


def _value_at(text: str, verb: re.Match[str]) -> tuple[int, int] | None:
    """Return what looks like a password behind a verb, what it quotes, or any word behind one that only tells it."""
    start, sure = verb.end(), _SURE.match(verb[0]) is not None
    if quoted := _QUOTED.match(text, start):
        group = "value" if quoted["quote"] else "typeset"
        word = not (_WORD.search(verb[0]) or looks_like_password(quoted[group]))
        return None if word or is_harmless(quoted[group]) else quoted.span(group)
    if phrase := _phrase_at(text, start):
        return phrase
    bare = _bare_at(text, start)
    if bare and (looks_like_password(text[slice(*bare)]) or (sure and _CLAUSE_END.match(text, bare[1]))):
        return bare
    adverb = _ADVERB.match(text, start)
    after = _bare_at(text, adverb.end()) if adverb else None
    if after is None:
        return None
    said = text[slice(*after)]
    alone = _CLAUSE_END.match(text, after[1]) and looks_like_password(said)
    return after if alone or _is_drawn(said) else None


def _beside(text: str, noun: re.Match[str]) -> tuple[int, int] | None:
    """Return what only follows a word, and looks like nothing but a password, or stands alone on the next line."""
    if below := _NEXT_LINE.match(text, noun.end()):
        return below.span(1) if looks_like_password(below[1]) and not is_harmless(below[1]) else None
    gap = _GAP.match(text, noun.end())
    if gap is None:
        return None
    if (quoted := _QUOTED.match(text, gap.end())) and quoted["quote"]:
        return quoted.span("value") if looks_like_password(quoted["value"]) else None
    if phrase := _phrase_at(text, gap.end()):
        return phrase
    value = _bare_at(text, gap.end())
    if value is None:
        return None
    said = text[slice(*value)]
    told = len(said) >= _SHORTEST and looks_like_password(said)
    return value if told or _is_drawn(said) else None


def _in_pair(text: str, start: int) -> tuple[int, int] | None:
    """Return the password of `user / password` and the like, as behind a label such as `login:`."""
    pair = _PAIR.match(text, start)
    value = _bare_at(text, pair.end()) if pair and not pair["user"].isdigit() else None
    if pair is None or value is None:
        return None
    said = text[slice(*value)]
    sure = pair["verb"] is not None and not pair["between"].isspace()
    return value if (sure and len(said) >= _SHORTEST and looks_like_password(said)) or _is_drawn(said) else None


def _phrase_at(text: str, start: int) -> tuple[int, int] | None:
    """Return the password of several words that quotes hold."""
    quoted = _SPACED.match(text, start)
    group = "value" if quoted and quoted["quote"] else "typeset"
    return quoted.span(group) if quoted and is_phrase(quoted[group]) else None


def _bare_at(text: str, start: int) -> tuple[int, int] | None:
    bare = _BARE.match(text, start)
    value = bare[0].rstrip(_AFTER) if bare else ""
    return None if len(value) < _SHORTEST_BARE or is_harmless(value) else (start, start + len(value))


def _is_drawn(value: str) -> bool:
    return is_drawn(value) and looks_like_password(value)
