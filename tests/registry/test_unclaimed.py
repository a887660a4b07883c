"""Interactions that belong to no workflow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry.entities import Purpose
from registry.unclaimed import unclaimed
from tests.registry.making import at, intent


def asked(number: int, workflow: str | None, purpose: Purpose = Purpose.USER):
    one = intent(f"i{number}", workflow=workflow)
    return replace(one, at_utc=at(number), purpose=purpose)


def ids(found) -> list[str]:
    return [one.intent.interaction_id for one in found]


def test_only_interactions_without_a_workflow_are_given(database, ledger):
    ledger.append(asked(1, None), asked(2, "commit-type"), asked(3, None), asked(4, None, Purpose.SHADOW))

    assert ids(unclaimed(database)) == ["i4", "i3", "i1"]
    assert ids(unclaimed(database, oldest_first=True)) == ["i1", "i3", "i4"]
    assert ids(unclaimed(database, purposes={Purpose.USER})) == ["i3", "i1"]
    assert ids(unclaimed(database, since=at(3), limit=1)) == ["i4"]


@pytest.mark.parametrize("count", [200, 201])
def test_pages_leave_nothing_out(database, ledger, count):
    ledger.append(*(asked(number, None if number % 2 else "w") for number in range(2 * count)))
    assert len(ids(unclaimed(database))) == count
