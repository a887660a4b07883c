"""Group commit: many submit, one thread writes, each is told how its own events fared."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import pytest
from typing_extensions import override

from registry.entities import Durability, Feedback, FeedbackVerdict, Lane
from registry.errors import ConflictError, DataError, LedgerError, NotFoundError
from registry.ids import new_id
from registry.ledger import Ledger
from registry.ledger_writer import LedgerWriter
from tests.registry.making import intent, outcome


@pytest.fixture
def writer(ledger) -> Iterator[LedgerWriter]:
    with LedgerWriter(ledger) as open_writer:
        yield open_writer


class HeldLedger(Ledger):
    """A ledger whose first write waits until the test lets it go, and which counts its transactions."""

    def __init__(self, database) -> None:
        super().__init__(database, "held", new_id)
        self.gate = threading.Event()
        self.reached = threading.Event()
        self.sizes: list[int] = []
        self.failure: Exception | None = None

    @override
    def append(self, *appended, durability=Durability.FULL):
        self.reached.set()
        self.gate.wait(10)
        self.sizes.append(len(appended))
        if self.failure:
            raise self.failure
        return super().append(*appended, durability=durability)


class WatchedLedger(Ledger):
    """A ledger that tells how each of its writes was made durable."""

    def __init__(self, database) -> None:
        super().__init__(database, "watched", new_id)
        self.writes: list[str] = []
        self.flushed = threading.Event()

    @override
    def append(self, *appended, durability=Durability.FULL):
        self.writes.append(durability.value)
        return super().append(*appended, durability=durability)

    @override
    def flush(self):
        super().flush()
        self.flushed.set()


def test_a_future_gives_the_ids_of_its_own_events(writer, ledger):
    first, second = writer.submit(intent("i1")), writer.submit(intent("i2"), outcome("i2"))
    assert [len(first.result(10)), len(second.result(10))] == [1, 2]
    assert ledger.interaction("i2").outcome == outcome("i2")


def test_events_of_many_threads_are_all_recorded_in_one_chain(writer, ledger):
    def one_request(number: int) -> None:
        writer.submit(intent(f"i{number}")).result(30)
        writer.submit(outcome(f"i{number}")).result(30)

    with ThreadPoolExecutor(16) as pool:
        wait([pool.submit(one_request, number) for number in range(200)])
    report = ledger.verify()
    assert (report.events, report.writers, report.problems) == (400, 1, ())
    assert ledger.open_intents() == []


def test_those_who_wait_share_a_commit(database):
    ledger = HeldLedger(database)
    with LedgerWriter(ledger) as writer:
        first = writer.submit(intent("first"))
        ledger.reached.wait(10)
        waiting = [writer.submit(intent(f"i{number}")) for number in range(300)]
        ledger.gate.set()
        assert len({future.result(10)[0] for future in [first, *waiting]}) == 301
    assert ledger.sizes == [1, 256, 44]


def test_one_bad_submission_fails_alone(database):
    ledger = HeldLedger(database)
    with LedgerWriter(ledger) as writer:
        writer.submit(intent("first"))
        ledger.reached.wait(10)
        good = writer.submit(intent("i1"))
        unknown = writer.submit(outcome("nobody"))
        unfit = writer.submit(intent("\ud800"))
        ended = writer.submit(outcome("i1"))
        twice = writer.submit(outcome("i1"))
        ledger.gate.set()
        assert len(good.result(10)) == len(ended.result(10)) == 1
        for future, error in ((unknown, NotFoundError), (unfit, DataError), (twice, ConflictError)):
            assert isinstance(future.exception(10), error)
    assert Ledger(database, "w", new_id).verify().events == 3


@pytest.mark.parametrize("failure", [LedgerError("disk full"), RuntimeError("unforeseen")])
def test_a_failing_ledger_fails_each_future_and_the_writer_goes_on(database, failure):
    ledger = HeldLedger(database)
    ledger.failure = failure
    with LedgerWriter(ledger) as writer:
        failed = [writer.submit(intent("i1")), writer.submit(intent("i2"))]
        ledger.gate.set()
        errors = [future.exception(10) for future in failed]
        assert [type(error) for error in errors] == [LedgerError, LedgerError]
        # Only the ledger's own words are told on: others may quote what was to be recorded.
        assert all("unforeseen" not in str(error) for error in errors)
        ledger.failure = None
        assert len(writer.submit(intent("i3")).result(10)) == 1


def test_what_was_submitted_cannot_be_cancelled(database):
    """A client that left must not take its intent with it: its bytes may be on their way."""
    ledger = HeldLedger(database)
    with LedgerWriter(ledger) as writer:
        future = writer.submit(intent("i1"))
        assert not future.cancel()
        ledger.gate.set()
    assert ledger.count() == 1


def test_close_drains_and_later_submissions_fail(database):
    ledger = HeldLedger(database)
    writer = LedgerWriter(ledger)
    queued = [writer.submit(intent(f"i{number}")) for number in range(150)]
    ledger.gate.set()
    writer.close()
    writer.close()
    assert all(future.done() and len(future.result()) == 1 for future in queued)
    with pytest.raises(LedgerError, match="the ledger is closed"):
        writer.submit(intent("late")).result(10)
    assert ledger.count() == 150


def leaving(interaction_id, lane):
    made = intent(interaction_id)
    return replace(made, decision=replace(made.decision, lane=lane))


def test_what_is_about_to_leave_is_on_the_disk_first_and_the_rest_soon(database):
    ledger = WatchedLedger(database)
    with LedgerWriter(ledger, Durability.NORMAL) as writer:
        for event in (leaving("i1", Lane.CLOUD_ESCALATION), outcome("i1"), leaving("i2", Lane.LOCAL_FAST)):
            writer.submit(event).result(30)
        assert ledger.flushed.wait(30)
        writer.submit(Feedback("i1", outcome("i1").at_utc, FeedbackVerdict.ACCEPTED)).result(30)

    assert ledger.writes == ["full", "normal", "normal", "full"]


def test_a_writer_that_is_closed_leaves_nothing_unflushed(database):
    ledger = WatchedLedger(database)
    with LedgerWriter(ledger, Durability.NORMAL) as writer:
        writer.submit(leaving("i1", Lane.LOCAL_FAST)).result(30)

    assert ledger.flushed.is_set()


def test_one_event_that_leaves_flushes_all_that_are_written_with_it(database):
    ledger = WatchedLedger(database)
    with LedgerWriter(ledger, Durability.NORMAL) as writer:
        writer.submit(leaving("i1", Lane.LOCAL_FAST), leaving("i2", Lane.CLOUD_ESCALATION)).result(30)

    assert ledger.writes == ["full"]
    assert not ledger.flushed.is_set()


def test_by_default_everything_is_on_the_disk_before_anybody_hears_of_it(database):
    ledger = WatchedLedger(database)
    with LedgerWriter(ledger) as writer:
        for event in (leaving("i1", Lane.LOCAL_FAST), outcome("i1")):
            writer.submit(event).result(30)

    assert ledger.writes == ["full", "full"]
    assert not ledger.flushed.is_set()


def test_what_is_written_is_flushed_soon_also_where_the_writing_never_ends(database):
    ledger, now_s = WatchedLedger(database), itertools.count(0.0, 0.02)
    with LedgerWriter(ledger, Durability.NORMAL, lambda: next(now_s)) as writer:
        for number in range(1000):
            writer.submit(leaving(f"i{number}", Lane.LOCAL_FAST))
            if ledger.flushed.is_set():
                break
            writer.submit(outcome(f"i{number}")).result(30)

        assert ledger.flushed.is_set()
