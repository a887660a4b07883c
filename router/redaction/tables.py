"""Passwords in tables: what stands under or beside a cell that says `password`, in Markdown, CSV and the like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from router.redaction.passwords import LATIN, is_harmless, looks_like_password
from router.redaction.spans import Span

_SIGNS: Final = "|\t;,"
_PLAIN: Final = re.compile(r"[\w .*\"'`/()-]{0,40}\r?")
_HEADING: Final = re.compile(rf"[\W_]*(?:[\w-]{{1,16}}[ _-])?(?:{LATIN}|pass)s?[\W_]*", re.IGNORECASE)
_CELL_END: Final = re.compile(rf"(?:{LATIN}|pass)s?[ \t*_\"'`]{{0,8}}(?:[|,;\t\r\n]|\Z)", re.IGNORECASE)
_BEFORE: Final = frozenset("|,;\t\n \"'`*_-") | {""}
_AROUND: Final = " \t\r*\"'`"
_RULE: Final = re.compile(r"[ \t|:+-]*-[ \t|:+\r-]*")
_LONGEST_LINE: Final = 2_000

_Cell = tuple[int, int]


def tabled(text: str, starts: Iterable[int]) -> Iterator[Span]:
    """Yield the cells under and beside those with a word at one of `starts` that look like a password.

    The rows of a table are walked once, for its first such cell.
    """
    done = walked = 0
    for start in starts:
        if start < done or not _CELL_END.match(text, start) or text[start - 1 : start] not in _BEFORE:
            continue
        begin = text.rfind("\n", max(0, start - _LONGEST_LINE), start) + 1
        if begin < done or start - begin >= _LONGEST_LINE:
            continue
        head = _line(text, begin)
        done = begin + len(head)
        sign = next((sign for sign in _SIGNS if sign in head), "")
        cells = _cells(text, begin, done, sign) if sign else []
        named = [at for at, cell in enumerate(cells) if _HEADING.fullmatch(text, *cell)]
        is_head = _RULE.fullmatch(_line(text, done + 1)) is not None
        beside = _passwords(text, cells, [at + 1 for at in named]) if sign == "|" and not is_head else ()
        found = list(beside)
        if named and begin >= walked and all(_PLAIN.fullmatch(text, *one) for one in cells):
            walked = done + 1
            for row in _rows(text, walked, sign, len(cells)):
                found += _passwords(text, row, named)
                walked = row[-1][1] + 1
        for value in found:
            done = max(done, value[1])
            yield Span(value[0], value[1], "SECRET", "table")


def _rows(text: str, begin: int, sign: str, width: int) -> Iterator[Sequence[_Cell]]:
    """Yield the rows of a table from a line on, each with as many cells as its head; the rule beneath it is none."""
    while begin < len(text):
        line = _line(text, begin)
        cells = _cells(text, begin, begin + len(line), sign)
        if len(cells) != width:
            return
        if not _RULE.fullmatch(line):
            yield cells
        begin += len(line) + 1


def _passwords(text: str, row: Sequence[_Cell], places: Sequence[int]) -> Iterator[_Cell]:
    for at in places:
        first, last = row[at] if at < len(row) else (0, 0)
        cell = text[first:last]
        value = cell.strip(_AROUND)
        start = first + len(cell) - len(cell.lstrip(_AROUND))
        if " " not in value and looks_like_password(value) and not is_harmless(value):
            yield start, start + len(value)


def _line(text: str, begin: int) -> str:
    return text[begin : begin + _LONGEST_LINE].partition("\n")[0]


def _cells(text: str, begin: int, end: int, sign: str) -> list[_Cell]:
    cells = []
    for piece in text[begin:end].split(sign):
        cells.append((begin, begin + len(piece)))
        begin += len(piece) + 1
    return cells
