"""Encrypt a ledger, decrypt it, or give it another key: a whole new file takes the old one's place, or nothing happens.

The new file is complete, verified and on the disk before one rename puts it there. Then what the old one held is
written over and removed, with the copies that were made of it before migrations, which have the old form.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from registry.database import open_database
from registry.database_key import DatabaseKey, sync_folder
from registry.encryption import RawConnection, cipher_driver, quoted, unlock
from registry.errors import ConflictError, LedgerError
from registry.ids import NewId
from registry.ledger import Ledger

_CHUNK_BYTES = 2**20
_LEFTOVERS = {".changing": "half changed", ".changing-wal": "half changed, its log", ".replaced": "as it was"}
"""Files beside the ledger's, and what to call them."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change found and did."""

    events: int
    """Events of the ledger; all of their hash chains were verified in the new file."""
    removed: list[str]
    """Names of files of the old form that were written over and removed."""


def change_key(file: Path, old: DatabaseKey | None, new: DatabaseKey | None, new_id: NewId) -> Changed:
    """Let a SQLite file have another key; None is none.

    Raises:
        ConflictError: another process has it open.
        LedgerError: it cannot be read or written, or does not verify; it is as it was.
    """
    fresh = file.with_name(f"{file.name}.changing")
    replaced = file.with_name(f"{file.name}.replaced")
    remove_leftovers(file)
    # At the newest schema, so that checking the new file makes no copy of it.
    open_database(file, key=old).close()
    with _errors(file), _alone(file, old) as connection:
        try:
            _copy(connection, fresh, new)
            events = _verified(fresh, new, new_id)
            # The old file stays reachable, so that it can be written over also after a crash behind the rename.
            replaced.hardlink_to(file)
            # Before the rename, as nothing looks for them behind it.
            copies = _shred_copies(file)
            fresh.replace(file)
            sync_folder(file.parent)
        finally:
            for path in (fresh, *_logs(fresh)):
                path.unlink(missing_ok=True)
            if replaced.exists() and replaced.samefile(file):
                replaced.unlink()
        # Still locked: one who waits for the old file finds no database in it, and cannot write to what is gone.
        removed = remove_leftovers(file)
    return Changed(events, [*removed, *copies])


def shred(path: Path) -> None:
    """Write over a file and remove it; disks that never write in place keep what they had."""
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        for start in range(0, size, _CHUNK_BYTES):
            file.write(os.urandom(min(_CHUNK_BYTES, size - start)))
        file.flush()
        os.fsync(file.fileno())
        path.unlink()


def _shred_copies(file: Path) -> list[str]:
    """Write over the copies that migrations made, complete or not; return their names."""
    copies = sorted(file.parent.glob(f"{file.name}.before-*"))
    for path in copies:
        shred(path)
    return [path.name for path in copies]


def remove_leftovers(file: Path) -> list[str]:
    """Write over what a change replaced, now or before it was cut off."""
    removed = []
    for ending, called in _LEFTOVERS.items():
        path = file.with_name(f"{file.name}{ending}")
        if path.exists() and not path.samefile(file):
            shred(path)
            removed.append(f"{file.name} {called}")
        else:
            path.unlink(missing_ok=True)
    return removed


@contextmanager
def _alone(file: Path, key: DatabaseKey | None) -> Iterator[RawConnection]:
    """Give the only connection to a file, which has no log beside it; whoever comes meanwhile waits."""
    connection: RawConnection = cipher_driver().connect(str(file), isolation_level=None)
    try:
        if key is not None:
            unlock(connection, key)
        _run(connection, "PRAGMA busy_timeout = 2000")
        # Only who is alone may leave the write-ahead log; whoever opens the file next goes back to it.
        _run(connection, "PRAGMA journal_mode = DELETE")
        # From the first lock on it is kept until the end, also between transactions.
        _run(connection, "PRAGMA locking_mode = EXCLUSIVE")
        _run(connection, "BEGIN EXCLUSIVE")
        yield connection
    finally:
        connection.close()


def _copy(connection: RawConnection, target: Path, key: DatabaseKey | None) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    secret = quoted(key) if key is not None else "''"
    cursor = connection.cursor()
    cursor.execute(f"ATTACH DATABASE ? AS target KEY {secret}", (str(target),))
    cursor.execute("SELECT sqlcipher_export('target')")
    cursor.close()
    _run(connection, "COMMIT")
    _run(connection, "DETACH DATABASE target")


def _run(connection: RawConnection, statement: str) -> None:
    cursor = connection.cursor()
    cursor.execute(statement)
    cursor.fetchall()
    cursor.close()


def _verified(file: Path, key: DatabaseKey | None, new_id: NewId) -> int:
    """Check a new file's hash chains, leave it as databases are opened, on the disk; return its number of events."""
    database = open_database(file, key=key)
    try:
        database.set_pragma("journal_mode = WAL")
        report = Ledger(database, "none", new_id).verify()
    finally:
        database.close()
    if report.problems:
        raise LedgerError(f"the ledger does not verify, so it stays as it is: {report.problems[0]}; restore a backup")
    with file.open("rb") as written:
        os.fsync(written.fileno())
    return report.events


def _logs(file: Path) -> Iterator[Path]:
    yield from (file.with_name(f"{file.name}{ending}") for ending in ("-wal", "-shm", "-journal"))


@contextmanager
def _errors(file: Path) -> Iterator[None]:
    driver = cipher_driver()
    try:
        yield
    except driver.OperationalError as error:
        if "locked" in str(error):
            raise ConflictError(f"{file} is in use; stop what uses it, such as a breeding, and try again") from error
        raise LedgerError(f"cannot rewrite {file}: {error}; check the disk's space and rights") from error
    except (driver.Error, OSError) as error:
        raise LedgerError(f"cannot rewrite {file}: {error}; check the disk's space and rights") from error
