"""What is older than its data class may be kept is erased, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import event

from registry.entities import Feedback, FeedbackVerdict
from registry.retention import expired, sweep, unknown_classes
from registry.settings import DataClassSettings, LedgerSettings, PolicySettings, RetentionSettings, Settings
from tests.registry.making import at, intent, outcome

DAY_S = 86_400.0
NOW = at(100 * DAY_S)


def aged(interaction_id: str, days: float, data_class: str):
    one = intent(interaction_id, (100 - days) * DAY_S)
    return replace(one, envelope=replace(one.envelope, data_class=data_class))


@pytest.fixture
def stocked(ledger):
    ages = (("patient", 29.9), ("patient", 30.1), ("client", 89), ("client", 91), ("public", 364), ("public", 366))
    ledger.append(*(aged(f"{name} {days}", days, name) for name, days in ages))
    return ledger


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (RetentionSettings(), []),
        (RetentionSettings(classes={"patient": 30, "client": 90}), ["client 91", "patient 30.1"]),
        (RetentionSettings(default_days=365), ["public 366"]),
        (RetentionSettings(default_days=365, classes={"patient": 30}), ["public 366", "patient 30.1"]),
        (RetentionSettings(default_days=60, classes={"client": 500}), ["public 366", "public 364"]),
        (RetentionSettings(default_days=float("inf"), classes={"client": 1e6}), []),
    ],
)
def test_each_class_has_its_days_and_all_others_the_default(stocked, database, retention, gone):
    assert [one for batch in expired(database, retention, NOW) for one in batch] == gone
    assert [one for batch in sweep(database, retention, NOW) for one in batch] == gone
    erased = [one.intent.interaction_id for one in stocked.interactions() if one.erased]
    assert sorted(erased) == sorted(gone)
    assert list(sweep(database, retention, NOW)) == []


def test_what_was_said_later_of_something_old_goes_with_the_next_sweep(ledger, database):
    retention = RetentionSettings(default_days=30)
    ledger.append(aged("old", 40, "public"), outcome("old"))
    assert list(sweep(database, retention, NOW)) == [["old"]]
    ledger.append(Feedback("old", NOW, FeedbackVerdict.CORRECTED, corrected="late words"))
    assert list(sweep(database, retention, NOW)) == [["old"]]
    assert ledger.interaction("old").feedback.corrected is None


def test_a_sweep_goes_on_in_batches_until_all_is_done(ledger, database):
    ledger.append(*(aged(f"i{number:03}", 40 + number / 1000, "public") for number in range(230)))
    batches = list(sweep(database, RetentionSettings(default_days=30), NOW))
    assert [len(batch) for batch in batches] == [100, 100, 30]
    assert ledger.verify().tombstones == 230


def test_a_misspelt_class_is_told_and_one_that_tasks_have_is_not():
    policy = PolicySettings(classes=(DataClassSettings(name="minutes", paths=("minutes/**",)),))
    retention = RetentionSettings(classes={"pateint": 30, "patient": 30, "minutes": 7})
    (line,) = unknown_classes(Settings(policy=policy, ledger=LedgerSettings(retention=retention)))
    assert "'pateint', which is no data class" in line


def test_each_batch_is_read_from_an_index_in_order(stocked, database):
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_connection, _cursor, statement, parameters, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    list(expired(database, RetentionSettings(default_days=365, classes={"patient": 30}), NOW))
    (statement, parameters) = asked[-1]
    with database.read() as connection:
        steps = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert steps[0].startswith("SEARCH intents USING INDEX ix_intents_at_utc_interaction_id")
    assert not any("TEMP B-TREE" in step for step in steps)
