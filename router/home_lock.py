"""One daemon a home. The lock is the kernel's: it ends with its process, so nothing stale is ever left to clear."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from registry.errors import ConfigError, ConflictError
from registry.home import Home


@contextmanager
def held(home: Home, url: str) -> Iterator[None]:
    """Hold a home for the daemon that listens at a URL.

    Raises:
        ConflictError: another daemon serves this home.
        ConfigError: the home cannot be used.

    """
    home.prepare()
    path = home.data / "daemon.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; name a home of yours with --home") from error
    try:
        _take(lock, home)
        os.truncate(lock, 0)
        os.write(lock, f"process {os.getpid()} at {url}".encode())
        yield
    finally:
        os.close(lock)


def _take(lock: int, home: Home) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(lock, 200).decode(errors="replace") or "another daemon"
        taken = f"{holder} serves the home {home.data.parent}; stop it, or name another home with --home"
        raise ConflictError(taken) from error
    except OSError as error:
        raise ConfigError(f"{home.data} cannot be locked: {error.strerror}; keep the home on a local disk") from error
