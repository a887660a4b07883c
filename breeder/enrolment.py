"""Enter what a breeding made into the registry: specialists, their evaluations, and the promotion of a winner."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from breeder.candidates import Bred
from breeder.dataset import Dataset
from breeder.deps import Deps
from breeder.gate import GateResult
from registry.entities import Evaluation, Promotion, PromotionAction, Specialist, SpecialistKind, Verdict, Workflow

_OWN_FILE = (SpecialistKind.MERGED, SpecialistKind.TABLE, SpecialistKind.LINEAR)


@dataclass(frozen=True, slots=True)
class Told:
    """What an evaluation record says; `holdout_digest` is empty where no holdout was looked at."""

    result: GateResult
    holdout_digest: str
    engine_build: str
    tokens_per_second: float | None
    cost_usd: float | None


def enrol_workflow(deps: Deps, dataset: Dataset) -> None:
    """Make the workflow known to the router, with the templates that its prompts follow."""
    deps.catalog.put_workflow(Workflow(dataset.workflow, dataset.fingerprints, dataset.scorer, deps.now()))


def enrol(deps: Deps, dataset: Dataset, one: Bred, parents: tuple[str, ...]) -> Specialist:
    """Add a candidate as the workflow's next specialist version, or return the version that it already is."""
    candidate = one.measured.candidate
    adapter = deps.store.add(one.descendant.adapter.path) if one.descendant else None
    source = deps.store.add(one.descendant.training.folder) if one.descendant else None
    shared = None if candidate.kind in _OWN_FILE else one.base
    specialist = Specialist(
        workflow=dataset.workflow,
        version=deps.catalog.next_version(dataset.workflow),
        kind=candidate.kind,
        base_sha256=shared.sha256 if shared else deps.store.add(candidate.base),
        created_at_utc=deps.now(),
        adapter_sha256=adapter,
        adapter_source_sha256=source,
        examples=candidate.stack.examples,
        trim=candidate.stack.trim,
        threshold=one.measured.threshold.value,
        max_tokens=candidate.stack.max_tokens,
        grammar=candidate.stack.grammar,
        generation=one.generation,
        parents=parents,
        recipe_digest=one.recipe.digest,
        dataset_digest=dataset.digest,
        template_digest=one.base.template_digest if one.base else "",
        quantization=one.quantization,
        mlflow_run_id=one.tracked.run_id,
    )
    known = next((old for old in deps.catalog.specialists(dataset.workflow) if _same(old, specialist)), None)
    if known is None:
        deps.catalog.add_specialist(specialist)
    return known or specialist


def _same(old: Specialist, new: Specialist) -> bool:
    """Say whether an interrupted breeding had already enrolled this candidate."""

    def identity(one: Specialist) -> tuple[object, ...]:
        sources = one.dataset_digest, one.recipe_digest
        return one.kind, one.base_sha256, one.adapter_sha256, one.examples, one.grammar, sources

    return identity(old) == identity(new)


@dataclass(slots=True)
class Enrolment:
    """Enters one breeding's candidates, rung by rung; repeated after an interruption, it finds what it entered."""

    deps: Deps
    dataset: Dataset
    breeding: str
    """The breeding's own name, which its evaluations are known by."""
    cost_usd: float | None
    names: dict[str, str] = field(default_factory=dict)
    """Specialists by the names of candidates."""
    _evaluations: dict[str, Evaluation] = field(default_factory=dict)

    def enter(self, group: Sequence[Bred]) -> None:
        """Enrol what was judged or trained, and record what was measured; what the cloud cost goes with the first."""
        for one in group:
            measured = one.measured
            trained = measured.candidate.kind in (SpecialistKind.LORA, SpecialistKind.MERGED)
            if not trained and not measured.judged:
                continue
            specialist = enrol(self.deps, self.dataset, one, tuple(self.names[parent] for parent in one.parents))
            told = Told(
                result=measured.result,
                holdout_digest=self.dataset.digest if measured.judged else "",
                engine_build=measured.engine_build,
                tokens_per_second=measured.tokens_per_second,
                cost_usd=None if self.names else self.cost_usd,
            )
            identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.breeding}:{specialist.name}"))
            expires_days = one.recipe.gate.expires_days
            self.names[one.name] = specialist.name
            self._evaluations[one.name] = record_evaluation(self.deps, specialist, told, expires_days, identity)

    def promote(self, one: Bred) -> bool:
        """Make an entered candidate the champion if it passed, and say whether it is."""
        specialist = self.deps.catalog.specialist(self.names[one.name])
        return promote_winner(self.deps, specialist, self._evaluations[one.name], by="breed") is not None


def record_evaluation(
    deps: Deps, specialist: Specialist, told: Told, expires_days: int, evaluation_id: str
) -> Evaluation:
    """Record a specialist's numbers once; looks at a holdout are counted by these records."""
    for known in deps.catalog.evaluations(specialist.name):
        if known.evaluation_id == evaluation_id:
            return known
    result, now = told.result, deps.now()
    evaluation = Evaluation(
        evaluation_id=evaluation_id,
        specialist=specialist.name,
        at_utc=now,
        expires_at_utc=now + timedelta(days=expires_days),
        verdict=result.verdict,
        reason=result.reason,
        n=result.n,
        served=result.served,
        coverage=result.coverage,
        specialist_score=result.specialist_score,
        cloud_score=result.cloud_score,
        mean_difference=result.mean_difference,
        margin_lower=result.margin_lower,
        alpha_spent=result.alpha_spent,
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
