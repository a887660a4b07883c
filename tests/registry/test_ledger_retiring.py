"""Which writers a start has to look at: those that died without word, once; never those that retired."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import event, select

from registry.database import Database
from registry.entities import Status
from registry.ids import new_id
from registry.ledger import Ledger
from registry.processes import ProcessMark, this_process
from registry.tables import writers
from tests.registry.making import at, intent, outcome


def dead(started: str = "another-boot:1") -> ProcessMark:
    return replace(this_process(), started=started)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Collect the SQL that runs in the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def looks_at_intents(database: Database, start: Callable[[], int]) -> bool:
    with statements(database) as seen:
        assert start() == 0
    return any("intents" in statement for statement in seen)


def test_a_process_that_retired_is_never_looked_at_again(database: Database) -> None:
    left = Ledger(database, "left", new_id, process=dead())
    left.append(intent("i1"))
    left.append(outcome("i1"))
    left.retire()
    ledger = Ledger(database, "restarted", new_id)

    assert not looks_at_intents(database, lambda: ledger.close_interrupted(at(60)))
    assert ledger.verify().problems == ()


def test_a_process_that_left_something_open_cannot_retire(database: Database) -> None:
    left = Ledger(database, "left", new_id, process=dead())
    left.append(intent("i1"), intent("i2"))
    left.append(outcome("i1"))
    left.retire()
    ledger = Ledger(database, "restarted", new_id)

    assert ledger.close_interrupted(at(60)) == 1
    ended = ledger.interaction("i2").outcome
    assert ended is not None
    assert ended.status is Status.INTERRUPTED


def test_what_the_ledger_refused_is_not_open(database: Database) -> None:
    left = Ledger(database, "left", new_id, process=dead())
    left.append(intent("i1"), outcome("i1"))
    with pytest.raises(Exception, match="i1"):
        left.append(intent("i2"), intent("i1"))
    left.retire()

    assert not looks_at_intents(database, lambda: Ledger(database, "next", new_id).close_interrupted(at(60)))


def test_the_dead_are_looked_at_once(database: Database) -> None:
    Ledger(database, "dead", new_id, process=dead()).append(intent("i1"))
    ledger = Ledger(database, "restarted", new_id)

    assert ledger.close_interrupted(at(60)) == 1
    assert not looks_at_intents(database, lambda: ledger.close_interrupted(at(61)))


def test_the_living_and_those_of_other_machines_are_not_taken_for_dead(database: Database) -> None:
    Ledger(database, "alive", new_id).append(intent("i1"))
    Ledger(database, "far", new_id, process=ProcessMark("elsewhere", 1, "")).append(intent("i2"))
    ledger = Ledger(database, "restarted", new_id)

    assert not looks_at_intents(database, lambda: ledger.close_interrupted(at(60)))
    assert len(ledger.open_intents()) == 2


def test_a_writer_that_writes_after_it_retired_counts_again(database: Database) -> None:
    left = Ledger(database, "left", new_id, process=dead())
    left.append(intent("i1"), outcome("i1"))
    left.retire()
    left.append(intent("i2"))
    ledger = Ledger(database, "restarted", new_id)

    assert ledger.close_interrupted(at(60)) == 1
    with database.read() as connection:
        assert connection.scalar(select(writers.c.pid).where(writers.c.writer == "left")) == 0


def test_a_process_that_cannot_leave_word_ends_all_the_same(database: Database) -> None:
    left = Ledger(database, "left", new_id, process=dead())
    left.append(intent("i1"), outcome("i1"))
    database.set_pragma("query_only = ON")
    left.retire()
    database.set_pragma("query_only = OFF")

    assert Ledger(database, "restarted", new_id).close_interrupted(at(60)) == 0
