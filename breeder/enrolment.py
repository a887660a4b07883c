"""Enter what a breeding made into the registry: specialists, their evaluations, and the promotion of a winner."""

from __future__ import annotations

from datetime import timedelta

from breeder.bases import Base
from breeder.dataset import Dataset
from breeder.deps import Deps
from breeder.generations import Bred
from breeder.measuring import Told
from registry.entities import Evaluation, Promotion, PromotionAction, Specialist, SpecialistKind, Verdict, Workflow


def enrol_workflow(deps: Deps, dataset: Dataset) -> None:
    """Make the workflow known to the router, with the templates that its prompts follow."""
    deps.catalog.put_workflow(Workflow(dataset.workflow, dataset.fingerprints, dataset.scorer, deps.now()))


def enrol(deps: Deps, dataset: Dataset, base: Base, one: Bred, parents: tuple[str, ...]) -> Specialist:
    """Add a candidate as the workflow's next specialist version, or return the version that it already is."""
    candidate = one.measured.candidate
    adapter = deps.store.add(one.descendant.adapter.path) if one.descendant else None
    source = deps.store.add(one.descendant.training.folder) if one.descendant else None
    merged = candidate.kind is SpecialistKind.MERGED
    specialist = Specialist(
        workflow=dataset.workflow,
        version=deps.catalog.next_version(dataset.workflow),
        kind=candidate.kind,
        base_sha256=deps.store.add(candidate.base) if merged else base.sha256,
        created_at_utc=deps.now(),
        adapter_sha256=adapter,
        adapter_source_sha256=source,
        examples=candidate.stack.examples,
        trim=candidate.stack.trim,
        threshold=one.measured.threshold.value,
        max_tokens=candidate.stack.max_tokens,
        generation=one.generation,
        parents=parents,
        recipe_digest=one.recipe.digest,
        dataset_digest=dataset.digest,
        template_digest=base.template_digest,
        quantization=one.quantization,
        mlflow_run_id=one.mlflow_run_id,
    )
    known = next((old for old in deps.catalog.specialists(dataset.workflow) if _same(old, specialist)), None)
    if known is None:
        deps.catalog.add_specialist(specialist)
    return known or specialist


def _same(old: Specialist, new: Specialist) -> bool:
    """Say whether an interrupted breeding had already enrolled this candidate."""

    def identity(one: Specialist) -> tuple[object, ...]:
        return one.kind, one.base_sha256, one.adapter_sha256, one.examples, one.dataset_digest, one.recipe_digest

    return identity(old) == identity(new)


def record_evaluation(
    deps: Deps, specialist: Specialist, told: Told, expires_days: int, evaluation_id: str
) -> Evaluation:
    """Record a specialist's numbers once; only a judged candidate carries the gate's verdict and spends alpha."""
    for known in deps.catalog.evaluations(specialist.name):
        if known.evaluation_id == evaluation_id:
            return known
    result, now = told.result, deps.now()
    evaluation = Evaluation(
        evaluation_id=evaluation_id,
        specialist=specialist.name,
        at_utc=now,
        expires_at_utc=now + timedelta(days=expires_days),
        verdict=result.verdict if told.judged else Verdict.INCONCLUSIVE,
        reason=result.reason if told.judged else "not judged: the calibration slice favoured another candidate",
        n=result.n,
        served=result.served,
        coverage=result.coverage,
        specialist_score=result.specialist_score,
        cloud_score=result.cloud_score,
        mean_difference=result.mean_difference,
        margin_lower=result.margin_lower,
        alpha_spent=result.alpha_spent if told.judged else 0.0,
        threshold=specialist.threshold,
        holdout_digest=told.holdout_digest,
        cloud_model=deps.settings.policy.cloud or "",
        engine_build=told.engine_build,
        cost_usd=told.cost_usd,
        tokens_per_second=told.tokens_per_second,
    )
    deps.catalog.add_evaluation(evaluation)
    return evaluation


def promote_winner(deps: Deps, specialist: Specialist, evaluation: Evaluation, by: str) -> Promotion | None:
    """Make a specialist that passed the champion; anything but `pass` moves nothing."""
    if evaluation.verdict is not Verdict.PASS:
        return None
    history = deps.catalog.promotions(specialist.workflow)
    if history and (history[-1].specialist, history[-1].evaluation_id) == (specialist.name, evaluation.evaluation_id):
        return history[-1]
    return deps.catalog.move_champion(
        specialist.workflow,
        PromotionAction.PROMOTE,
        specialist.name,
        expected_sequence=history[-1].sequence if history else None,
        by=by,
        reason=evaluation.reason,
        evaluation_id=evaluation.evaluation_id,
        at=deps.now(),
    )
