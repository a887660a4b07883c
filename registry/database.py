"""The database that ledger and catalog share: SQLite by default, PostgreSQL by URL.

All that is SQLite's own stands here: its pragmas, its write lock, its files' modes. A failing database is a
LedgerError wherever it is met; a unique key that somebody else took first stays SQLAlchemy's IntegrityError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pysqlite3
from sqlalchemy import Connection, Engine, PoolProxiedConnection, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from registry.database_key import DatabaseKey
from registry.encryption import RawConnection, check_kind, cipher_driver, unlock, unlock_connections
from registry.entities import Durability
from registry.errors import ConfigError, LedgerError
from registry.migrations.upgrade import bring_to_head
from registry.private_files import make_private_folder

_WRITES = "modelbreeder_writes"
_PAGE_BYTES = 4096
_LOG_PAGES = 4000
"""At so many pages SQLite folds its log back and begins it anew: four times less often than by default."""
_LOG_BYTES = 32 + _LOG_PAGES * (24 + _PAGE_BYTES)


class Database:
    """An open database at the newest schema; share one in a process, from any thread, and close it."""

    def __init__(self, engine: Engine, file: Path | None, key: DatabaseKey | None = None) -> None:
        self.engine = engine
        self.file = file
        self._key = key
        self._asking: PoolProxiedConnection | None = None
        self._asking_gate = threading.Lock()
        self._writing = {each: engine.execution_options(**{_WRITES: each}) for each in Durability}

    @property
    def label(self) -> str:
        """The database in messages, without its password."""
        return str(self.file) if self.file else self.engine.url.render_as_string(hide_password=True)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one snapshot; keep the block short, as it holds up SQLite's checkpoints.

        Raises:
            LedgerError: the database cannot be read.
        """
        with self._errors("read"), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self, durability: Durability = Durability.FULL) -> Iterator[Connection]:
        """Give a connection in one transaction that is durable when the block ends and undone when it raises.

        What is written with `Durability.NORMAL` survives a power cut only from the next `flush`, or full write, on.

        Raises:
            LedgerError: the database is locked for too long, full, read-only or damaged.
        """
        with self._errors("write"), self._writing[durability].begin() as connection:
            if self.file is None and durability is Durability.NORMAL:
                connection.execute(text("SET LOCAL synchronous_commit TO off"))
            yield connection

    def flush(self) -> None:
        """Make what was written with `Durability.NORMAL` survive a power cut; PostgreSQL does so by itself, soon."""
        if self.file is None:
            return
        with self._errors("flush"), suppress(FileNotFoundError):
            log = os.open(f"{self.file}-wal", os.O_RDONLY)
            try:
                os.fdatasync(log)
            finally:
                os.close(log)

    def reserve_log(self) -> None:
        """Lengthen SQLite's write-ahead log to what it grows to, for one who will commit often.

        A flush that only overwrites takes 0.1 ms where one that lengthens the file takes 3.9 ms. A frame of zeros
        ends the log for SQLite as the end of the file does (fileformat2, 4.4), and nobody else writes meanwhile.
        """
        if self.file is None:
            return
        with self.write(), suppress(FileNotFoundError), open(f"{self.file}-wal", "r+b", buffering=0) as log:
            held = log.seek(0, os.SEEK_END)
            log.write(bytes(max(0, _LOG_BYTES - held)))
            os.fdatasync(log.fileno())

    def ask(self, query: str) -> int:
        """Return the one number of a constant query, past all that makes a statement safe to compose: in 15 µs.

        A connection is kept for it: to take one from the pool would take longer than to ask.
        """
        with self._errors("read"), self._asking_gate:
            connection, self._asking = self._asking or self.engine.raw_connection(), None
            try:
                cursor = connection.cursor()
                cursor.execute(query)
                row = cursor.fetchone()
                cursor.close()
                # PostgreSQL's driver has begun a transaction for it.
                connection.rollback()
                self._asking = connection
            finally:
                if self._asking is None:
                    connection.close()
        return int(row[0]) if row else 0

    def set_pragma(self, pragma: str) -> None:
        """Run a SQLite pragma that no transaction may surround."""
        with self._errors("write"), self.engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute(f"PRAGMA {pragma}")
            cursor.close()

    def connect_to(self, file: Path) -> RawConnection:
        """Return a connection past SQLAlchemy to a SQLite file that is encrypted as this one is, or not."""
        connection: RawConnection = self.engine.dialect.loaded_dbapi.connect(str(file))
        if self._key is not None:
            unlock(connection, self._key)
        return connection

    def close(self) -> None:
        """Close all connections."""
        with self._asking_gate:
            if self._asking is not None:
                self._asking.close()
            self._asking = None
        self.engine.dispose()

    @contextmanager
    def _errors(self, verb: str) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            raise
        except (DBAPIError, PoolTimeoutError, self.engine.dialect.loaded_dbapi.Error, OSError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise LedgerError(
                f"cannot {verb} {self.label}: {reason}; check disk space, permissions and other programs using it"
            ) from error


def open_database(
    url_or_path: str | Path,
    *,
    durability: Durability = Durability.FULL,
    busy_timeout_ms: int = 5_000,
    key: DatabaseKey | None = None,
) -> Database:
    """Open a database by URL or SQLite file, creating or migrating it; safe when several processes do so at once.

    A missing SQLite file is created 0600, its missing folder 0700. An existing one is copied beside itself before
    it is migrated. `busy_timeout_ms` is how long a SQLite write waits for other writers. With a key the file is, or
    becomes, encrypted; whoever opens a home's database takes `open_home_database`, which finds the key.

    Raises:
        ConfigError: the URL is of no use, the file is no database of ours, a newer version of the project made it, or
            it is encrypted where there is no key, and the other way round.
        LedgerError: the database cannot be reached.
    """
    file = sqlite_file(url_or_path)
    if file is None:
        database = Database(create_engine(_parse(url_or_path), pool_pre_ping=True, hide_parameters=True), None)
    else:
        check_kind(file, encrypted=key is not None)
        _create_private(file)
        database = Database(_sqlite_engine(file, durability, busy_timeout_ms, key), file, key)
    try:
        bring_to_head(database)
        if file is not None:
            # A change of its key that was cut off leaves the file without a write-ahead log.
            database.set_pragma("journal_mode = WAL")
    except BaseException:
        database.close()
        raise
    return database


def sqlite_file(url_or_path: str | Path) -> Path | None:
    """Return the file that a database lies in, None where it is not SQLite's; ConfigError where a URL is of no use."""
    url = _parse(url_or_path)
    return Path(url.database or "").absolute() if url.get_backend_name() == "sqlite" else None


def _parse(url_or_path: str | Path) -> URL:
    if "://" not in str(url_or_path):
        return URL.create("sqlite", database=str(url_or_path))
    try:
        url = make_url(str(url_or_path))
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError(f"database URL is not usable: {error}; use a file path or postgresql+psycopg://…") from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise ConfigError(f"database URL {url} is in memory, where nothing is durable; name a file")
    return url


def _create_private(file: Path) -> None:
    """Make the file 0600 before SQLite does, as its journals take over the file's mode."""
    try:
        make_private_folder(file.parent)
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"cannot use database file {file}: {error}; name a file in a folder of yours") from error


def _sqlite_engine(file: Path, durability: Durability, busy_timeout_ms: int, key: DatabaseKey | None) -> Engine:
    driver = pysqlite3 if key is None else cipher_driver()
    engine = create_engine(URL.create("sqlite", database=str(file)), module=driver, hide_parameters=True)
    if key is not None:
        unlock_connections(engine, key)
    pragmas = (
        f"busy_timeout = {busy_timeout_ms}",
        f"synchronous = {durability.value.upper()}",
        "foreign_keys = ON",
        "secure_delete = ON",
        f"wal_autocheckpoint = {_LOG_PAGES}",
        f"journal_size_limit = {64 * 2**20}",
    )

    def prepare(connection: DBAPIConnection, _record: object) -> None:
        # Without this the driver would begin transactions by itself, and never before DDL.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: one that read first and upgraded later could deadlock with another.
        writes = connection.get_execution_options().get(_WRITES)
        cursor = connection.connection.cursor()
        if writes and durability is Durability.FULL:
            cursor.execute(f"PRAGMA synchronous = {writes.value.upper()}")
        cursor.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        cursor.close()

    event.listen(engine, "connect", prepare)
    event.listen(engine, "begin", begin)
    return engine
