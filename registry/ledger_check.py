"""Verify the ledger: recompute every digest and hash, and find what was changed, moved, added or removed.

What it cannot find: a writer removed together with its row in `writers`, or a chain recomputed from the change on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, RowMapping, Table, func, select

from registry.chain import GENESIS, content_digest, event_hash
from registry.columns import Scalar
from registry.database import Database
from registry.errors import LedgerError
from registry.ledger_rows import EventKind, facts_agree
from registry.tables import contents, events, writers

_PAGE = 200
_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a verification saw; the chain holds if there are no `problems` (at most 100 are spelled out)."""

    events: int
    writers: int
    tombstones: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """A stretch of one writer's events with the rows that belong to them, by event id."""

    events: Sequence[RowMapping]
    contents: Mapping[str, RowMapping]
    facts: Mapping[str, Mapping[str, RowMapping]]


@dataclass(slots=True)
class _Tally:
    events: int = 0
    tombstones: int = 0
    hidden: int = 0
    problems: list[str] = field(default_factory=list)

    def note(self, problem: str) -> None:
        if len(self.problems) < _SHOWN:
            self.problems.append(problem)
        else:
            self.hidden += 1


def check_chain(database: Database) -> ChainReport:
    """Read the whole ledger a page at a time and report; events appended meanwhile may or may not be counted."""
    tally = _Tally()
    heads = _heads(database)
    for writer, head in heads.items():
        try:
            _check_writer(database, writer, head, tally)
        except LedgerError as error:
            tally.note(f"writer {writer}: {error}")
    for problem in _strays(database):
        tally.note(problem)
    if tally.hidden:
        tally.problems.append(f"and {tally.hidden} more")
    return ChainReport(tally.events, len(heads), tally.tombstones, tuple(tally.problems))


def _heads(database: Database) -> dict[str, tuple[int, str] | None]:
    """Return where each chain ended when the check began; None for a writer that only its events tell of."""
    with database.read() as connection:
        unlisted = connection.scalars(select(events.c.writer).distinct()).all()
        listed = connection.execute(select(writers.c.writer, writers.c.head_seq, writers.c.head_hash)).all()
    return dict.fromkeys(unlisted, None) | {row.writer: (row.head_seq, row.head_hash) for row in listed}


def _check_writer(database: Database, writer: str, head: tuple[int, str] | None, tally: _Tally) -> None:
    seq, last_hash = 0, GENESIS
    hashes_at_head = GENESIS if head and head[0] == 0 else None
    for page in _pages(database, writer):
        for row in page.events:
            if row["seq"] != seq + 1:
                tally.note(f"writer {writer}: events {seq + 1} to {row['seq'] - 1} are missing")
            elif row["previous_hash"] != last_hash:
                tally.note(f"writer {writer}: event {row['seq']} does not follow the one before it")
            _check_event(page, row, tally)
            seq, last_hash = row["seq"], row["hash"]
            if head and seq == head[0]:
                hashes_at_head = last_hash
    if head is None:
        tally.note(f"writer {writer}: its row is missing")
    elif hashes_at_head != head[1]:
        tally.note(f"writer {writer}: the chain should reach event {head[0]} with hash {head[1][:12]}…, but does not")


def _pages(database: Database, writer: str) -> Iterator[_Page]:
    seq = -1
    while True:
        with database.read() as connection:
            query = select(events).where(events.c.writer == writer, events.c.seq > seq)
            rows = connection.execute(query.order_by(events.c.seq).limit(_PAGE)).mappings().all()
            page = _fill(connection, rows)
        yield page
        if len(rows) < _PAGE:
            return
        seq = rows[-1]["seq"]


def _fill(connection: Connection, rows: Sequence[RowMapping]) -> _Page:
    facts = {
        kind.value: _by_id(connection, kind.table, [row["event_id"] for row in rows if row["kind"] == kind.value])
        for kind in EventKind
    }
    return _Page(rows, _by_id(connection, contents, [row["event_id"] for row in rows]), facts)


def _by_id(connection: Connection, table: Table, event_ids: Sequence[str]) -> dict[str, RowMapping]:
    if not event_ids:
        return {}
    found = connection.execute(select(table).where(table.c.event_id.in_(event_ids))).mappings()
    return {row["event_id"]: row for row in found}


def _check_event(page: _Page, row: RowMapping, tally: _Tally) -> None:
    tally.events += 1
    name = f"writer {row['writer']}: event {row['seq']} ({row['kind']} of {row['interaction_id']})"
    if _digest(event_hash, row) != row["hash"]:
        tally.note(f"{name} was changed")
    facts, content = page.facts.get(row["kind"], {}).get(row["event_id"]), page.contents.get(row["event_id"])
    if facts is None:
        tally.note(f"{name} has lost its facts")
    elif not _agree(facts, row["facts_digest"], content):
        tally.note(f"{name} has other facts than were recorded")
    if content is None:
        tally.note(f"{name} has lost its content without being erased")
    elif content["salt"] is None and content["body"] is None:
        tally.tombstones += 1
    elif content_digest(content["salt"], content["body"]) != row["content_digest"]:
        tally.note(f"{name} has other content than was recorded")


def _digest(function: Callable[[Mapping[str, Scalar]], str], row: RowMapping) -> str:
    try:
        return function({str(column): value for column, value in row.items()})
    except TypeError:
        return "it holds a value of a type that is never written"


def _agree(facts: RowMapping, digest: str, content: RowMapping | None) -> bool:
    body = content["body"] if content is not None else None
    try:
        return facts_agree({str(column): value for column, value in facts.items()}, digest, body)
    except TypeError:
        # A value of a type that is never written.
        return False
    except (KeyError, ValueError):
        # A content that is none of ours, which its own digest tells.
        return True


def _strays(database: Database) -> Iterator[str]:
    """Yield rows that belong to no event."""
    for table in (contents, *(kind.table for kind in EventKind)):
        owned = select(events.c.event_id).where(events.c.event_id == table.c.event_id)
        with database.read() as connection:
            strays = connection.scalar(select(func.count()).select_from(table).where(~owned.exists()))
        if strays:
            yield f"{table.name}: {strays} rows belong to no event"
