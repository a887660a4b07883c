"""Judge an enrolled specialist against the cloud again, on every task that it was neither trained nor calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from breeder.answering import Stack
from breeder.baseline import label_rows
from breeder.breeding import mine_workflow
from breeder.dataset import Dataset, load
from breeder.deps import Deps
from breeder.enrolment import Told, record_evaluation
from breeder.gate import judge
from breeder.labelling import pair
from breeder.measuring import Bench, Candidate, answer_tasks, speed
from breeder.mining import Mined, Row
from breeder.recipe import Recipe
from breeder.run_folder import exclusive
from breeder.rungs.table import judged_tasks
from registry.entities import Evaluation, Specialist, SpecialistKind
from registry.errors import DataError


def evaluate(deps: Deps, name: str, recipe: Recipe) -> Evaluation:
    """Measure the cloud and the specialist afresh, judge, and record; moves no champion.

    Raises:
        NotFoundError: no such specialist; DataError: the ledger has no task that it has not been bred on.
    """
    specialist = deps.catalog.specialist(name)
    dataset = load(deps.home.datasets / specialist.dataset_digest[:16])
    with exclusive(deps.home.runs, specialist.workflow) as folder:
        fresh = _fresh(specialist, dataset, mine_workflow(deps, specialist.workflow))
        rows = fresh[-recipe.data.maximum_holdout :]
        if not rows:
            raise DataError(f"the ledger has no task that {name} was not bred on; let the router serve more of it")
        ids = hashlib.sha256("".join(row.interaction_id for row in rows).encode()).hexdigest()
        cache = folder / f"evaluate-{name}-{ids[:8]}-{deps.catalog.looks(specialist.workflow)}.jsonl"
        labels = label_rows(deps, specialist.workflow, rows, dataset.scorer, recipe.evaluation.cloud_samples, cache)
        bench = Bench(
            calibration=(),
            holdout=labels.tasks,
            scorer=dataset.scorer,
            gate=recipe.gate.gate(),
            look=deps.catalog.looks(specialist.workflow),
            socket_dir=deps.socket_dir,
            local=deps.settings.local,
        )
        adapter = deps.store.verified_path(specialist.adapter_sha256) if specialist.adapter_sha256 else None
        stack = Stack(specialist.trim, specialist.max_tokens, specialist.examples, adapter, specialist.grammar)
        candidate = Candidate(name, specialist.kind, deps.store.verified_path(specialist.base_sha256), stack)
        answers, build = answer_tasks(bench, candidate, labels.tasks, deps.report)
        outcomes = pair(labels.tasks, answers, dataset.scorer, specialist.threshold)
        result = judge(outcomes, bench.gate, bench.look, len(rows) - len(outcomes))
        told = Told(result, specialist.threshold, ids, build, speed(answers), labels.cost_usd)
        return record_evaluation(deps, specialist, told, recipe.gate.expires_days, deps.new_id())


def _fresh(specialist: Specialist, dataset: Dataset, mined: Mined) -> Sequence[Row]:
    """Return the tasks that a specialist is judged on; a table's are all since its holdout began, repeats included."""
    if specialist.kind is SpecialistKind.TABLE:
        began = dataset.rows["holdout"][0].place
        return judged_tasks([row for row in (*mined.rows, *mined.repeats) if row.place >= began])
    known = {row.prompt for part in ("train", "calibration") for row in dataset.rows[part]}
    return [row for row in mined.rows if row.prompt not in known]
