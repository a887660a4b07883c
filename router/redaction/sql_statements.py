"""Passwords in SQL: of users and roles, and in the rows of an INSERT that names its columns.

A search starts at a word of the statement; the rows are walked once, forward only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from router.redaction.passwords import is_harmless, is_phrase
from router.redaction.scanning import Scan, searchable
from router.redaction.spans import Span, merge

_SPACE: Final = r"\s{1,16}"
_LITERAL: Final = r"""(?P<quote>["'])(?P<value>(?:(?!(?P=quote))[^\n\\]|\\.|(?P=quote){2}){4,128})(?P=quote)"""
_BY: Final = (
    rf"identified{_SPACE}(?:with{_SPACE}[\w'\"]{{1,40}}{_SPACE})?(?:by|using){_SPACE}(?:(?:password|values){_SPACE})?"
)
_OF_USER: Final = re.compile(
    rf"(?:(?:alter|create){_SPACE}(?:role|user){_SPACE}[^;]{{1,160}}?\b(?:password{_SPACE}|{_BY})"
    rf"|grant{_SPACE}[^;]{{1,160}}?\b{_BY}){_LITERAL}",
    re.IGNORECASE,
)
_IDENTIFIED: Final = re.compile(rf"(?=IDENTIFIED)(?i:{_BY}){_LITERAL}")  # in small letters it is prose, too
_FUNCTION: Final = re.compile(rf"PASSWORD\s?\(\s{{0,4}}{_LITERAL}\s{{0,4}}\)")
_INTO: Final = re.compile(
    rf"(?:insert|replace){_SPACE}(?:(?:ignore|or{_SPACE}[a-z]{{1,16}}){_SPACE})?into{_SPACE}"
    rf"[^\s(;]{{1,128}}\s{{0,16}}\((?P<columns>[^()';]{{1,2000}})\)\s{{0,16}}values\s{{0,16}}",
    re.IGNORECASE,
)
_COLUMN: Final = re.compile(
    r"(?P<password>(?:\w{0,40}_)?(?:pass(?:word|wort|wd|code|phrase)?|pwd?|kennwort))"
    r"|(?:\w{0,40}_)?(?:secret|token|api_?key|(?:access|auth|client|private|secret)_?key)",
    re.IGNORECASE,
)
_CELL: Final = re.compile(
    r"""\s{0,16}(?:N?'(?P<text>(?:[^'\\]|\\.|''){0,4000}+)'|"(?P<other>(?:[^"\\]|\\.|""){0,4000}+)"|[^\s'"(),;][^'"(),;]{0,200}+)"""
    r"\s{0,16}(?P<end>[,)])",
    re.DOTALL,
)
_NEXT_ROW: Final = re.compile(r"\s{0,16},?\s{0,16}\(")
_AROUND: Final = " \t\r\n\"'`[]"
_NO_WORD: Final = re.compile(r"[0-9!@#$%^&*?]")
_SHORTEST: Final = 4


class SqlStatements:
    """Finds the passwords and keys that statements set."""

    def __init__(self) -> None:
        self.marks = (
            r"(?i:(?:alter|create)[ \t\r\n]+(?:role|user)[ \t\r\n]|grant[ \t\r\n]"
            r"|(?:insert|replace)[ \t\r\n]+(?:into|ignore|or)[ \t\r\n])"
            r"|IDENTIFIED[ \t\r\n]|PASSWORD ?\("
        )
        self._words = Scan(self.marks)

    def find(self, text: str) -> list[Span]:
        """Return the values without quotes; variables, `NULL` and examples are none."""
        found: list[tuple[int, int]] = []
        walked = 0
        for start, _ in self._words.spans(searchable(text)):
            if start < walked:
                continue
            if text[start] in "iIrR" and not text.startswith("IDENT", start):
                rows, walked = _inserted(text, start)
                found += rows
            elif value := _of_user(text, start):
                found.append(value)
        return merge(Span(start, end, "SECRET", "sql") for start, end in found)


def _of_user(text: str, start: int) -> tuple[int, int] | None:
    found = next(filter(None, (rule.match(text, start) for rule in (_FUNCTION, _IDENTIFIED, _OF_USER))), None)
    if found is None or is_harmless(found["value"]) or (" " in found["value"] and not is_phrase(found["value"])):
        return None
    return found.span("value")


def _inserted(text: str, start: int) -> tuple[list[tuple[int, int]], int]:
    """Return the secrets of the rows behind an `INTO`, and how far they were walked."""
    statement = _INTO.match(text, start)
    if statement is None:
        return [], start
    columns = [_COLUMN.fullmatch(name.strip(_AROUND)) for name in statement["columns"].split(",")]
    found: list[tuple[int, int]] = []
    place = statement.end()
    while any(columns) and (row := _NEXT_ROW.match(text, place)):
        place = row.end()
        cells: list[re.Match[str]] = []
        while cell := _CELL.match(text, place):
            cells.append(cell)
            place = cell.end()
            if cell["end"] == ")":
                break
        found += _secrets(columns, cells)
        if not cells or cells[-1]["end"] != ")":
            break
    return found, place


def _secrets(columns: Sequence[re.Match[str] | None], cells: Sequence[re.Match[str]]) -> Iterator[tuple[int, int]]:
    if len(columns) != len(cells):
        return
    for column, cell in zip(columns, cells, strict=True):
        group = "other" if cell["text"] is None else "text"
        value = cell[group]
        if column is None or value is None or len(value) < _SHORTEST or is_harmless(value):
            continue
        # "pending" may be the state of a token; a password is whatever stands there.
        if column["password"] or _NO_WORD.search(value):
            yield cell.span(group)
