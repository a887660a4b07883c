"""A withdrawn specialist serves nobody, at once and for good, and the champion before it comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry.catalog import Catalog
from registry.entities import PromotionAction, PromptTrim
from registry.errors import NotFoundError, RefusedError
from registry.withdrawing import erase_quotations, mark_for_rebreeding, withdraw
from tests.registry.making import at, evaluation, specialist, workflow

NAMES = [f"commit-type@{version}" for version in range(4)]


@pytest.fixture
def catalog(database):
    """A workflow whose champions were versions 1, 2 and 3, in this order."""
    stocked = Catalog(database)
    stocked.put_workflow(workflow())
    for version in (1, 2, 3):
        stocked.add_specialist(specialist(version))
        stocked.add_evaluation(evaluation(f"e{version}", NAMES[version]))
        move(stocked, version, version - 1 or None)
    return stocked


def move(catalog: Catalog, version: int, expected: int | None):
    return catalog.move_champion(
        "commit-type",
        PromotionAction.PROMOTE,
        NAMES[version],
        expected_sequence=expected,
        by="p",
        reason="r",
        evaluation_id=f"e{version}",
        at=at(0),
    )


def gone(database, *versions: int):
    return withdraw(database, [NAMES[version] for version in versions], by="forget", reason="rows went", at=at(9))


@pytest.mark.parametrize(
    ("versions", "heir"), [((3,), 2), ((3, 2), 1), ((3, 2, 1), None), ((1, 2), 3), ((1,), 3), ((2, 3), 1)]
)
def test_the_last_champion_that_is_not_withdrawn_serves_and_none_is_the_cloud(database, catalog, versions, heir):
    moves = gone(database, *versions)
    champion = catalog.champion("commit-type")
    assert (champion.specialist.name if champion else None) == (NAMES[heir] if heir else None)
    assert len(moves) == (3 in versions)
    if 3 in versions:
        assert (moves[0].action, moves[0].previous) == (PromotionAction.DEMOTE, NAMES[3])
        assert moves[0] == catalog.promotions("commit-type")[-1]
        assert moves[0].evaluation_id == (f"e{heir}" if heir else None)


def test_to_withdraw_again_moves_nothing_and_keeps_the_first_reason(database, catalog):
    gone(database, 3)
    assert withdraw(database, [NAMES[3]], by="x", reason="later", at=at(10)) == []
    assert catalog.specialist(NAMES[3]).withdrawn == "rows went"
    assert len(catalog.promotions("commit-type")) == 4


def test_nobody_promotes_what_was_withdrawn(database, catalog):
    gone(database, 3)
    with pytest.raises(RefusedError, match=r"commit-type@3 was withdrawn: rows went; breed commit-type again"):
        move(catalog, 3, 4)


def test_a_rollback_passes_over_what_was_withdrawn(database, catalog):
    gone(database, 2)
    assert catalog.rollback("commit-type", by="p", reason="r", at=at(10)).specialist == NAMES[1]
    assert catalog.rollback("commit-type", by="p", reason="r", at=at(11)).specialist is None
    with pytest.raises(NotFoundError):
        catalog.rollback("commit-type", by="p", reason="r", at=at(12))


def test_a_rollback_behind_a_withdrawal_goes_further_back_than_the_heir(database, catalog):
    gone(database, 3)
    assert catalog.rollback("commit-type", by="p", reason="r", at=at(10)).specialist == NAMES[1]


def test_emptied_records_quote_nothing_and_keep_their_lineage(database, catalog):
    catalog.add_specialist(replace(specialist(4), trim=PromptTrim("s", "p"), grammar="root ::= x", parents=(NAMES[3],)))
    assert erase_quotations(database, [NAMES[3], "commit-type@4"]) == 2
    assert erase_quotations(database, [NAMES[3], "commit-type@4"]) == 0
    emptied = catalog.specialist("commit-type@4")
    assert emptied == replace(specialist(4), examples=(), parents=(NAMES[3],))
    assert catalog.specialist(NAMES[2]).examples == specialist(2).examples


def test_a_mark_stays_until_the_workflow_is_bred_again(database, catalog):
    mark_for_rebreeding(database, ["commit-type", "unknown"], "rows went")
    catalog.put_workflow(workflow(scorer="text"))
    assert catalog.workflow("commit-type").rebreed == "rows went"
    catalog.bred("commit-type")
    assert catalog.workflow("commit-type").rebreed == ""
