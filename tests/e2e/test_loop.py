"""The whole loop on the smallest real parts: daemon, ledger, training, GGUF, engine, gate, registry, MLflow."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from breeder.recipe import Recipe
from breeder.rehearsal.outcome import RehearsalOutcome
from breeder.rehearsal.rehearse import Plan, rehearse
from breeder.rehearsal.staging import Stage, staged
from breeder.rehearsal.tasks import RehearsalTask, Workload
from breeder.rung import Rung
from registry.entities import Lane, PromotionAction, Purpose, SpecialistKind

_DESKS = {"pump": "water", "valve": "water", "cable": "power", "socket": "power", "window": "frame", "hinge": "frame"}
RECIPE = Recipe(name="e2e", training={"epochs": 10, "batch_size": 16}, lora={"rank": 16, "alpha": 32}, quantizations=())


def desk_tasks(split: str, count: int, seed: int) -> tuple[RehearsalTask, ...]:
    rng = random.Random(seed)
    tasks = []
    for number in range(count):
        thing = rng.choice(sorted(_DESKS))
        prompt = f"Which desk repairs it?\nThing: {thing} {rng.randrange(10**6):06}"
        tasks.append(
            RehearsalTask(workload="desk", id=f"{split}{number}", prompt=prompt, reference=_DESKS[thing], split=split)
        )
    return tuple(tasks)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, RehearsalOutcome]]:
    workload = Workload("desk", desk_tasks("train", 400, 1), desk_tasks("test", 40, 2))
    plan = Plan(feedback=0.5, rung=Rung.FEW_SHOT)
    with (
        tempfile.TemporaryDirectory(prefix="mb-") as sockets,
        staged(tmp_path_factory.mktemp("home"), [workload], plan, Path(sockets), lambda line: None) as stage,
    ):
        yield stage, rehearse(stage.deps, [workload], plan, RECIPE, stage.router_url, stage.cloud_url)


def test_a_descendant_is_bred_passes_and_serves(played: tuple[Stage, RehearsalOutcome]):
    stage, outcome = played
    desk = outcome.workloads[0]
    assert (desk.verdict, desk.kind) == ("pass", SpecialistKind.LORA), desk.reason
    assert desk.share_local > 0.5
    assert desk.accuracy_local is not None
    assert desk.accuracy_local >= 0.95
    assert desk.cost_usd is not None
    assert desk.cost_all_cloud_usd is not None
    assert desk.cost_usd < desk.cost_all_cloud_usd


def test_the_registry_knows_lineage_evaluation_and_promotion(played: tuple[Stage, RehearsalOutcome]):
    stage, outcome = played
    champion = stage.deps.catalog.champion("desk")
    assert champion is not None
    assert champion.specialist.name == outcome.workloads[0].specialist
    assert champion.evaluation is not None
    assert champion.evaluation.margin_lower >= -0.05
    assert champion.specialist.trim.prefix == "Which desk repairs it?\nThing: "
    assert stage.deps.store.verified_path(champion.specialist.adapter_sha256 or "").stat().st_size > 0


def test_the_breeding_is_a_tree_of_mlflow_runs_with_losses(played: tuple[Stage, RehearsalOutcome]):
    from mlflow import MlflowClient

    stage, _ = played
    client = MlflowClient(f"sqlite:///{stage.deps.home.mlruns / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("modelbreeder")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    names = {run.info.run_id: run.info.run_name for run in runs}
    children = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    parents = {name: names[run.data.tags["mlflow.parentRunId"]] for name, run in children.items()}
    rungs, generation = "desk rungs", "desk generation 0"
    assert parents == {"base": rungs, "few-shot base": rungs, "descendant 0.0": generation}
    losses = client.get_metric_history(children["descendant 0.0"].info.run_id, "loss")
    assert losses[-1].value < losses[0].value / 2
    assert children["descendant 0.0"].data.tags["verdict"] == "pass"
    assert children["descendant 0.0"].data.metrics["coverage"] > 0.3
    assert "coverage" not in children["base"].data.metrics


def test_an_unmodified_client_that_names_a_vendors_model_is_served_locally_until_the_rollback(
    played: tuple[Stage, RehearsalOutcome],
):
    stage, _ = played
    catalog = stage.deps.catalog
    task = desk_tasks("test", 40, 2)[0]

    def ask(stream: bool) -> tuple[str, str]:
        with openai.OpenAI(base_url=f"{stage.router_url}/v1", api_key="any", max_retries=0) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="gpt-5.4", messages=task.messages(), stream=stream
            )
            answer = raw.parse()
            text = (
                "".join(c.choices[0].delta.content or "" for c in answer if c.choices)
                if stream
                else answer.choices[0].message.content
            )
        return text, raw.headers["x-modelbreeder-lane"]

    assert ask(stream=False) == (task.reference, Lane.LOCAL_FAST)
    assert ask(stream=True) == (task.reference, Lane.LOCAL_FAST)
    catalog.rollback("desk", by="test", reason="try", at=stage.deps.now())
    assert ask(stream=False)[1] == Lane.CLOUD_ESCALATION
    assert [move.action for move in catalog.promotions("desk")] == [PromotionAction.PROMOTE, PromotionAction.ROLLBACK]


def test_a_breeding_killed_in_training_goes_on_and_pays_for_no_answer_twice(
    played: tuple[Stage, RehearsalOutcome], tmp_path: Path
):
    stage, _ = played
    recipe = tmp_path / "again.toml"
    recipe.write_text("seed = 1\nquantizations = []\n[training]\nepochs = 12\ncheckpoint_seconds = 0.3\n")
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(stage.deps.home.data.parent)]
    command += ["breed", "desk", "--rung", "lora", "--recipe", str(recipe), "--json"]

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        assert any(line.startswith("  step ") for line in first.stderr)
        first.kill()
    paid = stage.deps.ledger.count(workflow="desk", purposes={Purpose.EVALUATION})

    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "going on from step" in again.stderr
    assert json.loads(again.stdout)["specialist"].startswith("desk@")
    assert stage.deps.ledger.count(workflow="desk", purposes={Purpose.EVALUATION}) == paid
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(third.stdout) == json.loads(again.stdout)


def test_the_ledger_verifies_after_all_that(played: tuple[Stage, RehearsalOutcome]):
    stage, _ = played
    report = stage.deps.ledger.verify()
    assert report.problems == ()
    assert report.events > 800
