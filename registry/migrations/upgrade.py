"""Bring a database to the newest schema, once, however many processes open it at the same time.

All of it is one transaction, so an interrupted migration leaves the old schema; a copy is taken before it.
Alembic is imported only when a migration is due.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import DatabaseError

from registry.errors import ConfigError, LedgerError
from registry.migrations import HEAD, REVISIONS

if TYPE_CHECKING:
    from registry.database import Database

_ADVISORY_LOCK = 0x6D6F6462


def bring_to_head(database: Database) -> None:
    """Run the migrations that a database lacks.

    Raises:
        ConfigError: it is no database of this project, a newer version made it, or a migration failed.
    """
    if _is_at_head(database):
        return
    with _alone(database.file):
        if _is_at_head(database):
            return
        if database.file:
            database.set_pragma("journal_mode = WAL")
        with database.write() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            version = _version(connection)
            backup = _back_up(database, database.file, version) if database.file and _has_tables(connection) else None
            _upgrade(connection, database.label, backup)


def _is_at_head(database: Database) -> bool:
    try:
        with database.read() as connection:
            version = _version(connection)
    except LedgerError as error:
        if "not a database" in str(error):
            raise ConfigError(f"{database.label} is not a database; name another file") from error
        raise
    if version is not None and version not in REVISIONS:
        raise ConfigError(
            f"{database.label} has schema {version}, this version knows up to {HEAD}; "
            "it was made by a newer version or another program: update modelbreeder or name another database"
        )
    return version == HEAD


def _version(connection: Connection) -> str | None:
    if not connection.dialect.has_table(connection, "alembic_version"):
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _has_tables(connection: Connection) -> bool:
    return bool(connection.dialect.get_table_names(connection))


def _upgrade(connection: Connection, label: str, backup: Path | None) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except DatabaseError as error:
        kept = f"; a copy is at {backup}" if backup else ""
        raise ConfigError(f"cannot bring {label} to schema {HEAD}: {error.orig}; it is as it was{kept}") from error


def _back_up(database: Database, file: Path, version: str | None) -> Path:
    """Copy a database while its write lock is held; return the copy: complete, private and as encrypted."""
    final = file.with_name(f"{file.name}.before-{HEAD}-{version or 'none'}")
    partial = final.with_name(f"{final.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    source, target = database.connect_to(file), database.connect_to(partial)
    try:
        source.backup(target)
    finally:
        target.close()
        source.close()
    partial.replace(final)
    return final


@contextmanager
def _alone(file: Path | None) -> Iterator[None]:
    """Hold the lock of a SQLite file's folder, which leaves no lock file behind; other databases lock themselves."""
    if file is None:
        yield
        return
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
