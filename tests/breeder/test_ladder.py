"""The ladder's order, its looks at the holdout, and what it passes over; without a base, which later rungs need."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from breeder.candidates import Bred, Breeding
from breeder.dataset import Dataset, freeze
from breeder.gate import Gate
from breeder.generations import Footing
from breeder.labelling import LabelledTask
from breeder.ladder import Ladder, TableTasks
from breeder.margin import look_alpha
from breeder.measuring import HOPE, Bench, Candidate, finalist
from breeder.mining import Mined, Row
from breeder.recipe import DataPart, Recipe
from breeder.rung import Rung
from breeder.rungs.table import judged_tasks
from registry.entities import SpecialistKind, Verdict
from registry.settings import LocalSettings
from tests.breeder.makers import row
from tests.breeder.notebook import Notebook, NotedRun

PLAN = DataPart(minimum_rows=40, holdout_share=0.4, calibration_share=0.25)
DESKS = {"pump": "water", "valve": "water", "cable": "power", "socket": "power"}


class NeedsBaseError(Exception):
    """The ladder went on to a rung that needs a base."""


@dataclass
class World:
    """A ladder, and what it told."""

    ladder: Ladder
    tracker: Notebook
    told: list[str]
    groups: list[list[Bred]]

    def climb(self, start: Rung = Rung.TABLE) -> list[list[Bred]]:
        """Return the groups up to the pass, or to where a base would be needed."""
        climbing = self.ladder.climb(start)
        try:
            while group := next(climbing, None):
                self.groups.append(group)
        except NeedsBaseError:
            self.told.append("a base is needed")
        return self.groups


def desk_rows(count: int, wrong: Callable[[int], bool] = lambda number: False) -> list[Row]:
    """Return rows that a linear classifier can learn, but for the wrong ones."""
    rng = random.Random(7)
    rows = []
    for number in range(count):
        thing = rng.choice(sorted(DESKS))
        answer = ("power" if DESKS[thing] == "water" else "water") if wrong(number) else DESKS[thing]
        rows.append(row(number, f"Which desk?\nThing: {thing} {rng.randrange(10**6)}", answer))
    return rows


def labelled(rows: Sequence[Row]) -> list[LabelledTask]:
    """Return tasks whose reference is their answer and whose cloud is always right."""
    return [LabelledTask(task, task.answer, 1.0) for task in rows]


def no_base() -> Footing:
    raise NeedsBaseError


def made(tmp_path: Path, rows: Sequence[Row], table: TableTasks | str = "no task has come twice") -> World:
    dataset: Dataset = freeze("desk", Mined(tuple(rows), {}), "text", PLAN, tmp_path)
    bench = Bench(
        calibration=labelled(dataset.rows["calibration"]),
        holdout=labelled(dataset.rows["holdout"]),
        scorer="text",
        gate=Gate(),
        look=0,
        socket_dir=tmp_path,
        local=LocalSettings(),
    )
    tracker, told, groups = Notebook(), list[str](), list[list[Bred]]()
    breeding = Breeding(dataset, bench, Recipe(name="test"), tmp_path, tracker, told.append, lambda one: None)

    def looks() -> int:
        return sum(one.measured.judged for group in groups for one in group)

    return World(Ladder(breeding, table, no_base, 1, looks), tracker, told, groups)


def test_the_first_rung_that_passes_ends_the_climb_without_a_base(tmp_path: Path) -> None:
    world = made(tmp_path, desk_rows(300))
    ((linear,),) = world.climb()

    assert linear.passed
    assert linear.measured.candidate.kind is SpecialistKind.LINEAR
    assert linear.measured.result.alpha_spent == look_alpha(0.05, 0)
    assert linear.measured.result.n == 120
    assert "desk: no table: no task has come twice" in world.told
    assert "a base is needed" not in world.told


def test_a_rung_is_a_child_run_with_the_holdout_s_numbers_only_once_it_is_judged(tmp_path: Path) -> None:
    world = made(tmp_path, desk_rows(300))
    world.climb()

    parent, child = world.tracker.runs
    assert [(run.name, run.parent) for run in (parent, child)] == [("desk rungs", None), ("linear", "desk rungs")]
    assert child.tags["verdict"] == "pass"
    assert {"calibration_coverage", "chance_to_pass", "coverage", "cross_validated_accuracy"} <= child.metrics.keys()


def test_a_rung_without_hope_is_measured_on_the_calibration_slice_only_and_spends_no_alpha(tmp_path: Path) -> None:
    rng = random.Random(1)
    world = made(tmp_path, desk_rows(300, lambda number: rng.random() < 0.5))
    ((linear,),) = world.climb()

    assert not linear.measured.judged
    assert linear.measured.chance < HOPE
    assert linear.measured.result.alpha_spent == 0.0
    assert linear.measured.result.n == 75
    assert linear.measured.result.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE)
    assert not {"coverage", "margin_lower"} & world.tracker.runs[1].metrics.keys()
    assert world.told[-1] == "a base is needed"


def test_answers_that_are_no_labels_are_passed_over_in_one_line(tmp_path: Path) -> None:
    world = made(tmp_path, [row(number) for number in range(100)])

    assert world.climb() == []
    assert world.told == [
        "desk: no table: no task has come twice",
        "desk: no linear classifier: 35 answers are 35 different ones",
        "a base is needed",
    ]


@pytest.mark.parametrize(("start", "runs"), [(Rung.FEW_SHOT, ["desk rungs"]), (Rung.LORA, [])])
def test_a_later_rung_that_is_asked_for_is_where_the_climb_starts(tmp_path: Path, start: Rung, runs: list[str]) -> None:
    world = made(tmp_path, desk_rows(300))

    assert world.climb(start) == []
    assert world.told == ["a base is needed"]
    assert [run.name for run in world.tracker.runs] == runs


def again(rows: Sequence[Row], wrong: bool) -> list[LabelledTask]:
    """Return these tasks as they come again, for a table; wrong ones have changed their answer meanwhile."""
    tasks = judged_tasks([replace(task, interaction_id=f"again {task.interaction_id}") for task in rows])
    return [LabelledTask(task, "changed" if wrong else task.answer, 1.0) for task in tasks]


def test_a_table_is_measured_on_its_own_tasks_and_wins_before_the_others(tmp_path: Path) -> None:
    rows = desk_rows(300)
    known = rows[:105]
    world = made(tmp_path, rows, TableTasks(known, again(known[:60], wrong=False), again(known, wrong=False)))
    ((table,),) = world.climb()

    assert table.passed
    assert (table.measured.candidate.kind, table.measured.result.n) == (SpecialistKind.TABLE, 105)
    assert table.measured.threshold.value == 0.0
    assert table.measured.tokens_per_second is None


def test_a_look_that_did_not_pass_halves_what_the_next_rung_may_spend(tmp_path: Path) -> None:
    rows = desk_rows(300)
    known = rows[:105]
    world = made(tmp_path, rows, TableTasks(known, again(known[:60], wrong=False), again(known, wrong=True)))
    (table,), (linear,) = world.climb()

    assert (table.measured.judged, table.measured.result.verdict) == (True, Verdict.FAIL)
    assert table.measured.result.alpha_spent == look_alpha(0.05, 0)
    assert linear.passed
    assert linear.measured.result.alpha_spent == look_alpha(0.05, 1)


def test_only_the_favourite_of_a_rung_is_judged(tmp_path: Path) -> None:
    world = made(tmp_path, desk_rows(300))
    ((linear,),) = world.climb()
    path = linear.measured.candidate.base
    run = NotedRun("x")
    breeding = world.ladder.breeding
    stack = linear.measured.candidate.stack
    group = [
        Bred(breeding.measure(Candidate(name, SpecialistKind.LINEAR, path, stack), run), breeding.recipe, run)
        for name in ("first", "second")
    ]
    judged = breeding.judge_favourite(group)

    assert finalist([one.measured for one in group]).candidate.name == "first"
    assert [one.measured.judged for one in judged] == [True, False]
    assert [one.measured.result.alpha_spent for one in judged] == [look_alpha(0.05, 0), 0.0]


def test_the_ladder_imports_no_training_library_before_a_rung_needs_one() -> None:
    heavy = "'torch','transformers','peft','sklearn','mlflow','llama_cpp'"
    script = f"import sys, breeder.breeding; print([m for m in ({heavy}) if m in sys.modules])"
    told = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
