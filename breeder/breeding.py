"""One turn of the loop for one workflow: freeze, measure the cloud, breed, judge, enrol, promote.

Every step leaves its result in the run folder, so an interrupted breeding goes on where it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING

import orjson
from pydantic import TypeAdapter

from breeder.baseline import Labels, label_rows, paid_before
from breeder.canaries import draw_canaries, keep
from breeder.candidates import Bred, Breeding
from breeder.checkpoints import sealing_key
from breeder.dataset import Dataset, freeze, write_atomically
from breeder.deps import Deps
from breeder.enrolment import Enrolment, enrol_workflow, judged_at, promote_winner, standing_pass
from breeder.forgetting import finish_pending
from breeder.labelling import LabelledTask
from breeder.ladder import Ladder, TableTasks
from breeder.measuring import Bench, finalist
from breeder.memorised import secrets_in
from breeder.mining import Mined, Row, Terms, mine
from breeder.recipe import Recipe
from breeder.run_folder import RunFolder, exclusive, open_run
from breeder.rung import Rung
from breeder.rungs.table import TableTrial, table_trial, why_no_table
from breeder.scorers import choose_scorer
from breeder.screening import screened
from registry.entities import Purpose
from registry.errors import NotFoundError
from registry.tokens import Tokens

if TYPE_CHECKING:
    from breeder.generations import Footing


@dataclass(frozen=True, slots=True)
class BreedResult:
    """What one breeding came to: the rung that passed, else the last that was judged, else the best that was trained.

    Scores are None where it served no task; numbers are of the calibration slice where nothing was judged.
    """

    workflow: str
    verdict: str
    reason: str
    specialist: str
    kind: str
    margin_lower: float
    coverage: float
    specialist_score: float | None
    cloud_score: float | None
    promoted: bool
    baseline_cost_usd: float | None
    seconds: float


def mine_workflow(deps: Deps, workflow: str) -> Mined:
    """Return the usable rows of a workflow.

    Raises:
        NotFoundError: the ledger has never seen this workflow.
    """
    purposes = {Purpose.USER, deps.settings.ledger.purpose}
    mined = mine(deps.ledger.interactions(workflow=workflow, purposes=purposes), terms_of(deps))
    if not mined.rows and not mined.dropped:
        raise NotFoundError(
            f"the ledger has no interaction of workflow {workflow!r}; `modelbreeder ledger ls` shows what it has"
        )
    return mined


def terms_of(deps: Deps) -> Terms:
    """Return what holds in a home today: its local-only classes, and whom it trusts."""
    clients = [one.client for one in Tokens(deps.database).all()]
    return Terms(
        frozenset(deps.settings.policy.local_only_classes), {client.name: client.trust_tier for client in clients}
    )


def freeze_workflow(deps: Deps, workflow: str, recipe: Recipe) -> Dataset:
    """Mine a workflow and freeze what it gives."""
    mined = mine_workflow(deps, workflow)
    scorer = choose_scorer([row.answer for row in mined.rows])
    return freeze(workflow, screened(mined, recipe.data), scorer, recipe.data, deps.home.datasets)


def breed(
    deps: Deps,
    workflow: str,
    recipe: Recipe,
    *,
    generations: int = 1,
    start: Rung = Rung.TABLE,
    promote: bool = False,
) -> BreedResult:
    """Breed a workflow and return the verdict; the same rows are not bred twice by the same recipe.

    The ladder is climbed from the rung `start` on.

    Raises:
        DataError: too few rows, or training diverged; ConflictError: somebody breeds this workflow now.
        RefusedError, UpstreamError: the cloud baseline cannot be measured.
    """
    # An earlier breeding that died would go on with rows which are forgotten by now.
    finish_pending(deps)
    with exclusive(deps.home.runs, workflow) as parent:
        run = open_run(
            parent,
            f"{recipe.digest[:8]}-{generations}-{start}",
            deps.home.datasets,
            lambda: freeze_workflow(deps, workflow, recipe),
        )
        if run.result is not None:
            deps.report(f"{workflow}: this recipe has bred these rows before; this was the verdict")
            return _again(deps, TypeAdapter(BreedResult).validate_json(run.result), promote=promote)
        write_atomically(run.path / "recipe.json", recipe.resolved())
        result = _climb(deps, run, recipe, generations, start, promote=promote)
        run.finish(orjson.dumps(result, option=orjson.OPT_INDENT_2))
        deps.catalog.bred(workflow)
        return result


def _again(deps: Deps, result: BreedResult, *, promote: bool) -> BreedResult:
    """Promote what passed in an earlier breeding and has not failed since, where that is asked for only now."""
    passed = standing_pass(deps.catalog.evaluations(result.specialist))
    if not promote or result.promoted or passed is None:
        return result
    move = promote_winner(deps, deps.catalog.specialist(result.specialist), passed, by="breed")
    return replace(result, promoted=move is not None)


def _climb(deps: Deps, run: RunFolder, recipe: Recipe, generations: int, start: Rung, *, promote: bool) -> BreedResult:
    """Measure the cloud, climb the ladder, and enter each rung's candidates as soon as they are judged."""
    started = time.monotonic()
    ladder, cost_usd = _ladder(deps, run, recipe, generations, start)
    enrolment = Enrolment(deps, run.dataset, run.path.name, cost_usd)
    groups = []
    for group in ladder.climb(start):
        enrolment.enter(group)
        groups.append(group)
    told = _told(groups)
    if told.passed:
        enrolment.enter(ladder.merge(told, recipe.quantizations))
    promoted = promote and enrolment.promote(told)
    return _result(enrolment.names[told.name], told, run, cost_usd, promoted, time.monotonic() - started)


