"""SQLCipher beneath SQLAlchemy: connections with a key, and what a file is before anybody opens it.

Page by page and in the write-ahead log, everything but the log's frame headers is encrypted and authenticated. The
library is imported only where a ledger is encrypted.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Protocol

from sqlalchemy import Engine, event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from registry.database_key import INSTALL, DatabaseKey
from registry.errors import ConfigError

_PLAIN = b"SQLite format 3\0"


class RawConnection(DBAPIConnection, Protocol):
    """A connection of SQLite's driver."""

    def backup(self, target: RawConnection, /) -> None:
        """Copy the database into another, which becomes as encrypted as its own key says."""


def cipher_driver() -> ModuleType:
    """Return the driver of encrypted files; ConfigError where it is not installed."""
    try:
        return importlib.import_module("sqlcipher3.dbapi2")
    except ImportError as error:
        raise ConfigError(f"an encrypted ledger needs sqlcipher3, which is not installed; {INSTALL}") from error


def unlock(connection: DBAPIConnection, key: DatabaseKey) -> None:
    """Give a new connection its key, which is used as it is: to derive one would take 100 ms each time."""
    cursor = connection.cursor()
    # Else the library writes to standard error by itself, past our log.
    cursor.execute("PRAGMA cipher_log_level = NONE")
    cursor.execute(f"PRAGMA key = {quoted(key)}")
    cursor.close()


def quoted(key: DatabaseKey) -> str:
    """Return a key as SQL has it."""
    return f"\"x'{key.digits}'\""


def unlock_connections(engine: Engine, key: DatabaseKey) -> None:
    """Let each connection of an engine have the key before anything else is asked of it."""

    def connect(
        dialect: Dialect, _entry: ConnectionPoolEntry, arguments: tuple[object, ...], named: dict[str, object]
    ) -> DBAPIConnection:
        connection = dialect.connect(*arguments, **named)
        unlock(connection, key)
        return connection

    event.listen(engine, "do_connect", connect)


def is_plain(file: Path) -> bool | None:
    """Say whether a file is a SQLite database that anybody can read; None where it is missing or empty.

    Raises:
        ConfigError: it cannot be read, or is no file.
    """
    try:
        with file.open("rb") as opened:
            head = opened.read(len(_PLAIN))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot use database file {file}: {error.strerror}; name a file of yours") from error
    return head == _PLAIN if head else None


def check_kind(file: Path, *, encrypted: bool) -> None:
    """Raise ConfigError where a file is not of the kind that the settings say; it is not touched."""
    plain = is_plain(file)
    if plain and encrypted:
        raise ConfigError(
            f"{file} is not encrypted, though ledger.encryption says so; `modelbreeder ledger encrypt` does it"
        )
    if plain is False and not encrypted:
        raise ConfigError(
            f"{file} is not a database, or it is encrypted; name another file, or say where its key is: "
            "ledger.encryption"
        )


def opens(file: Path, key: DatabaseKey) -> bool:
    """Say whether a key is that of an encrypted file; ConfigError where it cannot be read."""
    driver = cipher_driver()
    connection = driver.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True)
    try:
        unlock(connection, key)
        connection.execute("SELECT count(*) FROM sqlite_master")
    except driver.DatabaseError as error:
        if "not a database" in str(error):
            return False
        raise ConfigError(f"{file} cannot be read: {error}; check its rights, and other programs using it") from error
    finally:
        connection.close()
    return True
