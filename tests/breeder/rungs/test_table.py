from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from breeder.dataset import Dataset, freeze
from breeder.mining import Mined, Row, Tier, mine
from breeder.recipe import DataPart
from breeder.rungs.rung_file import ask_rung, write_rung
from breeder.rungs.table import fit_table, judged_tasks, table_trial, why_no_table
from registry.entities import PromptTrim
from registry.prompting import Prompt
from tests.breeder.makers import START, interaction, row

PLAN = DataPart(minimum_rows=10, holdout_share=0.3, calibration_share=0.2)


def asked(number: int, what: object, answer: str | None = None, tier: Tier = Tier.CLOUD) -> Row:
    return row(number, f"Look it up.\nThing: {what}", answer or f"answer {number}", tier)


def dataset(tmp_path: Path, tasks: list[Row], plan: DataPart = PLAN) -> Dataset:
    """Freeze tasks as mining leaves them: the newest of each prompt is a row, the others are repeats."""
    newest = {task.prompt: task for task in tasks}
    repeats = tuple(task for task in tasks if newest[task.prompt] is not task)
    return freeze(
        "w", Mined(tuple(sorted(newest.values(), key=lambda one: one.at_utc)), {}, repeats), "text", plan, tmp_path
    )


def coming_again(count: int = 60, things: int = 20) -> list[Row]:
    return [asked(number, number % things) for number in range(count)]


def test_the_trial_goes_by_time_and_holds_every_task_of_its_windows(tmp_path: Path) -> None:
    trial = table_trial(dataset(tmp_path, coming_again()), PLAN)
    known, calibration, holdout = (
        [one.at_utc for one in part] for part in (trial.known, trial.calibration, trial.holdout)
    )

    assert max(known) < min(calibration) <= max(calibration) < min(holdout)
    assert len(trial.known) == 20
    assert (len(calibration), len(holdout)) == (4, 6)


def test_tasks_that_came_again_within_a_window_are_tasks_of_it(tmp_path: Path) -> None:
    tasks = [*coming_again(), *(asked(number, "often") for number in range(60, 64))]
    trial = table_trial(dataset(tmp_path, tasks), PLAN)

    assert [one.prompt.user.endswith("often") for one in trial.holdout].count(True) == 4


def test_the_table_holds_what_was_known_before_the_calibration_slice_with_the_best_answer(tmp_path: Path) -> None:
    tasks = coming_again()
    tasks[5] = replace(tasks[5], tier=Tier.CORRECTED, answer="corrected")
    for number in (37, 18, 38):
        tasks[number] = replace(tasks[number], tier=Tier.OPEN, answer="doubtful")
    trial = table_trial(dataset(tmp_path, tasks), PLAN)
    answers = {one.prompt.user.rpartition(" ")[2]: one.answer for one in trial.known}

    assert answers["5"] == "corrected"
    assert answers["17"] == "answer 17"
    assert answers["16"] == "answer 36"
    assert "18" not in answers


def test_the_tasks_of_one_prompt_count_as_one_cluster_and_are_few() -> None:
    tasks = [*(asked(number, "often") for number in range(9)), asked(10, "once"), asked(11, "once")]
    kept = judged_tasks(tasks)

    assert [one.interaction_id for one in kept] == [f"i{number:05}" for number in (4, 5, 6, 7, 8, 10, 11)]
    assert len({one.session for one in kept}) == 2


def test_prompts_that_sessions_link_are_one_cluster() -> None:
    asked_in = [("a", "s"), ("b", "s"), ("b", "t"), ("c", "t"), ("d", "u"), ("d", None), ("e", None), ("f", None)]
    tasks = [replace(asked(number, what), session=session) for number, (what, session) in enumerate(asked_in)]
    clusters: dict[str | None, str] = {}
    for task in judged_tasks(tasks):
        clusters[task.session] = clusters.get(task.session, "") + task.prompt.user[-1]

    assert sorted(clusters.values()) == ["abbc", "dd", "e", "f"]


def test_windows_that_begin_in_the_same_moment_are_told_apart_by_the_tasks_ids(tmp_path: Path) -> None:
    tasks = [replace(task, at_utc=START) for task in coming_again()]
    frozen = dataset(tmp_path, tasks)
    trial = table_trial(frozen, PLAN)

    assert (len(trial.known), len(trial.calibration), len(trial.holdout)) == (20, 4, 6)
    assert why_no_table(frozen, trial, 0.3) == ""


def test_without_repeats_or_with_too_few_there_is_no_table(tmp_path: Path) -> None:
    once = dataset(tmp_path / "a", [asked(number, number) for number in range(40)])
    seldom = dataset(tmp_path / "b", [asked(number, number % 39) for number in range(40)])
    often = dataset(tmp_path / "c", coming_again())

    assert why_no_table(once, table_trial(once, PLAN), 0.3) == "no task has come twice"
    assert (
        why_no_table(seldom, table_trial(seldom, PLAN), 0.3)
        == "0% of the calibration tasks were seen before, 30% are needed"
    )
    assert why_no_table(often, table_trial(often, PLAN), 0.3) == ""


def test_a_fitted_table_says_what_was_said_and_nothing_of_what_is_new(tmp_path: Path) -> None:
    trim = PromptTrim(prefix="Look it up.\nThing: ")
    record, arrays = fit_table([asked(1, "a", "yes"), asked(2, "b", "no"), asked(3, "c", "yes")], trim)
    write_rung(tmp_path / "t", record, arrays)
    prompts = [Prompt("", f"{trim.prefix}{thing}") for thing in "abcd"]
    said = ask_rung(tmp_path / "t", trim, prompts)

    assert [(one.text, one.confidence) for one in said[:3]] == [("yes", 0.0), ("no", 0.0), ("yes", 0.0)]
    assert said[3].confidence == float("-inf")
    assert sorted(record.answers) == ["no", "yes"]


def test_a_table_drops_its_oldest_answers_rather_than_grow_without_end(tmp_path: Path) -> None:
    rows = [asked(number, number, str(number) * 500_000) for number in range(10)]
    record, arrays = fit_table(rows, PromptTrim())

    assert [answer[0] for answer in record.answers] == ["9", "8", "7", "6", "5", "4", "3", "2"]
    assert len(arrays["digests"]) == 8


def test_mining_keeps_what_gave_way_to_a_row_of_the_same_prompt() -> None:
    told = mine(
        [interaction(1, "a", "old"), interaction(2, "b"), interaction(3, "a", "new"), interaction(4, "a", None)]
    )

    assert [(one.prompt.user, one.answer) for one in told.rows] == [("b", "yes"), ("a", "new")]
    assert [(one.prompt.user, one.answer) for one in told.repeats] == [("a", "old")]
