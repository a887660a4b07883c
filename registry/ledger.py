"""The ledger: insert-only events per interaction, durable when `append` returns, chained by hash for each writer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError

from registry.chain import GENESIS, content_digest, event_hash
from registry.columns import Scalar
from registry.database import Database
from registry.entities import Durability, Event, Intent, Interaction, Json, Lane, Outcome, Purpose, Status
from registry.errors import ConflictError, LedgerError
from registry.ids import NewId
from registry.ledger_check import ChainReport, check_chain
from registry.ledger_reading import Filter, count, read_one, read_pages, read_raw, unfinished, unknown
from registry.ledger_rows import EventKind, EventRow, encode
from registry.prepared import Prepared
from registry.processes import ProcessMark, this_process
from registry.tables import contents, events, intents, outcomes, writers

_SELECT_HEAD = select(writers.c.head_seq, writers.c.head_hash).where(writers.c.writer == bindparam("me"))
# Every request waits for these.
_MOVE_HEAD = Prepared(
    update(writers)
    .where(writers.c.writer == bindparam("me"), writers.c.head_seq == bindparam("old_seq"))
    .values({name: bindparam(name) for name in ("head_seq", "head_hash", "host", "pid", "started")})
)
_INSERT_EVENTS = Prepared(insert(events))
_INSERT_CONTENTS = Prepared(insert(contents))
_INSERT_FACTS = {kind: Prepared(insert(kind.table)) for kind in EventKind}
_SELECT_BEGUN = (
    select(intents.c.interaction_id, outcomes.c.event_id)
    .select_from(intents.outerjoin(outcomes, outcomes.c.interaction_id == intents.c.interaction_id))
    .where(intents.c.interaction_id.in_(bindparam("interaction_ids", expanding=True)))
)
_SELECT_OPEN_WRITERS = select(writers).where(writers.c.pid != 0)
# Process 0 is nobody's: such a writer has nothing open, until it writes again.
_RETIRE = update(writers).where(writers.c.writer == bindparam("gone")).values(pid=0, started="")


def new_writer_id(role: str, process: ProcessMark, new_id: NewId) -> str:
    """Return a name for one process's own chain, such as `router-host-4711-9f86d081`."""
    return f"{role}-{process.host}-{process.pid}-{new_id()[-8:]}"


