"""What is entered into a real registry: specialists by all that they serve with, and each judgement at its own look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from breeder.answering import Stack
from breeder.calibration import Threshold
from breeder.candidates import Bred
from breeder.deps import Deps, open_deps
from breeder.enrolment import Enrolment, Told, enrol, enrol_workflow, judged_at, record_evaluation, standing_pass
from breeder.ladder import TableTasks
from breeder.margin import look_alpha
from breeder.mining import Row
from breeder.rung import Rung
from registry.entities import PromptTrim, Verdict, Workflow
from registry.home import Home
from registry.prompting import Prompt
from registry.settings import Settings
from router.standings import read_standings
from tests.breeder.makers import START, interaction
from tests.breeder.test_ladder import World, again, desk_rows, made
from tests.router.making import evaluation


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with open_deps(Home.at(tmp_path / "home"), Settings(), tmp_path, lambda line: None) as opened:
        yield opened


@pytest.fixture
def linear(tmp_path: Path, deps: Deps) -> Bred:
    """A classifier that passed, of a workflow that the registry knows."""
    world = made(tmp_path, desk_rows(300))
    enrol_workflow(deps, world.ladder.breeding.dataset)
    return world.climb()[0][0]


def at_threshold(one: Bred, value: float) -> Bred:
    threshold = Threshold(value, 0.0, 0.0, 1, 0.0)
    return replace(one, measured=replace(one.measured, threshold=threshold))


def with_stack(one: Bred, change: Callable[[Stack], Stack]) -> Bred:
    candidate = one.measured.candidate
    changed = replace(candidate, stack=change(candidate.stack))
    return replace(one, measured=replace(one.measured, candidate=changed))


def test_a_workflow_is_enrolled_with_what_its_prompts_are_like_and_keeps_the_templates_that_it_had(
    tmp_path: Path, deps: Deps
) -> None:
    deps.catalog.put_workflow(Workflow("desk", ("adopted",), "text", START))
    enrol_workflow(deps, made(tmp_path, one_line(400)).ladder.breeding.dataset)
    (workflow,) = deps.catalog.workflows()
    alike = read_standings(deps.catalog).alike

    assert "adopted" in workflow.fingerprints
    assert alike is not None
    assert sum(alike.match(row.prompt) is not None for row in one_line(500)[400:]) >= 95


def test_a_workflow_that_another_cannot_be_told_from_is_enrolled_without_likeness(tmp_path: Path, deps: Deps) -> None:
    deps.catalog.put_workflow(Workflow("w", (), "text", START))
    for number, row in enumerate(one_line(100)):
        asked = interaction(number, row.prompt.user)
        assert asked.outcome is not None
        deps.ledger.append(asked.intent, asked.outcome)
    enrol_workflow(deps, made(tmp_path, one_line(400)).ladder.breeding.dataset)

    assert deps.catalog.workflow("desk").likeness == ""


def one_line(count: int) -> list[Row]:
    """Return rows of which no two have the same first line."""
    return [
        replace(each, prompt=Prompt("", f"Which desk takes this, water or power? {each.prompt.user.split(': ')[1]}"))
        for each in desk_rows(count)
    ]


def test_a_candidate_is_the_version_that_was_entered_only_if_all_it_serves_with_is_equal(
    tmp_path: Path, deps: Deps, linear: Bred
) -> None:
    dataset = made(tmp_path, desk_rows(300)).ladder.breeding.dataset
    others = [
        at_threshold(linear, -0.123),
        with_stack(linear, lambda stack: replace(stack, trim=PromptTrim(prefix="Which"))),
        with_stack(linear, lambda stack: replace(stack, max_tokens=7)),
        with_stack(linear, lambda stack: replace(stack, grammar='root ::= "water"')),
    ]
    versions = [enrol(deps, dataset, one, ()).version for one in (linear, linear, *others)]

    assert versions == [1, 1, 2, 3, 4, 5]


def test_an_evaluation_tells_the_threshold_that_was_judged_and_its_specialist_serves_at_it(
    tmp_path: Path, deps: Deps, linear: Bred
) -> None:
    dataset = made(tmp_path, desk_rows(300)).ladder.breeding.dataset
    for breeding, value in (("first", -0.5), ("second", -0.25)):
        Enrolment(deps, dataset, breeding, None).enter([at_threshold(linear, value)])
    told = [(one.threshold, deps.catalog.evaluations(one.name)) for one in deps.catalog.specialists("desk")]

    assert [(serves_at, [one.threshold for one in judged]) for serves_at, judged in told] == [
        (-0.5, [-0.5]),
        (-0.25, [-0.25]),
    ]


def test_a_pass_stands_until_a_later_evaluation_says_otherwise() -> None:
    passed, failed = evaluation(verdict=Verdict.PASS), evaluation(verdict=Verdict.FAIL)

    assert standing_pass([]) is None
    assert standing_pass([failed, passed]) is passed
    assert standing_pass([passed, failed]) is None


def climbing(tmp_path: Path, deps: Deps) -> World:
    """Return a ladder on the registry's looks: its table fails, its classifier passes."""
    rows = desk_rows(300)
    known = rows[:105]
    table = TableTasks(known, again(known[:60], wrong=False), again(known, wrong=True))
    world = made(tmp_path, rows, table)
    dataset = world.ladder.breeding.dataset
    enrol_workflow(deps, dataset)
    breeding = replace(world.ladder.breeding, judged_at=partial(judged_at, deps, dataset, "ours"))
    ladder = replace(world.ladder, breeding=breeding, looks=partial(deps.catalog.looks, "desk"))
    return replace(world, ladder=ladder)


def test_a_resumed_breeding_judges_again_at_the_same_look_and_goes_on_after_those_of_others(
    tmp_path: Path, deps: Deps
) -> None:
    interrupted, resumed = (climbing(tmp_path, deps) for _ in range(2))
    dataset = resumed.ladder.breeding.dataset
    before = next(interrupted.ladder.climb(Rung.TABLE))
    Enrolment(deps, dataset, "ours", None).enter(before)
    (specialist,) = deps.catalog.specialists("desk")
    reevaluated = replace(before[0].measured.result, alpha_spent=look_alpha(0.05, 1))
    record_evaluation(deps, specialist, Told(reevaluated, 0.0, "other", "b", None, None), 30, "evaluate")

    enrolment, groups = Enrolment(deps, dataset, "ours", None), []
    for group in resumed.ladder.climb(Rung.TABLE):
        enrolment.enter(group)
        groups.append(group)

    spent = [one.measured.result.alpha_spent for group in groups for one in group]
    assert spent == [look_alpha(0.05, 0), look_alpha(0.05, 2)]
    assert groups[0][0].measured.result == before[0].measured.result
    assert deps.catalog.looks("desk") == 3


def test_a_judgement_of_another_breeding_or_at_another_threshold_takes_a_look_of_its_own(
    tmp_path: Path, deps: Deps, linear: Bred
) -> None:
    dataset = made(tmp_path, desk_rows(300)).ladder.breeding.dataset
    Enrolment(deps, dataset, "ours", None).enter([linear])

    assert judged_at(deps, dataset, "ours", linear) == 0
    assert judged_at(deps, dataset, "another", linear) is None
    assert judged_at(deps, dataset, "ours", at_threshold(linear, -0.123)) is None
