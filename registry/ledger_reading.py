"""Queries that put interactions together from events, a page at a time, so that memory stays flat.

Each page is one short read: a long one would keep SQLite from folding its write-ahead log into the file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, func, select, tuple_

from registry.columns import parse_json, utc_text
from registry.database import Database
from registry.entities import Interaction, Json, Lane, Purpose
from registry.errors import NotFoundError
from registry.ledger_rows import RAW, decode_evidence, decode_feedback, decode_intent, decode_outcome
from registry.tables import contents, events, evidence, feedback, intents, outcomes, writers

_PAGE = 200
_ORDER = (intents.c.at_utc, intents.c.interaction_id)
_ended = select(outcomes.c.event_id).where(outcomes.c.interaction_id == intents.c.interaction_id).correlate(intents)
_Rows: TypeAlias = dict[str, list[RowMapping]]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which interactions to read; None takes all."""

    workflow: str | None = None
    purposes: Collection[Purpose] | None = None
    since: datetime | None = None
    lane: Lane | None = None
    unfinished: bool = False

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL of the fields that are set."""
        found: list[ColumnElement[bool]] = []
        if self.workflow is not None:
            found.append(intents.c.workflow == self.workflow)
        if self.purposes is not None:
            found.append(intents.c.purpose.in_(sorted(purpose.value for purpose in self.purposes)))
        if self.since is not None:
            found.append(intents.c.at_utc >= utc_text(self.since))
        if self.lane is not None:
            found.append(intents.c.lane == self.lane.value)
        if self.unfinished:
            found.append(~_ended.exists())
        return found


def read_one(database: Database, interaction_id: str) -> Interaction:
    """Return one interaction.

    Raises:
        NotFoundError: the ledger has no such intent.
    """
    with database.read() as connection:
        rows = _intents(connection, _with_content(intents).where(intents.c.interaction_id == interaction_id))
        if not rows:
            raise unknown(interaction_id)
        return _join(connection, rows)[0]


def read_raw(database: Database, interaction_id: str) -> Json:
    """Return a request as it came, None where that was not kept or is erased; NotFoundError where there is none."""
    with database.read() as connection:
        rows = _intents(connection, _with_content(intents).where(intents.c.interaction_id == interaction_id))
    if not rows:
        raise unknown(interaction_id)
    body = rows[0]["body"]
    return parse_json(body).get(RAW) if body else None


def count_raw(database: Database) -> int:
    """Return how many requests are kept as they came."""
    mentions = contents.c.body.contains(f'"{RAW}":', autoescape=True)
    with database.read() as connection:
        bodies = connection.execute(select(contents.c.body).where(mentions)).scalars()
        return sum(RAW in parse_json(body) for body in bodies)


def read_pages(
    database: Database, wanted: Filter, *, after_id: str | None, limit: int | None, oldest_first: bool
) -> Iterator[Interaction]:
    """Yield interactions in time order, beginning behind `after_id`."""
    place = _place(database, after_id) if after_id is not None else None
    left = limit
    while left is None or left > 0:
        query = _page(wanted, place, oldest_first=oldest_first).limit(_PAGE if left is None else min(_PAGE, left))
        with database.read() as connection:
            rows = _intents(connection, query)
            found = _join(connection, rows)
        yield from found
        if len(rows) < _PAGE:
            return
        place = rows[-1]["at_utc"], rows[-1]["interaction_id"]
        left = None if left is None else left - len(rows)


def count(database: Database, wanted: Filter) -> int:
    """Return how many interactions a filter lets through."""
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(intents).where(*wanted.conditions)) or 0


def unfinished(database: Database) -> list[RowMapping]:
    """Return interaction_id, runtime and model of the intents without an outcome, each with its writer's row."""
    # Two indexes merged: to look for the outcome of each intent takes three times as long.
    without = select(intents.c.interaction_id).except_(select(outcomes.c.interaction_id))
    query = (
        select(intents.c.interaction_id, intents.c.runtime, intents.c.model, writers)
        .select_from(intents.join(events, events.c.event_id == intents.c.event_id).join(writers))
        .where(intents.c.interaction_id.in_(without))
        .order_by(*_ORDER)
    )
    with database.read() as connection:
        return list(connection.execute(query).mappings())


def unknown(interaction_id: str) -> NotFoundError:
    """Return the error for an id that no intent has."""
    return NotFoundError(f"the ledger has no interaction {interaction_id!r}; `modelbreeder ledger ls` shows its ids")


def _place(database: Database, interaction_id: str) -> tuple[str, str]:
    with database.read() as connection:
        at_utc = connection.scalar(select(intents.c.at_utc).where(intents.c.interaction_id == interaction_id))
    if at_utc is None:
        raise unknown(interaction_id)
    return at_utc, interaction_id


def _page(wanted: Filter, place: tuple[str, str] | None, *, oldest_first: bool) -> Select[tuple[object, ...]]:
    query = _with_content(intents).where(*wanted.conditions)
    key = tuple_(*_ORDER)
    if place is not None:
        query = query.where(key > place if oldest_first else key < place)
    return query.order_by(*(_ORDER if oldest_first else [column.desc() for column in _ORDER]))


def _with_content(table: Table) -> Select[tuple[object, ...]]:
    return select(table, contents.c.body).join_from(table, contents, table.c.event_id == contents.c.event_id)


def _intents(connection: Connection, query: Select[tuple[object, ...]]) -> list[RowMapping]:
    return list(connection.execute(query).mappings())


def _join(connection: Connection, rows: list[RowMapping]) -> list[Interaction]:
    ids = [row["interaction_id"] for row in rows]
    ends, verdicts, notes = (_rows(connection, table, ids) for table in (outcomes, feedback, evidence))
    return [
        Interaction(
            intent=decode_intent(row),
            outcome=decode_outcome(ends[each][0]) if each in ends else None,
            feedback=decode_feedback(verdicts[each][-1]) if each in verdicts else None,
            evidence=tuple(decode_evidence(note) for note in notes.get(each, ())),
            erased=row["body"] is None,
        )
        for each, row in zip(ids, rows, strict=True)
    ]


def _rows(connection: Connection, table: Table, interaction_ids: list[str]) -> _Rows:
    """Return a table's rows by interaction, oldest first."""
    query = _with_content(table).where(table.c.interaction_id.in_(interaction_ids))
    found: _Rows = defaultdict(list)
    for row in connection.execute(query.order_by(table.c.at_utc, table.c.event_id)).mappings():
        found[row["interaction_id"]].append(row)
    return found
