"""Files that a text quotes, found by how people and tools mark them; pure, and linear in the text.

Known are `<file path=…>…</file>`, Anthropic's `<document><source>`, fenced blocks under or with a path, and headers
such as `=== path ===` and `--- path`. What may be anything else is no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TAG = re.compile(r"[ \t]*<(file|document|source_file)\b([^<>\n]{0,400})>")
_ATTRIBUTE = re.compile(r"""\b(?:path|name|filename|title|file|src)\s*=\s*["']([^"'<>\n]{1,300})["']""")
_SOURCE = re.compile(r"\s{0,40}<source>([^<\n]{1,300})</source>")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`\n]*)")
_PREFIX = re.compile(r"(?:file|path|filename)\b[ \t]*:?[ \t]*", re.IGNORECASE)
_PATH = re.compile(r"(?:[A-Za-z]:)?[\w.@+~()\[\]{}$-]*+(?:[/\\][\w.@+~()\[\]{}$-]++)*")
_EXTENSION = re.compile(r"[^/\\]*\.[A-Za-z][A-Za-z0-9_]{0,9}")
_BARE_NAMES = frozenset({"Makefile", "Dockerfile", "LICENSE", "README", "Jenkinsfile", "CMakeLists"})
# Names of things that look like those of files.
_PRODUCTS = frozenset({"asp.net", "d3.js", "express.js", "next.js", "node.js", "nuxt.js", "socket.io", "vue.js"})
_LONGEST_PATH = 300


@dataclass(frozen=True, slots=True)
class FileBlock:
    """A file in a text, from `start` to `end`; whether it ends there is not known where it is not `closed`."""

    start: int
    end: int
    path: str
    closed: bool = True


def is_path(text: str) -> bool:
    """Say whether a text is the path or the name of a file, and nothing else."""
    if not 1 < len(text) <= _LONGEST_PATH or "://" in text or text.lower() in _PRODUCTS:
        return False
    if not _PATH.fullmatch(text):
        return False
    name = re.split(r"[/\\]", text)[-1]
    return bool(_EXTENSION.fullmatch(name)) or name in _BARE_NAMES or (bool(name) and name != text)


def file_blocks(text: str) -> list[FileBlock]:
    """Return the files that a text quotes, in their order; they do not overlap."""
    scan = _Scan(text)
    return list(scan.blocks())


def outside(text: str, blocks: list[FileBlock]) -> str:
    """Return a text less the files in it; one whose end is not known counts as outside, for the task may follow."""
    pieces, at = [], 0
    for block in blocks:
        if block.closed:
            pieces.append(text[at : block.start])
            at = block.end
    return "\n".join([*pieces, text[at:]])


@dataclass(slots=True)
class _Scan:
    """One pass over the lines of a text."""

    text: str
    lines: list[str] = field(init=False)
    starts: list[int] = field(init=False)
    unclosed: dict[str, int] = field(default_factory=dict)
    """Tag or character of a fence, to the shortest that nothing below closes any more."""

    def __post_init__(self) -> None:
        self.lines = self.text.split("\n")
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line) + 1)

    def blocks(self) -> Iterator[FileBlock]:
        at = free = 0
        while at < len(self.lines):
            block, after = self._tagged(at) or self._fenced(at, free) or self._headed(at) or (None, at + 1)
            if block is not None:
                yield block
            if after > at + 1 or block is not None:
                free = after
            at = after

    def _tagged(self, at: int) -> tuple[FileBlock | None, int] | None:
        found = _TAG.match(self.lines[at])
        if found is None or found[1] in self.unclosed:
            return None
        inside = self.starts[at] + found.end()
        named = _ATTRIBUTE.search(found[2]) or _SOURCE.match(self.text, inside)
        if named is None or not (is_path(named[1].strip()) or "/" in named[1]):
            return None
        mark = f"</{found[1]}>"
        closing = self.text.find(mark, inside)
        if closing < 0:
            self.unclosed[found[1]] = 0
            return None
        end = closing + len(mark)
        return FileBlock(self.starts[at], end, named[1].strip()), self._line_after(at, end)

    def _fenced(self, at: int, free: int) -> tuple[FileBlock | None, int] | None:
        found = _FENCE.fullmatch(self.lines[at])
        closing = self._closing(at, found[1]) if found else None
        if found is None or closing is None:
            return None
        titled = self._title_above(at, free)
        path = _path_in(found[2]) or (titled[1] if titled else "")
        if not path:
            # What is quoted without a path is the task's own, whatever its lines look like.
            return None, closing + 1
        begin = titled[0] if titled else at
        return FileBlock(self.starts[begin], self._end_of(closing), path), closing + 1

    def _closing(self, at: int, fence: str) -> int | None:
        if len(fence) >= self.unclosed.get(fence[0], len(fence) + 1):
            return None
        for place in range(at + 1, len(self.lines)):
            line = self.lines[place].strip()
            if len(line) >= len(fence) and line == fence[0] * len(line):
                return place
        self.unclosed[fence[0]] = len(fence)
        return None

    def _title_above(self, at: int, free: int) -> tuple[int, str] | None:
        place = at - 1
        if place > free and not self.lines[place].strip():
            place -= 1
        if place < free:
            return None
        title = _PREFIX.sub("", self.lines[place].strip(" \t#*_`>:=-"), count=1).strip(" \t*_`:")
        return (place, title) if is_path(title) else None

    def _headed(self, at: int) -> tuple[FileBlock | None, int] | None:
        head = self._header(at)
        if head is None:
            return None
        mark, path, below = head
        first = next((place for place in range(below, min(below + 2, len(self.lines))) if self.lines[place].strip()), 0)
        if first and _FENCE.fullmatch(self.lines[first]):
            return None
        for place in range(below, len(self.lines)):
            if self._is_boundary(place, mark):
                return FileBlock(self.starts[at], self._end_of(place - 1), path), place
        return FileBlock(self.starts[at], len(self.text), path, closed=False), len(self.lines)

    def _header(self, at: int) -> tuple[str, str, int] | None:
        """Return a header's mark, its path, and the line below it."""
        line = self.lines[at].strip()
        mark = line[:1]
        if mark not in ("=", "-") or not line.startswith(3 * mark):
            return None
        if line == mark * len(line):
            named = self.lines[at + 1].strip() if at + 2 < len(self.lines) else ""
            below = self.lines[at + 2].strip() if named else ""
            path = _PREFIX.sub("", named, count=1)
            ruled = below and below == mark * len(below) and path != named and is_path(path)
            return (mark, path, at + 3) if ruled else None
        path = _PREFIX.sub("", line.strip(f"{mark} \t"), count=1).strip()
        alone = line.endswith(3 * mark) or at == 0 or not self.lines[at - 1].strip()
        differs = at + 1 < len(self.lines) and self.lines[at + 1].startswith("+++")
        return (mark, path, at + 1) if alone and not differs and is_path(path) else None

    def _is_boundary(self, at: int, mark: str) -> bool:
        """Say whether a headed file cannot go on here, whatever begins."""
        line = self.lines[at].strip()
        if not line.startswith(3 * mark):
            return False
        inner = line.strip(f"{mark} \t")
        if not inner:
            return self._header(at) is not None
        return line.endswith(3 * mark) or is_path(_PREFIX.sub("", inner, count=1).strip())

    def _end_of(self, at: int) -> int:
        return min(self.starts[at + 1] - 1, len(self.text))

    def _line_after(self, at: int, end: int) -> int:
        while at < len(self.lines) and self.starts[at] < end:
            at += 1
        return at


def _path_in(info: str) -> str:
    """Return the path that the opening line of a fence names, empty where it names none."""
    given = _ATTRIBUTE.search(info)
    if given and is_path(given[1].strip()):
        return given[1].strip()
    return next((word for word in re.split(r"[\s:,{}]+", info) if is_path(word)), "")
