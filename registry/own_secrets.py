"""Secrets of an installation in files of their own: 0600, made when first needed, never taken from others' hands."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from registry.errors import ConfigError

_LONGEST = 512
_SHORTEST = 32


def secret_in(file: Path, random_text: Callable[[int], str] = secrets.token_urlsafe) -> str:
    """Return the secret that a file holds, and make it where it is not there: 256 random bits as URL-safe text.

    Raises:
        ConfigError: it cannot be read or written, is a link, belongs to or can be read by others, or holds no secret.

    """
    try:
        try:
            return _read(file)
        except FileNotFoundError:
            _make(file, random_text(32))
            return _read(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be used: {error.strerror}; remove it, so that a new one is made") from error


def read_own(file: Path, limit: int) -> bytes:
    """Return the first bytes of a file that is its user's alone; OSError, or ConfigError where it is not."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise ConfigError(f"{file} must be a file of yours alone; remove it, or chmod 600 it if only you had it")
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def _read(file: Path) -> str:
    text = read_own(file, _LONGEST + 1).decode("ascii", "replace").strip()
    if not _SHORTEST <= len(text) <= _LONGEST or not text.isascii() or not text.isprintable():
        raise ConfigError(f"{file} holds no secret of ours; remove it, so that a new one is made")
    return text


def _make(file: Path, text: str) -> None:
    """Write the file whole or not at all; one that another process made meanwhile stays."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(f"{text}\n")
            opened.flush()
            os.fsync(descriptor)
        os.link(name, file)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink(missing_ok=True)
