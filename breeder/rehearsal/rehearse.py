"""A rehearsal from files to table: traffic, feedback and breeding for some days, then the test tasks."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from breeder.breeding import breed
from breeder.deps import Deps
from breeder.progress import Paced
from breeder.recipe import Recipe
from breeder.rehearsal.outcome import Bred, RehearsalOutcome, WorkloadOutcome, summarize
from breeder.rehearsal.tasks import RehearsalTask, Workload, as_sent
from breeder.rehearsal.traffic import give_feedback, play
from breeder.rung import Rung
from breeder.scorers import choose_scorer
from registry.entities import Lane, Purpose, Status
from registry.errors import ModelBreederError
from registry.own_secrets import secret_in
from router.access import ADMIN_FILE
from router.redaction.redactor import redactor_of


@dataclass(frozen=True, slots=True)
class Plan:
    """How a rehearsal is played."""

    cloud_accuracy: float = 0.95
    feedback: float = 0.3
    days: int = 1
    generations: int = 1
    rung: Rung = Rung.TABLE
    seed: int = 0


def rehearse(
    deps: Deps, workloads: Sequence[Workload], plan: Plan, recipe: Recipe, router_url: str, cloud_url: str
) -> RehearsalOutcome:
    """Play all workloads and return what moved; a workload that cannot be bred is reported, not fatal.

    `router_url` is the daemon's and `cloud_url` the stand-in cloud's, both without a path.
    """
    started = time.monotonic()
    rng = random.Random(plan.seed)
    bred = {workload.name: Bred(None, "no train lines", 0.0) for workload in workloads}
    for day in range(plan.days):
        for workload in workloads:
            tasks = _of_day(workload.train, day, plan.days)
            if tasks:
                deps.report(f"day {day + 1}: {len(tasks)} {workload.name} tasks through the router")
                asyncio.run(_live(router_url, workload, tasks, plan, rng, deps))
        for workload in workloads:
            if workload.train:
                bred[workload.name] = _breed(deps, workload.name, recipe, plan, bred[workload.name])
    rows = tuple(_test(deps, workload, bred[workload.name], router_url, cloud_url) for workload in workloads)
    return RehearsalOutcome(rows, time.monotonic() - started)


def _of_day(tasks: Sequence[RehearsalTask], day: int, days: int) -> Sequence[RehearsalTask]:
    return tasks[len(tasks) * day // days : len(tasks) * (day + 1) // days]


async def _live(
    url: str, workload: Workload, tasks: Sequence[RehearsalTask], plan: Plan, rng: random.Random, deps: Deps
) -> None:
    """Play a day's traffic and let the stand-in user judge a share of the answers."""
    paced = Paced(deps.report)
    served = await play(url, tasks, _scorer(workload), lambda done: paced(f"  {done}/{len(tasks)} answered"))
    judged = await give_feedback(url, secret_in(deps.home.data / ADMIN_FILE), served, plan.feedback, rng)
    local = sum(one.lane.startswith("local") for one in served)
    deps.report(f"  {len(served)} answered, {local} of them locally; the user judged {judged}")
    refused = [one for one in served if one.refusal]
    if refused:
        deps.report(f"  {len(refused)} were refused, the first: {refused[0].task.id}: {refused[0].refusal}")


def _breed(deps: Deps, workflow: str, recipe: Recipe, plan: Plan, before: Bred) -> Bred:
    started = time.monotonic()
    try:
        result = breed(deps, workflow, recipe, generations=plan.generations, start=plan.rung, promote=True)
    except ModelBreederError as error:
        deps.report(f"{workflow}: {error}")
        return Bred(before.result, str(error), before.seconds + time.monotonic() - started)
    deps.report(f"{workflow}: {result.verdict}: {result.reason}")
    return Bred(result, result.reason, before.seconds + time.monotonic() - started)


def _test(deps: Deps, workload: Workload, bred: Bred, router_url: str, cloud_url: str) -> WorkloadOutcome:
    """Play the test tasks through the router, and ask the cloud the same ones to know what it would have said."""
    deps.report(f"test: {len(workload.test)} {workload.name} tasks")
    scorer, before = _scorer(workload), deps.now()
    served = asyncio.run(play(router_url, workload.test, scorer))
    costs = _spent(deps, workload.name, before)
    redactor = redactor_of(deps.settings.redaction)
    direct = asyncio.run(play(cloud_url, [as_sent(task, redactor) for task in workload.test], scorer))
    return summarize(workload.name, bred, served, direct, costs)


def _scorer(workload: Workload) -> str:
    return choose_scorer([task.reference for task in (*workload.train, *workload.test)])


def _spent(deps: Deps, workflow: str, since: datetime) -> tuple[float | None, float | None]:
    """Return what the answers since then cost, and what they would have cost all from the cloud; None if unknown."""
    cost: float | None = 0.0
    all_cloud: float | None = 0.0
    for interaction in deps.ledger.interactions(workflow=workflow, purposes={Purpose.REHEARSAL}, since=since):
        outcome = interaction.outcome
        if outcome is None or outcome.status is not Status.OK:
            continue
        local = interaction.intent.decision.lane is not Lane.CLOUD_ESCALATION
        counterfactual = outcome.cloud_cost_usd if local else outcome.cost_usd
        cost = _plus(cost, 0.0 if local else outcome.cost_usd)
        all_cloud = _plus(all_cloud, counterfactual)
    return cost, all_cloud


def _plus(total: float | None, part: float | None) -> float | None:
    return None if total is None or part is None else total + part