class Ledger:
    """The events of one database, written in the name of one writer; usable from any thread.

    Writers are told apart by `writer_id`, and `process` says which process is to die before what it left open
    counts as interrupted.
    """

    def __init__(
        self,
        database: Database,
        writer_id: str,
        new_id: NewId,
        *,
        process: ProcessMark | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.writer_id = writer_id
        self._database = database
        self._new_id = new_id
        self._mark = cast("dict[str, Scalar]", asdict(process or this_process()))
        self._random_bytes = random_bytes
        self._gate = threading.Lock()
        self._open: set[str] = set()
        """Interactions that this writer began and did not end."""
        self._end: tuple[int, str] | None = None
        """The last link of this writer's chain, None where only the database knows it."""

    def append(self, *appended: Event, durability: Durability = Durability.FULL) -> list[str]:
        """Record events in one transaction and return their ids; they are durable when this returns.

        With `Durability.NORMAL` a power cut may take them until `flush`, the death of the process not.

        Raises:
            DataError: an event holds what JSON cannot.
            NotFoundError: an outcome, feedback or evidence has no intent.
            ConflictError: an interaction has this intent, or an outcome, already.
            LedgerError: the events could not be made durable; none of them is recorded.
        """
        rows = [encode(event, self._new_id()) for event in appended]
        if not rows:
            return []
        try:
            with self._gate:
                self._write(rows, durability)
        except IntegrityError as error:
            raise ConflictError(f"an event of {_ids(rows)} was recorded before: {error.orig}; read it first") from error
        return [row.event_id for row in rows]

    def _write(self, rows: Sequence[EventRow], durability: Durability) -> None:
        # A write that fails may have failed because another process moved the chain's end.
        end, self._end = self._end, None
        with self._database.write(durability) as connection:
            _require_order(connection, rows, self._open)
            end = self._insert(connection, rows, end or self._head(connection))
        self._end = end
        self._open |= {row.interaction_id for row in rows if row.kind is EventKind.INTENT}
        self._open -= {row.interaction_id for row in rows if row.kind is EventKind.OUTCOME}

    def reserve(self) -> None:
        """Prepare for many appends; where the disk has no room for that, they go without."""
        with suppress(LedgerError):
            self._database.reserve_log()

    def flush(self) -> None:
        """Make all that was appended survive a power cut."""
        self._database.flush()

    def interaction(self, interaction_id: str) -> Interaction:
        """Return one interaction; NotFoundError where the ledger has none of this id."""
        return read_one(self._database, interaction_id)

    def raw_request(self, interaction_id: str) -> Json:
        """Return the request unmasked, None where it is not kept; NotFoundError where there is none of this id."""
        return read_raw(self._database, interaction_id)

    def interactions(
        self,
        *,
        workflow: str | None = None,
        purposes: Collection[Purpose] | None = None,
        since: datetime | None = None,
        lane: Lane | None = None,
        after_id: str | None = None,
        limit: int | None = None,
        oldest_first: bool = True,
    ) -> Iterator[Interaction]:
        """Yield interactions in time order, a page in memory at a time, beginning behind `after_id`."""
        wanted = Filter(workflow, purposes, since, lane)
        return read_pages(self._database, wanted, after_id=after_id, limit=limit, oldest_first=oldest_first)

    def count(
        self,
        *,
        workflow: str | None = None,
        purposes: Collection[Purpose] | None = None,
        since: datetime | None = None,
        lane: Lane | None = None,
    ) -> int:
        """Return how many interactions there are."""
        return count(self._database, Filter(workflow, purposes, since, lane))

    def open_intents(self) -> list[Intent]:
        """Return the intents without an outcome, oldest first."""
        wanted = Filter(unfinished=True)
        pages = read_pages(self._database, wanted, after_id=None, limit=None, oldest_first=True)
        return [one.intent for one in pages]

    def close_interrupted(self, at: datetime, writer: str | None = None) -> int:
        """End open intents of a writer, or of all writers whose process died on this host, as `interrupted`.

        Returns how many were ended. Two processes may do this at once: each intent is ended by one of them. Looks at
        every intent only where a process died since this was last done and had not retired.
        """
        ending = {writer} if writer else self._died()
        ended = 0
        for row in unfinished(self._database) if ending else ():
            if row["writer"] in ending:
                ended += self._interrupt(row["interaction_id"], row["runtime"], row["model"], at)
        self._retire(ending)
        return ended

    def retire(self) -> None:
        """Leave word that nothing of this process is open, where that is so; the next start then need not look.

        Where the ledger cannot be written, the next start looks, which is all that it costs.
        """
        if not self._open:
            with suppress(LedgerError):
                self._retire({self.writer_id})

    def _died(self) -> set[str]:
        """Return the writers that did not retire and whose process died on this host."""
        with self._database.read() as connection:
            rows = connection.execute(_SELECT_OPEN_WRITERS).all()
        return {row.writer for row in rows if ProcessMark(row.host, row.pid, row.started).is_dead}

    def _retire(self, gone: Collection[str]) -> None:
        if gone:
            with self._database.write() as connection:
                connection.execute(_RETIRE, [{"gone": writer} for writer in gone])

    def verify(self) -> ChainReport:
        """Recompute every digest and hash of every writer and report what does not hold."""
        return check_chain(self._database)

    def _interrupt(self, interaction_id: str, runtime: str, model: str, at: datetime) -> int:
        try:
            self.append(Outcome(interaction_id, at, Status.INTERRUPTED, runtime, model, response=None))
        except ConflictError:
            return 0
        return 1

    def _insert(self, connection: Connection, rows: Sequence[EventRow], end: tuple[int, str]) -> tuple[int, str]:
        """Append rows to the chain behind its end and return the new end."""
        seq, head = end
        linked: list[dict[str, Scalar]] = []
        bodies: list[dict[str, Scalar]] = []
        for row in rows:
            salt, seq = self._random_bytes(16).hex(), seq + 1
            event: dict[str, Scalar] = {
                "event_id": row.event_id,
                "interaction_id": row.interaction_id,
                "kind": row.kind.value,
                "at_utc": row.at_utc,
                "writer": self.writer_id,
                "seq": seq,
                "facts_digest": row.facts_digest,
                "content_digest": content_digest(salt, row.body),
                "previous_hash": head,
            }
            head = event_hash(event)
            linked.append(event | {"hash": head})
            bodies.append({"event_id": row.event_id, "salt": salt, "body": row.body})
        # First, as it tells another process of the same name from an event that is there already.
        self._move_head(connection, seq - len(rows), seq, head)
        _INSERT_EVENTS.run(connection, linked)
        _INSERT_CONTENTS.run(connection, bodies)
        for kind, statement in _INSERT_FACTS.items():
            if facts := [row.facts for row in rows if row.kind is kind]:
                statement.run(connection, facts)
        return seq, head

    def _head(self, connection: Connection) -> tuple[int, str]:
        """Return the last link of this writer's chain, entering the writer the first time."""
        if row := connection.execute(_SELECT_HEAD, {"me": self.writer_id}).first():
            return row.head_seq, row.head_hash
        first = {"writer": self.writer_id, "head_seq": 0, "head_hash": GENESIS}
        connection.execute(insert(writers), first | self._mark)
        return 0, GENESIS

    def _move_head(self, connection: Connection, old_seq: int, seq: int, head: str) -> None:
        """Point at the newest event, without which a chain that lost its end would look whole."""
        place: dict[str, Scalar] = {"me": self.writer_id, "old_seq": old_seq, "head_seq": seq, "head_hash": head}
        if _MOVE_HEAD.run(connection, [place | self._mark]) != 1:
            raise LedgerError(f"writer {self.writer_id} wrote twice at once; give each process a writer id of its own")


def _require_order(connection: Connection, rows: Sequence[EventRow], begun: Collection[str]) -> None:
    """Refuse what has no intent, and a second outcome; the database is not asked of what is known to be open."""
    asked = {row.interaction_id for row in rows if row.kind is not EventKind.INTENT}
    opened = asked.intersection(begun)
    known, ended = _begun_and_ended(connection, asked - opened)
    known |= opened
    for row in rows:
        if row.kind is EventKind.INTENT:
            known.add(row.interaction_id)
        elif row.interaction_id not in known:
            raise unknown(row.interaction_id)
        elif row.kind is EventKind.OUTCOME:
            if row.interaction_id in ended:
                raise ConflictError(f"interaction {row.interaction_id} has an outcome already; give feedback instead")
            ended.add(row.interaction_id)


def _begun_and_ended(connection: Connection, interaction_ids: Collection[str]) -> tuple[set[str], set[str]]:
    if not interaction_ids:
        return set(), set()
    found = connection.execute(_SELECT_BEGUN, {"interaction_ids": list(interaction_ids)}).all()
    return {row.interaction_id for row in found}, {row.interaction_id for row in found if row.event_id is not None}


def _ids(rows: Sequence[EventRow]) -> str:
    return ", ".join(sorted({row.interaction_id for row in rows}))