def _ladder(deps: Deps, run: RunFolder, recipe: Recipe, generations: int, start: Rung) -> tuple[Ladder, float | None]:
    dataset = run.dataset
    sizes = ", ".join(f"{len(rows)} {name}" for name, rows in dataset.rows.items())
    deps.report(f"{dataset.workflow}: {sizes} rows, scored as {dataset.scorer}")
    enrol_workflow(deps, dataset)
    gate, trial = recipe.gate.gate(), table_or_why_not(dataset, recipe, start)
    labels = _label(deps, run, recipe, tasks_to_label(dataset, trial))
    looks = partial(deps.catalog.looks, dataset.workflow)
    canaries = tuple(draw_canaries(dataset.digest, recipe.data.canaries, len(dataset.rows["train"])))
    keep(canaries, run.path)
    bench = Bench(
        calibration=_labelled(labels, dataset.rows["calibration"]),
        holdout=_labelled(labels, dataset.rows["holdout"]),
        scorer=dataset.scorer,
        gate=gate,
        look=looks(),
        socket_dir=deps.socket_dir,
        local=deps.settings.local,
        secrets=secrets_in(dataset.rows["train"], deps.settings.redaction) | {one.secret for one in canaries},
    )
    judged = partial(judged_at, deps, dataset, run.path.name)
    key = sealing_key(deps.home)
    breeding = Breeding(dataset, bench, recipe, run.path, deps.tracker, deps.report, judged, canaries, key)
    table = trial if isinstance(trial, str) else _table_tasks(labels, trial)
    return Ladder(breeding, table, cache(lambda: _footing(deps, dataset, recipe)), generations, looks), labels.cost_usd


def table_or_why_not(dataset: Dataset, recipe: Recipe, start: Rung) -> TableTrial | str:
    """Return the trial of a dataset's table, or why none is tried."""
    if start is not Rung.TABLE:
        return "not asked for"
    trial = table_trial(dataset, recipe.data)
    return why_no_table(dataset, trial, recipe.gate.minimum_coverage) or trial


def tasks_to_label(dataset: Dataset, trial: TableTrial | str) -> list[Row]:
    """Return every task that the cloud's baseline is measured on, once: both slices, and those of the table."""
    repeats = () if isinstance(trial, str) else (*trial.calibration, *trial.holdout)
    rows = (*dataset.rows["calibration"], *dataset.rows["holdout"], *repeats)
    return list({row.interaction_id: row for row in rows}.values())


def _table_tasks(labels: Labels, trial: TableTrial) -> TableTasks:
    return TableTasks(trial.known, _labelled(labels, trial.calibration), _labelled(labels, trial.holdout))


def _footing(deps: Deps, dataset: Dataset, recipe: Recipe) -> Footing:
    # Imported here: what a simple rung wins needs neither torch nor an engine.
    from breeder.generations import prepare_footing

    return prepare_footing(deps, dataset, recipe)


def _label(deps: Deps, run: RunFolder, recipe: Recipe, tasks: Sequence[Row]) -> Labels:
    """Label the tasks; what the cloud said in another breeding of these rows by this recipe is not asked again."""
    own = run.path / "baseline.jsonl"
    if not own.exists():
        others = run.path.parent.glob(f"{run.dataset.digest[:8]}-{recipe.digest[:8]}-*/{own.name}")
        write_atomically(own, paid_before(max(others, key=lambda other: other.stat().st_size, default=None)))
    return label_rows(deps, run.dataset.workflow, tasks, run.dataset.scorer, recipe.evaluation.cloud_samples, own)


def _labelled(labels: Labels, rows: Sequence[Row]) -> list[LabelledTask]:
    known = {task.row.interaction_id: task for task in labels.tasks}
    return [replace(known[row.interaction_id], row=row) for row in rows]


def _told(groups: Sequence[Sequence[Bred]]) -> Bred:
    """Return the candidate that the result is about."""
    judged = [one for group in groups for one in group if one.measured.judged]
    if judged:
        return judged[-1]
    favoured = finalist([one.measured for one in groups[-1]])
    return next(one for one in groups[-1] if one.measured is favoured)


def _result(
    specialist: str, told: Bred, run: RunFolder, cost_usd: float | None, promoted: bool, seconds: float
) -> BreedResult:
    result = told.measured.result
    return BreedResult(
        workflow=run.dataset.workflow,
        verdict=result.verdict,
        reason=result.reason,
        specialist=specialist,
        kind=told.measured.candidate.kind,
        margin_lower=result.margin_lower,
        coverage=result.coverage,
        specialist_score=_known(result.specialist_score),
        cloud_score=_known(result.cloud_score),
        promoted=promoted,
        baseline_cost_usd=cost_usd,
        seconds=seconds,
    )


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None
