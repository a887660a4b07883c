"""What the cloud has cost, as the ledger says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry.database import Database
from registry.entities import Lane, Status, Usage
from registry.ledger import Ledger
from registry.spending import Spending, Spent, is_unpriced
from tests.registry.making import at, intent, outcome

CALLS = [
    # client, session, minute, lane, cost, outcome's changes
    ("ci", "s1", 0, Lane.CLOUD_ESCALATION, 0.5, {}),
    ("ci", "s1", 10, Lane.CLOUD_ESCALATION, 0.25, {}),
    ("ci", "s2", 11, Lane.CLOUD_ESCALATION, None, {}),
    ("ci", "s1", 12, Lane.LOCAL_FAST, 9.0, {}),
    ("laptop", "s1", 13, Lane.CLOUD_ESCALATION, 1.0, {}),
    ("laptop", None, 14, Lane.CLOUD_ESCALATION, None, {"status": Status.CLIENT_CANCELLED, "usage": None}),
    ("laptop", None, 15, Lane.CLOUD_ESCALATION, None, {"status": Status.ERROR, "usage": None}),
]


def fill(ledger: Ledger) -> None:
    for number, (client, session, minute, lane, cost, changes) in enumerate(CALLS):
        name = f"i{number}"
        made = intent(name, minute)
        envelope, decision = replace(made.envelope, session=session), replace(made.decision, lane=lane)
        ended = replace(outcome(name, minute), **{"cost_usd": cost, "usage": Usage(1, 1, "upstream"), **changes})
        ledger.append(replace(made, client=client, envelope=envelope, decision=decision), ended)


def test_cloud_tasks_are_summed_by_client_from_where_they_began(database: Database, ledger: Ledger) -> None:
    fill(ledger)
    spending = Spending(database)

    assert spending.by_client(at(0), at(60)) == {"ci": Spent(0.75, 1), "laptop": Spent(1.0, 1)}
    assert spending.by_client(at(10), at(13)) == {"ci": Spent(0.25, 1)}
    assert spending.by_client(at(16), at(60)) == {}


def test_a_session_belongs_to_its_client(database: Database, ledger: Ledger) -> None:
    fill(ledger)
    spending = Spending(database)

    assert spending.in_session("ci", "s1") == Spent(0.75, 0)
    assert spending.in_session("laptop", "s1") == Spent(1.0, 0)
    assert spending.in_session("ci", "s2") == Spent(0.0, 1)
    assert spending.in_session("ci", "nobody's") == Spent()


def test_a_session_is_found_by_its_index(database: Database) -> None:
    with database.read() as connection:
        plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN SELECT 1 FROM intents WHERE session = 's'").all()

    assert "ix_intents_session" in str(plan)


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_what_counts_as_unknown_is_the_same_in_memory_as_in_the_ledger(
    database: Database, ledger: Ledger, number: int
) -> None:
    fill(ledger)
    *_, minute, lane, _, _ = CALLS[number]
    ended = ledger.interaction(f"i{number}").outcome
    assert ended is not None
    if lane is Lane.CLOUD_ESCALATION:
        (spent,) = Spending(database).by_client(at(minute), at(minute + 1)).values()
        assert spent.unpriced == is_unpriced(ended)
