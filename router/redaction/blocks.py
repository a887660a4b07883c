"""Values below a name that promises a secret: `credentials: {bob: ...}`, YAML beneath `password:`, a Kubernetes Secret.

What is below such a name needs no name of its own. A block ends with its brace or its indentation, after some 4,000
characters at the latest, and is walked once.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from typing import Final

from router.redaction.assignments import names_no_secret
from router.redaction.passwords import is_drawn, is_encoded_text, is_harmless, looks_like_password
from router.redaction.spans import Span

_NAME: Final = re.compile(
    r"""(?:pass(?:wor[dt]|wd|phrase|code)s?|pwds?|kennw..?rt|cred(?:ential)?s?|secrets?)[A-Za-z0-9_]{0,16}\\{0,3}["']?"""
    r"""[ \t]{0,4}(?::|=>?)[ \t]{0,8}(?:[{\[]|\r?\n[ \t]+["'#A-Za-z_-])""",
    re.IGNORECASE,
)
_DATA: Final = re.compile(
    r"""(?:^|(?<=[\n{,"'\t ]))(?:string[dD]|d)ata\\{0,3}["']?[ \t]{0,4}:[ \t]{0,8}(?:\{|\r?\n[ \t]+["'A-Za-z_-])"""
)
_LONGEST: Final = 4_000
_HEAD_SIZE: Final = 16
_KIND: Final = re.compile(r"""kind\\{0,3}["']?[ \t]{0,4}:[ \t]{0,4}\\{0,3}["']?\Z""")
_BRACE: Final = re.compile(r"[\[\]{}]")
# Lines of YAML below its name: an empty one, a comment, a pair or an item.
_HEAD: Final = re.compile(r"""([ \t]*)(?:-[ \t]+)?["']?[\w.-]*""")
_BELOW: Final = re.compile(
    r"""[ \t]*(?:#[^\n]*)?\r?\n"""
    r"""|([ \t]+)(?:-[ \t]+)?(?:["']?[\w.@/-]{1,60}["']?:(?:[ \t][^\n]*)?|(?<=-[ \t])[^\s:]+[ \t]*)\r?(?:\n|\Z)"""
)
_ITEM: Final = re.compile(
    r"""(?:(?P<name>[\w.@-]{1,60})\\{0,3}["']?[ \t]{0,4}(?::|=>?)[ \t\r\n]{0,8}"""
    r"""|(?<=[\[\n,])[ \t\r\n]{0,24}(?:-[ \t]+)?)"""
    r"""(?:\\{0,3}(?P<quote>["'])(?P<quoted>(?:(?!\\{0,3}(?P=quote))\S){4,200})"""
    r"""|(?P<bare>[^\s"'\\{}\[\](),:](?:[^\s"'\\{}\[\](),:]|:(?=\S)){3,199}+)(?![:(]))"""
)
_OTHER: Final = re.compile(
    r"(?:.*[_.-])?(?:user\w*|login|e?mail|account|region|role|scopes?|host\w*|class|default)", re.IGNORECASE
)


def nested(text: str, starts: Iterable[int]) -> Iterator[Span]:
    """Yield what looks like a password below the names that begin at `starts`, and all the data of a Secret."""
    end = searched = 0
    for start in starts:
        if start < end:
            continue
        if text.startswith("Secret", start) and _KIND.search(text, max(0, start - _HEAD_SIZE), start):
            if start >= searched:
                searched = yield from _of_manifest(text, start)
        elif name := _NAME.match(text, start):
            begin, end = _block(text, start, name.end())
            looks = _looks_secret if text[start] in "sS" else looks_like_password
            for item, value in _items(text, begin, end):
                said = item["name"] or ""
                if not names_no_secret(said) and not _OTHER.fullmatch(said) and looks(text[value]):
                    yield Span(value.start, value.stop, "SECRET", "block")


def _of_manifest(text: str, start: int) -> Generator[Span, None, int]:
    """Yield all values of `data` in the document of a Kubernetes Secret; return where the document ends."""
    first = max(text.rfind("\n---", max(0, start - _LONGEST), start), start - _LONGEST, 0)
    last = text.find("\n---", start, start + _LONGEST)
    last = last if last >= 0 else start + _LONGEST
    for data in _DATA.finditer(text, first, last):
        for _, value in _items(text, *_block(text, data.start(), data.end())):
            yield Span(value.start, value.stop, "SECRET", "block")
    return last


def _items(text: str, begin: int, end: int) -> Iterator[tuple[re.Match[str], slice]]:
    """Yield the pairs and list items of a block whose value may be one, and where that stands."""
    for item in _ITEM.finditer(text, begin, end):
        value = slice(*item.span("quoted" if item["quote"] else "bare"))
        if not is_harmless(text[value]):
            yield item, value


def _looks_secret(value: str) -> bool:
    return is_drawn(value) or is_encoded_text(value)


def _block(text: str, start: int, stop: int) -> tuple[int, int]:
    """Return where the block below a name, which stands from `start` on, begins and ends."""
    last = min(len(text), stop + _LONGEST)
    if text[stop - 1] in "{[":
        depth = 1
        for brace in _BRACE.finditer(text, stop, last):
            depth += 1 if brace[0] in "{[" else -1
            if not depth:
                return stop - 1, brace.start()
        return stop - 1, last
    line = text.rfind("\n", 0, start) + 1
    begin = end = text.index("\n", start) + 1
    head = _HEAD.fullmatch(text, line, start)
    while head and end < last and (below := _BELOW.match(text, end)):
        if below[1] is not None and len(below[1]) <= len(head[1]):
            break
        end = below.end()
    return begin - 1, min(end, last)
