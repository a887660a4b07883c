"""Judge an enrolled specialist against the cloud again, on every task that it was neither trained nor calibrated on."""

from __future__ import annotations

import hashlib

from breeder.answering import Stack
from breeder.baseline import label_rows
from breeder.breeding import mine_workflow
from breeder.dataset import load
from breeder.deps import Deps
from breeder.enrolment import record_evaluation
from breeder.gate import judge
from breeder.labelling import pair
from breeder.measuring import Bench, Candidate, Told, answer_tasks, speed
from breeder.recipe import Recipe
from breeder.run_folder import exclusive
from registry.entities import Evaluation
from registry.errors import DataError


def evaluate(deps: Deps, name: str, recipe: Recipe) -> Evaluation:
    """Measure the cloud and the specialist afresh, judge, and record; moves no champion.

    Raises:
        NotFoundError: no such specialist; DataError: the ledger has no task that it has not been bred on.
    """
    specialist = deps.catalog.specialist(name)
    dataset = load(deps.home.datasets / specialist.dataset_digest[:16])
    seen = {row.prompt for part in ("train", "calibration") for row in dataset.rows[part]}
    with exclusive(deps.home.runs, specialist.workflow) as folder:
        fresh = [row for row in mine_workflow(deps, specialist.workflow).rows if row.prompt not in seen]
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
        stack = Stack(specialist.trim, specialist.max_tokens, specialist.examples, adapter)
        candidate = Candidate(name, specialist.kind, deps.store.verified_path(specialist.base_sha256), stack)
        answers, build = answer_tasks(bench, candidate, labels.tasks, deps.report)
        outcomes = pair(labels.tasks, answers, dataset.scorer, specialist.threshold)
        result = judge(outcomes, bench.gate, bench.look, len(rows) - len(outcomes))
        told = Told(result, ids, build, speed(answers), judged=True, cost_usd=labels.cost_usd)
        return record_evaluation(deps, specialist, told, recipe.gate.expires_days, deps.new_id())
