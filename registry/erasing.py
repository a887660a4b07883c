"""Erase what interactions said, for good: their contents with the salts, and the client's words among their facts.

What stays are facts that quote nobody, and digests that say nothing without their salt: the hash chain still verifies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, select, update

from registry.database import Database
from registry.errors import LedgerError
from registry.ledger_rows import without_words
from registry.tables import contents, events, intents

_WAIT_MS = 250
_RETRY_S = 0.5
_AT_ONCE = 10
"""Interactions in one transaction: a writer of the daemon waits for it 10 ms, or 100 where each holds 2 MB."""
_COPIES = (".before-*", ".replaced", ".changing", ".changing-wal")
"""Endings of what migrations make of a SQLite file, and of what a change of its key leaves that was cut off."""


def erase(database: Database, interaction_ids: Sequence[str]) -> int:
    """Erase interactions, a few in a transaction, and return how many of their events held any content.

    Those that are erased already, or that the ledger does not know, are passed over. Fold the log back afterwards
    (`scrub`), or the text stays in it.
    """
    erased = 0
    for first in range(0, len(interaction_ids), _AT_ONCE):
        began_s = time.monotonic()
        with database.write() as connection:
            erased += _erase(connection, interaction_ids[first : first + _AT_ONCE])
        # Who waits for SQLite's lock looks only now and then, so it has to be free as long as it was held.
        time.sleep(time.monotonic() - began_s)
    return erased


def scrub(database: Database, patience_s: float = 60.0) -> None:
    """Fold SQLite's write-ahead log back and empty it, so that no erased text is left in any file of the ledger.

    Raises:
        LedgerError: somebody read the ledger all the time; the contents are erased, and the log still has them.
    """
    if database.file is None:
        return
    until_s = time.monotonic() + patience_s
    while not _folded(database, database.file):
        if time.monotonic() >= until_s:
            raise LedgerError(
                f"what is erased is still in {database.file}-wal, which another program reads; end it and repeat this"
            )
        time.sleep(_RETRY_S)


def _folded(database: Database, file: Path) -> bool:
    """Try to empty the log, and say whether that is done."""
    try:
        with closing(database.connect_to(file)) as connection:
            # It waits with the write lock held, so it must not wait for long.
            connection.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except database.engine.dialect.loaded_dbapi.Error as error:
        raise LedgerError(f"the log of {file} cannot be emptied: {error}; repeat this") from error
    return not busy[0]


def backups(file: Path | None) -> list[Path]:
    """Return the copies that were made of a SQLite file, which hold what was not erased by then."""
    return sorted(path for ending in _COPIES for path in file.parent.glob(file.name + ending)) if file else []


def _erase(connection: Connection, interaction_ids: Sequence[str]) -> int:
    belonging = select(events.c.event_id).where(events.c.interaction_id.in_(interaction_ids))
    held = contents.c.event_id.in_(belonging), contents.c.salt.is_not(None)
    erased = connection.execute(update(contents).where(*held).values(salt=None, body=None)).rowcount
    rows = connection.execute(select(intents).where(intents.c.interaction_id.in_(interaction_ids))).mappings().all()
    for row in rows:
        blank = without_words(row)
        if any(row[name] != value for name, value in blank.items()):
            connection.execute(update(intents).where(intents.c.event_id == row["event_id"]).values(blank))
    return erased
