"""Workflows, specialists, evaluations and the champion pointer."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from registry.catalog import Catalog
from registry.entities import Champion, PromotionAction
from registry.errors import ConflictError, DataError, NotFoundError
from tests.registry.making import at, evaluation, specialist, workflow


@pytest.fixture
def stocked(catalog) -> Catalog:
    """Two workflows; one has three specialists with an evaluation each."""
    catalog.put_workflow(workflow())
    catalog.put_workflow(workflow("log-template"))
    for version in (1, 2, 3):
        catalog.add_specialist(specialist(version))
        catalog.add_evaluation(evaluation(f"e{version}", f"commit-type@{version}", when=version))
    return catalog


def promote(catalog, version, expected, by="breeder", evaluation_id=None):
    return catalog.move_champion(
        "commit-type",
        PromotionAction.PROMOTE,
        f"commit-type@{version}",
        expected_sequence=expected,
        by=by,
        reason="margin holds",
        evaluation_id=evaluation_id or f"e{version}",
        at=at(version),
    )


def move(catalog, action, expected, to=None):
    return catalog.move_champion(
        "commit-type", action, to, expected_sequence=expected, by="a person", reason="why", evaluation_id=None, at=at(9)
    )


def rollback(catalog):
    return catalog.rollback("commit-type", by="a person", reason="worse than it looked", at=at(50))


def test_a_workflow_can_be_put_again_with_another_scorer(catalog):
    catalog.put_workflow(workflow())
    changed = replace(workflow(scorer="json"), fingerprints=("f3",), likeness="{}")
    catalog.put_workflow(replace(changed, created_at_utc=at(99)))
    assert catalog.workflows() == [changed]


def test_what_is_unknown_is_not_found(catalog):
    for ask in (
        lambda: catalog.workflow("nothing"),
        lambda: catalog.specialist("nothing@1"),
        lambda: catalog.lineage("nothing@1"),
        lambda: catalog.add_specialist(specialist(1)),
        lambda: catalog.add_evaluation(evaluation("e1", "nothing@1")),
        lambda: promote(catalog, 1, None),
        lambda: rollback(catalog),
    ):
        with pytest.raises(NotFoundError, match=r"nothing|commit-type"):
            ask()


def test_a_specialist_reads_as_it_was_added(stocked):
    odd = replace(
        specialist(4, parents=("commit-type@1", "commit-type@2")),
        adapter_sha256=None,
        examples=(("a", "b"), ("c", "d")),
    )
    stocked.add_specialist(odd)
    assert stocked.specialist("commit-type@4") == odd
    assert stocked.specialist("commit-type@1").threshold == -math.inf


def test_a_version_is_never_overwritten(stocked):
    with pytest.raises(ConflictError, match="commit-type@3 exists already"):
        stocked.add_specialist(specialist(3))
    assert stocked.next_version("commit-type") == 4
    assert stocked.next_version("log-template") == 1


def test_specialists_are_listed_by_workflow_and_version(stocked):
    stocked.add_specialist(specialist(10))
    stocked.add_specialist(specialist(1, "log-template"))
    assert [one.version for one in stocked.specialists("commit-type")] == [1, 2, 3, 10]
    assert [one.name for one in stocked.specialists()][-2:] == ["commit-type@10", "log-template@1"]


def test_lineage_names_every_ancestor_once_and_ends_with_the_specialist(stocked):
    stocked.add_specialist(specialist(4, parents=("commit-type@1", "commit-type@2"), generation=1))
    stocked.add_specialist(specialist(5, parents=("commit-type@1", "pulled-without@1"), generation=1))
    stocked.add_specialist(specialist(6, parents=("commit-type@5", "commit-type@4"), generation=2))
    assert [one.version for one in stocked.lineage("commit-type@6")] == [1, 2, 4, 5, 6]
    assert [one.version for one in stocked.lineage("commit-type@3")] == [3]


def test_an_evaluation_reads_as_it_was_added(stocked):
    assert stocked.evaluations("commit-type@1") == [evaluation("e1", "commit-type@1", when=1)]
    with pytest.raises(ConflictError, match="evaluation e1 exists"):
        stocked.add_evaluation(evaluation("e1", "commit-type@2"))


def test_what_was_not_measured_stays_not_a_number(stocked):
    unserved = replace(
        evaluation("e9", "commit-type@3", when=9),
        mean_difference=math.nan,
        specialist_score=math.nan,
        margin_lower=-math.inf,
    )
    stocked.add_evaluation(unserved)
    read = stocked.evaluations("commit-type@3")[-1]
    assert math.isnan(read.mean_difference)
    assert math.isnan(read.specialist_score)
    assert read.margin_lower == -math.inf


def test_only_evaluations_that_spend_alpha_are_looks(stocked):
    stocked.add_evaluation(evaluation("e8", "commit-type@1", alpha_spent=0.0))
    stocked.add_evaluation(replace(evaluation("e9", "commit-type@1"), holdout_digest="h2"))
    assert stocked.looks("commit-type") == 4
    assert stocked.looks("commit-type", "h2") == 1
    assert stocked.looks("log-template") == 0


def test_without_a_promotion_the_cloud_serves(stocked):
    assert stocked.champion("commit-type") is None
    assert stocked.champions() == ()
    assert stocked.champion_sequence() == 0


def test_a_promotion_makes_the_champion_that_the_router_reads(stocked):
    made = promote(stocked, 2, None)
    assert (made.sequence, made.previous) == (1, None)
    champion = Champion(workflow(), specialist(2), evaluation("e2", "commit-type@2", when=2))
    assert stocked.champion("commit-type") == champion
    assert stocked.champions() == (champion,)
    assert stocked.promotions("commit-type") == [made]


@pytest.mark.parametrize("action", [PromotionAction.DEMOTE, PromotionAction.RETIRE])
def test_to_demote_or_retire_goes_back_to_the_cloud(stocked, action):
    promote(stocked, 2, None)
    moved = move(stocked, action, 1)
    assert (moved.specialist, moved.previous) == (None, "commit-type@2")
    assert stocked.champion("commit-type") is None
    assert stocked.champion_sequence() == 2


def test_an_outdated_expectation_loses_and_hears_who_won(stocked):
    promote(stocked, 1, None, by="breeder-7")
    for expected in (None, 0, 2):
        with pytest.raises(ConflictError, match="breeder-7 moved commit-type to commit-type@1"):
            promote(stocked, 2, expected)
    assert stocked.champion("commit-type").specialist == specialist(1)


def test_of_two_promotes_at_once_one_wins(stocked):
    start = threading.Barrier(2)

    def attempt(version: int) -> str:
        start.wait(10)
        try:
            return promote(stocked, version, None).specialist
        except ConflictError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        results = sorted(pool.map(attempt, (1, 2)), key=len)
    assert results[0] in ("commit-type@1", "commit-type@2")
    assert f"breeder moved commit-type to {results[0]}" in results[1]
    assert len(stocked.promotions("commit-type")) == 1


def test_a_key_taken_in_the_same_moment_is_a_conflict_too(stocked):
    """What PostgreSQL would do: both read the same history, and the second insert finds its key taken."""
    promote(stocked, 1, None)
    with pytest.raises(ConflictError, match="breeder moved commit-type to commit-type@1"):
        stocked._move("commit-type", PromotionAction.PROMOTE, _key_taken, by="x", reason="y", at=at(1))


def _key_taken(_history):
    raise IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed"))


@pytest.mark.parametrize(
    ("to", "evaluation_id", "problem"),
    [
        ("log-template@1", None, "does not serve workflow commit-type"),
        ("commit-type@1", "e2", "evaluation e2 is of commit-type@2"),
        (None, None, "names no specialist"),
    ],
)
def test_a_promotion_of_what_is_anothers_is_refused(stocked, to, evaluation_id, problem):
    stocked.add_specialist(specialist(1, "log-template"))
    with pytest.raises(DataError, match=problem):
        stocked.move_champion(
            "commit-type",
            PromotionAction.PROMOTE,
            to,
            expected_sequence=None,
            by="b",
            reason="r",
            evaluation_id=evaluation_id,
            at=at(1),
        )
    assert stocked.promotions("commit-type") == []


def test_rolling_back_twice_goes_further_back(stocked):
    for version, expected in ((1, None), (2, 1), (3, 2)):
        promote(stocked, version, expected)
    assert [rollback(stocked).specialist for _ in range(3)] == ["commit-type@2", "commit-type@1", None]
    with pytest.raises(NotFoundError, match="no champion came before"):
        rollback(stocked)
    assert [one.previous for one in stocked.promotions("commit-type")][-3:] == [
        "commit-type@3",
        "commit-type@2",
        "commit-type@1",
    ]


def test_a_rollback_serves_on_the_evaluation_that_was_earned_before(stocked):
    promote(stocked, 1, None)
    promote(stocked, 2, 1)
    rollback(stocked)
    assert stocked.champion("commit-type") == Champion(
        workflow(), specialist(1), evaluation("e1", "commit-type@1", when=1)
    )


def test_a_promotion_after_a_rollback_rolls_back_to_where_it_came_from(stocked):
    promote(stocked, 1, None)
    promote(stocked, 2, 1)
    rollback(stocked)
    promote(stocked, 3, 3)
    assert rollback(stocked).specialist == "commit-type@1"
    assert rollback(stocked).specialist is None


def test_a_retired_specialist_is_passed_over(stocked):
    promote(stocked, 1, None)
    promote(stocked, 2, 1)
    move(stocked, PromotionAction.RETIRE, 2)
    promote(stocked, 3, 3)
    assert rollback(stocked).specialist is None
    assert rollback(stocked).specialist == "commit-type@1"


def test_a_renewed_champion_rolls_back_to_the_one_before_it(stocked):
    stocked.add_evaluation(evaluation("again", "commit-type@2"))
    promote(stocked, 1, None)
    promote(stocked, 2, 1)
    promote(stocked, 2, 2, evaluation_id="again")
    assert stocked.champion("commit-type").evaluation.evaluation_id == "again"
    assert rollback(stocked).specialist == "commit-type@1"
