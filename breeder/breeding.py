"""One turn of the loop for one workflow: freeze, measure the cloud, breed, judge, enrol, promote.

Every step leaves its result in the run folder, so an interrupted breeding goes on where it was.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass, replace

import orjson
from pydantic import TypeAdapter

from breeder.baseline import label_rows
from breeder.bases import prepare_base
from breeder.dataset import Dataset, freeze, write_atomically
from breeder.deps import Deps
from breeder.enrolment import enrol, enrol_workflow, promote_winner, record_evaluation
from breeder.generations import Bred, Breeding
from breeder.measuring import Bench, finalist
from breeder.mining import Mined, mine
from breeder.recipe import Recipe
from breeder.run_folder import RunFolder, exclusive, open_run
from breeder.scorers import choose_scorer
from breeder.seen_text import check_tokens_agree, few_shot_examples, longest_answer
from registry.entities import Purpose, SpecialistKind, Verdict
from registry.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class BreedResult:
    """What one breeding came to; `specialist` is the judged candidate, scores are None where it served no task."""

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
    mined = mine(deps.ledger.interactions(workflow=workflow, purposes=purposes))
    if not mined.rows and not mined.dropped:
        raise NotFoundError(
            f"the ledger has no interaction of workflow {workflow!r}; `modelbreeder ledger ls` shows what it has"
        )
    return mined


def freeze_workflow(deps: Deps, workflow: str, recipe: Recipe) -> Dataset:
    """Mine a workflow and freeze what it gives."""
    mined = mine_workflow(deps, workflow)
    scorer = choose_scorer([row.answer for row in mined.rows])
    return freeze(workflow, mined, scorer, recipe.data, deps.home.datasets)


def breed(deps: Deps, workflow: str, recipe: Recipe, *, generations: int = 1, promote: bool = False) -> BreedResult:
    """Breed a workflow and return the verdict; the same rows are not bred twice by the same recipe.

    Raises:
        DataError: too few rows, or training diverged; ConflictError: somebody breeds this workflow now.
        RefusedError, UpstreamError: the cloud baseline cannot be measured.
    """
    with exclusive(deps.home.runs, workflow) as parent:
        run = open_run(
            parent,
            f"{recipe.digest[:8]}-{generations}",
            deps.home.datasets,
            lambda: freeze_workflow(deps, workflow, recipe),
            lambda: deps.catalog.looks(workflow),
        )
        if run.result is not None:
            deps.report(f"{workflow}: this recipe has bred these rows before; this was the verdict")
            return _again(deps, TypeAdapter(BreedResult).validate_json(run.result), promote=promote)
        write_atomically(run.path / "recipe.json", recipe.resolved())
        started = time.monotonic()
        breeding, cost_usd = _begin(deps, run, recipe)
        bred = breeding.breed(recipe, generations)
        winner = finalist([one.measured for one in bred])
        judged = next(one for one in bred if one.measured is winner)
        bred += breeding.merge(judged, recipe.quantizations)
        result = _conclude(deps, breeding, bred, judged, cost_usd, promote=promote, seconds=time.monotonic() - started)
        run.finish(orjson.dumps(result, option=orjson.OPT_INDENT_2))
        return result


def _again(deps: Deps, result: BreedResult, *, promote: bool) -> BreedResult:
    """Promote what passed in an earlier breeding, where that is asked for only now."""
    passed = [told for told in deps.catalog.evaluations(result.specialist) if told.verdict is Verdict.PASS]
    if not promote or result.promoted or not passed:
        return result
    move = promote_winner(deps, deps.catalog.specialist(result.specialist), passed[-1], by="breed")
    return replace(result, promoted=move is not None)


def _begin(deps: Deps, run: RunFolder, recipe: Recipe) -> tuple[Breeding, float | None]:
    dataset = run.dataset
    sizes = ", ".join(f"{len(rows)} {name}" for name, rows in dataset.rows.items())
    deps.report(f"{dataset.workflow}: {sizes} rows, scored as {dataset.scorer}")
    enrol_workflow(deps, dataset)
    base = prepare_base(recipe.base, deps.store, deps.home.runs / "bases", deps.report)
    check_tokens_agree(deps, base, dataset)
    first = len(dataset.rows["calibration"])
    rows = [*dataset.rows["calibration"], *dataset.rows["holdout"]]
    samples, cache = recipe.evaluation.cloud_samples, run.path / "baseline.jsonl"
    labels = label_rows(deps, dataset.workflow, rows, dataset.scorer, samples, cache)
    bench = Bench(
        calibration=labels.tasks[:first],
        holdout=labels.tasks[first:],
        scorer=dataset.scorer,
        gate=recipe.gate.gate(),
        look=run.look,
        socket_dir=deps.socket_dir,
        local=deps.settings.local,
    )
    breeding = Breeding(
        dataset=dataset,
        base=base,
        bench=bench,
        max_tokens=longest_answer(base, dataset, recipe.evaluation.maximum_answer_tokens),
        shots=few_shot_examples(dataset, recipe.evaluation.few_shot_examples, recipe.seed),
        folder=run.path,
        tracker=deps.tracker,
        report=deps.report,
    )
    return breeding, labels.cost_usd


def _conclude(
    deps: Deps,
    breeding: Breeding,
    bred: list[Bred],
    judged: Bred,
    cost_usd: float | None,
    *,
    promote: bool,
    seconds: float,
) -> BreedResult:
    """Enrol what was bred and the judged rung, record every evaluation, promote on `pass` if asked."""
    dataset, names, promoted = breeding.dataset, dict[str, str](), False
    for one in bred:
        rung = one.measured.candidate.kind in (SpecialistKind.BASE, SpecialistKind.FEW_SHOT)
        if rung and one is not judged:
            continue
        specialist = enrol(deps, dataset, breeding.base, one, tuple(names[parent] for parent in one.parents))
        names[one.name] = specialist.name
        told = one.measured.told(dataset.digest, judged=one is judged, cost_usd=cost_usd if one is judged else None)
        identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{breeding.folder.name}:{specialist.name}"))
        evaluation = record_evaluation(deps, specialist, told, one.recipe.gate.expires_days, identity)
        if one is judged and promote:
            promoted = promote_winner(deps, specialist, evaluation, by="breed") is not None
    result = judged.measured.result
    return BreedResult(
        workflow=dataset.workflow,
        verdict=result.verdict,
        reason=result.reason,
        specialist=names[judged.name],
        kind=judged.measured.candidate.kind,
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
