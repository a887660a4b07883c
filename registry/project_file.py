"""A `modelbreeder.toml` in a checked-out project: it may only narrow what the user's own file allows, until trusted.

Here it is found and read, once, as what it is: a text of somebody else's. `registry.narrowing` says what of it counts.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from registry.home import CONFIG_NAME

MAX_BYTES = 64 << 10
_MAX_DEPTH = 8
_MAX_DOTS = 200
"""In one line: the parser's time grows with the square of a dotted key's parts, 17 s for what fits in 64 KiB."""
_SHOWN_CHARS = 120

Values: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Project:
    """A project's file as it was read once; `problem` says why it cannot be used."""

    file: Path
    digest: str = ""
    values: Values = field(default_factory=dict)
    trusted: bool = False
    problem: str = ""


def find_project_files(folder: Path, own: Path) -> list[Path]:
    """Return the files from the root of a folder's repository down to the folder, but for one's own.

    A submodule or a worktree is a part of the repository in which it lies. Outside of one only the folder itself is
    looked at.
    """
    folders = [folder, *folder.parents]
    roots = [at for at, place in enumerate(folders) if os.path.lexists(place / ".git")]
    # Where git has a file and no folder, the repository itself is elsewhere.
    root = next((at for at in roots if (folders[at] / ".git").is_dir()), roots[0] if roots else 0)
    files = [place / CONFIG_NAME for place in reversed(folders[: root + 1])]
    return [file for file in files if os.path.lexists(file) and not _is_same(file, own)]


def _is_same(file: Path, own: Path) -> bool:
    return own.exists() and file.exists() and file.samefile(own)


def read_project(file: Path, is_trusted: Callable[[Path, str], bool]) -> Project:
    """Read a project's file: a plain, small one, once, so that what was judged is what is used.

    Args:
        file: where it lies.
        is_trusted: says whether a place was trusted with a digest.

    """
    try:
        raw = _bytes(file)
        values = _parsed(raw.decode("utf-8"))
    except (OSError, ValueError) as error:
        return Project(file, problem=shown(getattr(error, "strerror", None) or str(error)))
    except RecursionError:
        return Project(file, problem="it is nested too deeply")
    digest = hashlib.sha256(raw).hexdigest()
    return Project(file, digest, values, is_trusted(file, digest))


def _parsed(text: str) -> dict[str, object]:
    """Return the values of a TOML text; ValueError or RecursionError for one that is no configuration of anybody's."""
    if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
        raise ValueError(f"a line of it has more than {_MAX_DOTS} dots")
    values = tomllib.loads(text)
    if _depth(values) > _MAX_DEPTH:
        raise RecursionError
    return values


def _depth(value: object) -> int:
    if isinstance(value, Mapping | list):
        inner = value.values() if isinstance(value, Mapping) else value
        return 1 + max(map(_depth, inner), default=0)
    return 0


def _bytes(file: Path) -> bytes:
    """Return the content of a plain small file; OSError or ValueError where it is none."""
    if file.is_symlink():
        raise ValueError("it is a link")
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no plain file")
        raw = os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(raw) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES:,} bytes")
    return raw


def shown(text: str) -> str:
    """Return a text that somebody else wrote as it can be printed: one line, no control characters, not long."""
    safe = text if text.isprintable() else ascii(text)
    return safe if len(safe) <= _SHOWN_CHARS else f"{safe[:_SHOWN_CHARS]}…"
