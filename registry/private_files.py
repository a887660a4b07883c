"""Files and folders that only their owner can read, whatever the umask was when they were made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OTHERS = 0o077


def make_private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, 0700; one that is there stays as it is."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)


def is_open_to_others(path: Path) -> bool:
    """Say whether group or others may do anything with what is at a path; a link is not followed."""
    return path.exists() and not path.is_symlink() and bool(path.stat().st_mode & _OTHERS)


def close_to_others(*paths: Path, deep: bool = True) -> int:
    """Take from group and others what they may do with some paths, and with all that is below them unless not `deep`.

    Returns how many could be reached. Links are not followed, and what goes away meanwhile is no error.
    """
    return sum(_close(path) for top in paths for path in (_tree(top) if deep else (top,)))


def _tree(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        with suppress(FileNotFoundError), os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _tree(Path(entry.path))
                else:
                    yield Path(entry.path)
    yield path


def _close(path: Path) -> bool:
    with suppress(FileNotFoundError):
        mode = path.lstat().st_mode
        if mode & _OTHERS and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
            return True
    return False
