"""Enter what a breeding made into the registry: specialists, their evaluations, and the promotion of a winner."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from breeder.candidates import Bred
from breeder.dataset import Dataset
from breeder.deps import Deps
from breeder.gate import GateResult
from breeder.margin import look_of
from breeder.mining import mine
from breeder.templates import likenesses
from registry.entities import (
    Evaluation,
    Promotion,
    PromotionAction,
    Purpose,
    Specialist,
    SpecialistKind,
    Verdict,
    Workflow,
)
from registry.prompting import Prompt
from router.likeness import write_likeness

_MOST_FINGERPRINTS = 256
_STRANGERS = 100
_OWN_FILE = (SpecialistKind.MERGED, SpecialistKind.TABLE, SpecialistKind.LINEAR)


@dataclass(frozen=True, slots=True)
class Told:
    """What an evaluation record says; `holdout_digest` is empty where no holdout was looked at.

    `threshold` is the one that the result was measured at.
    """

    result: GateResult
    threshold: float
    holdout_digest: str
    engine_build: str
    tokens_per_second: float | None
    cost_usd: float | None


def enrol_workflow(deps: Deps, dataset: Dataset) -> None:
    """Make the workflow known to the router, with the templates that its prompts follow; a known one stays known."""
    learnt, calibration = ([row.prompt for row in dataset.rows[name]] for name in ("train", "calibration"))
    likeness = likenesses(learnt, calibration, strangers(deps, dataset.workflow))
    known = next((one for one in deps.catalog.workflows() if one.name == dataset.workflow), None)
    marks = dict.fromkeys((*dataset.fingerprints, *(known.fingerprints if known else ())))
    fingerprints = tuple(marks)[:_MOST_FINGERPRINTS]
    deps.catalog.put_workflow(
        Workflow(dataset.workflow, fingerprints, dataset.scorer, deps.now(), write_likeness(likeness))
    )


def strangers(deps: Deps, workflow: str) -> list[Prompt]:
    """Return the newest prompts of all other workflows, which must not be taken for this one's."""
    purposes = {Purpose.USER, deps.settings.ledger.purpose}
    newest = (
        deps.ledger.interactions(workflow=other.name, purposes=purposes, limit=_STRANGERS, oldest_first=False)
        for other in deps.catalog.workflows()
        if other.name != workflow
    )
    return [row.prompt for interactions in newest for row in mine(interactions).rows]


def enrol(deps: Deps, dataset: Dataset, one: Bred, parents: tuple[str, ...]) -> Specialist:
    """Add a candidate as the workflow's next specialist version, or return the version that it already is."""
    specialist = _specialist(deps, dataset, one, deps.store.add)
    known = _known(deps, specialist)
    if known is None:
        source = deps.store.add(one.descendant.training.folder) if one.descendant else None
        known = replace(specialist, parents=parents, adapter_source_sha256=source)
        deps.catalog.add_specialist(known)
    return known


def judged_at(deps: Deps, dataset: Dataset, breeding: str, one: Bred) -> int | None:
    """Return the look at which this breeding has judged this candidate, None where it is not on record."""
    known = _known(deps, _specialist(deps, dataset, one, _digest))
    if known is None:
        return None
    for told in deps.catalog.evaluations(known.name):
        if told.evaluation_id == _evaluation_id(breeding, known) and told.alpha_spent > 0:
            return look_of(one.recipe.gate.alpha, told.alpha_spent)
    return None


def _specialist(deps: Deps, dataset: Dataset, one: Bred, digest: Callable[[Path], str]) -> Specialist:
    """Return a candidate as the workflow's next version, without what only its record needs."""
    candidate = one.measured.candidate
    shared = None if candidate.kind in _OWN_FILE else one.base
    return Specialist(
        workflow=dataset.workflow,
        version=deps.catalog.next_version(dataset.workflow),
        kind=candidate.kind,
        base_sha256=shared.sha256 if shared else digest(candidate.base),
        created_at_utc=deps.now(),
        adapter_sha256=digest(one.descendant.adapter.path) if one.descendant else None,
        examples=candidate.stack.examples,
        trim=candidate.stack.trim,
        threshold=one.measured.threshold.value,
        max_tokens=candidate.stack.max_tokens,
        grammar=candidate.stack.grammar,
        generation=one.generation,
        recipe_digest=one.recipe.digest,
        dataset_digest=dataset.digest,
        template_digest=one.base.template_digest if one.base else "",
        quantization=one.quantization,
        mlflow_run_id=one.tracked.run_id,
    )


def _known(deps: Deps, specialist: Specialist) -> Specialist | None:
    """Return the version of the workflow that answers as this one does, and when."""
    return next((old for old in deps.catalog.specialists(specialist.workflow) if _same(old, specialist)), None)


def _same(old: Specialist, new: Specialist) -> bool:
    """Say whether a candidate is enrolled already: all that decides what it answers, and when, is equal."""

    def identity(one: Specialist) -> tuple[object, ...]:
        files = one.kind, one.base_sha256, one.adapter_sha256
        stack = one.examples, one.trim, one.threshold, one.max_tokens, one.grammar
        return *files, *stack, one.dataset_digest, one.recipe_digest

    return identity(old) == identity(new)


def _evaluation_id(breeding: str, specialist: Specialist) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{breeding}:{specialist.name}"))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
                threshold=measured.threshold.value,
                holdout_digest=self.dataset.digest if measured.judged else "",
                engine_build=measured.engine_build,
                tokens_per_second=measured.tokens_per_second,
                cost_usd=None if self.names else self.cost_usd,
            )
            identity, expires_days = _evaluation_id(self.breeding, specialist), one.recipe.gate.expires_days
            self.names[one.name] = specialist.name
            self._evaluations[one.name] = record_evaluation(self.deps, specialist, told, expires_days, identity)

    def promote(self, one: Bred) -> bool:
        """Make an entered candidate the champion if it passed, and say whether it is."""
        specialist = self.deps.catalog.specialist(self.names[one.name])
        return promote_winner(self.deps, specialist, self._evaluations[one.name], by="breed") is not None


def standing_pass(told: Sequence[Evaluation]) -> Evaluation | None:
    """Return the newest of a specialist's evaluations if it passed: an older pass does not outlive a later failure."""
    return told[-1] if told and told[-1].verdict is Verdict.PASS else None


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
        threshold=told.threshold,
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
