from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from registry.artifacts import ArtifactStore
from registry.catalog import Catalog
from registry.database import Database, open_database
from registry.entities import Specialist, Verdict, Workflow
from registry.errors import LedgerError
from registry.prompting import Prompt
from registry.withdrawing import withdraw
from router.likeness import BUCKETS, RANKS, Centroid, Likeness, text_ids, write_likeness
from router.standings import WORKFLOWS_TTL_S, Registry, read_standings
from tests.router.making import NOON, enrol, evaluation, move


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path / "ledger.db")
    yield opened
    opened.close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def champion(database: Database, folder: Path, verdict: Verdict | None, reason: str = "passed") -> Specialist:
    catalog = Catalog(database)
    made = enrol(catalog, ArtifactStore(folder / "artifacts"), folder)
    if verdict is None:
        move(catalog, made, None, by="ann", reason=reason)
    else:
        judged = evaluation(evaluation_id=f"e-{made.name}", specialist=made.name, verdict=verdict)
        catalog.add_evaluation(judged)
        move(catalog, made, judged.evaluation_id, by="ann", reason=reason)
    return made


def test_a_withdrawn_champion_serves_nobody_from_the_next_look_on_and_its_name_is_unknown(
    database: Database, tmp_path: Path
) -> None:
    registry, made = Registry(Catalog(database), Clock()), champion(database, tmp_path, Verdict.PASS)
    assert registry.current().champions["commit-type"].specialist == made
    assert registry.specialist(made.name) == made
    withdraw(database, [made.name], by="ann", reason="rows went", at=NOON)

    assert registry.current().champions == {}
    assert registry.specialist(made.name) is None


def test_a_promotion_and_a_rollback_act_on_the_next_look(database: Database, tmp_path: Path) -> None:
    registry = Registry(Catalog(database), Clock())
    before = registry.current().champions
    made = champion(database, tmp_path, Verdict.PASS)
    during = registry.current().champions
    Catalog(database).rollback("commit-type", by="ann", reason="worse", at=NOON)

    assert before == {}
    assert during["commit-type"].specialist == made
    assert registry.current().champions == {}


def test_an_earned_place_needs_no_persons_reason(database: Database, tmp_path: Path) -> None:
    champion(database, tmp_path, Verdict.PASS)

    assert Registry(Catalog(database), Clock()).current().champions["commit-type"].by_hand == ""


@pytest.mark.parametrize("verdict", [None, Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_without_a_passing_evaluation_the_persons_reason_counts(
    database: Database, tmp_path: Path, verdict: Verdict | None
) -> None:
    champion(database, tmp_path, verdict, reason="I read 50 answers")
    offer = Registry(Catalog(database), Clock()).current().champions["commit-type"]

    assert offer.by_hand == "ann: I read 50 answers"


def test_without_reason_nor_evaluation_nobody_vouches(database: Database, tmp_path: Path) -> None:
    champion(database, tmp_path, Verdict.FAIL, reason=" ")

    assert Registry(Catalog(database), Clock()).current().champions["commit-type"].by_hand == ""


def test_new_templates_are_seen_within_seconds(database: Database) -> None:
    clock = Clock()
    registry = Registry(Catalog(database), clock)
    registry.current()
    Catalog(database).put_workflow(Workflow("w", ("mark",), "exact", NOON))
    clock.now = WORKFLOWS_TTL_S

    assert registry.current().by_fingerprint == {"mark": "w"}


def alike() -> str:
    """A likeness that takes every prompt with one constant n-gram, as the registry keeps it."""
    rest = Centroid(np.empty(0, np.uint16), np.empty(0, np.float32), (0.0,) * len(RANKS))
    constants = np.unique(BUCKETS + text_ids("Sort this mail:")[1:-1]).astype(np.uint16)
    return write_likeness([Likeness(constants, rest, rest)])


def test_a_prompt_is_known_by_likeness_until_its_workflow_is_no_longer(database: Database) -> None:
    clock, catalog = Clock(), Catalog(database)
    registry = Registry(catalog, clock)
    prompt = Prompt("", "Sort this mail: hello")
    first = registry.current().alike
    catalog.put_workflow(Workflow("mail", (), "text", NOON, alike()))
    clock.now = WORKFLOWS_TTL_S
    second = registry.current().alike
    clock.now = 2 * WORKFLOWS_TTL_S
    third = registry.current().alike
    catalog.put_workflow(Workflow("mail", (), "text", NOON))
    clock.now = 3 * WORKFLOWS_TTL_S

    assert first is None
    assert second is not None
    assert second.match(prompt) == ("mail", 0.99)
    assert third is second
    assert registry.current().alike is None


def test_a_damaged_likeness_costs_its_own_workflow_only(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    catalog = Catalog(database)
    catalog.put_workflow(Workflow("broken", ("mark",), "text", NOON, alike()[:-9]))
    catalog.put_workflow(Workflow("mail", (), "text", NOON, alike()))
    standings = read_standings(catalog)

    assert standings.alike is not None
    assert standings.alike.match(Prompt("", "Sort this mail: hello")) == ("mail", 0.99)
    assert standings.by_fingerprint == {"mark": "broken"}
    assert "prompts like those of broken are not recognised" in caplog.text


def test_without_a_likeness_numpy_stays_out_of_the_daemon() -> None:
    code = "import sys; import router.standings, router.routing; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=120)


class Broken(Catalog):
    broken = False

    @override
    def champion_sequence(self) -> int:
        if self.broken:
            raise LedgerError("locked")
        return super().champion_sequence()


def test_a_registry_that_cannot_be_read_leaves_the_last_champions(database: Database, tmp_path: Path) -> None:
    made = champion(database, tmp_path, Verdict.PASS)
    catalog = Broken(database)
    registry = Registry(catalog, Clock())
    registry.current()
    catalog.broken = True

    assert registry.current().champions["commit-type"].specialist == made


def test_an_unknown_specialist_is_none(database: Database) -> None:
    assert Registry(Catalog(database), Clock()).specialist("nobody@1") is None
