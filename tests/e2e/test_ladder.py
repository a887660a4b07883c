"""The simple rungs in the whole loop: bred from real traffic, served by the real daemon, judged again, rolled back."""

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
from registry.entities import Lane, Purpose, SpecialistKind

_DESKS = {"pump": "water", "valve": "water", "cable": "power", "socket": "power", "window": "frame", "hinge": "frame"}
RECIPE = Recipe(name="ladder", data={"minimum_rows": 100, "holdout_share": 0.4})


def desk_tasks(split: str, count: int, seed: int) -> tuple[RehearsalTask, ...]:
    rng = random.Random(seed)
    things = [rng.choice(sorted(_DESKS)) for _ in range(count)]
    return tuple(
        RehearsalTask(
            workload="desk",
            id=f"{split}{number}",
            prompt=f"Which desk repairs it?\nThing: {thing} {rng.randrange(10**6):06}",
            reference=_DESKS[thing],
            split=split,
        )
        for number, thing in enumerate(things)
    )


def shelf_tasks(split: str, count: int, things: range, seed: int) -> tuple[RehearsalTask, ...]:
    """Return tasks that come again and again, each with an answer of its own."""
    rng = random.Random(seed)
    return tuple(
        RehearsalTask(
            workload="shelf",
            id=f"{split}{number}",
            prompt=f"Where does it lie?\nPart: {thing}",
            reference=f"hall {thing % 7}, shelf {thing * 37 % 1000}",
            split=split,
        )
        for number, thing in enumerate(rng.choice(things) for _ in range(count))
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, RehearsalOutcome]]:
    workloads = [
        Workload("desk", desk_tasks("train", 300, 1), desk_tasks("test", 30, 2)),
        Workload("shelf", shelf_tasks("train", 700, range(250), 1), shelf_tasks("test", 40, range(200, 300), 2)),
    ]
    plan = Plan(cloud_accuracy=1.0)
    with (
        tempfile.TemporaryDirectory(prefix="mb-") as sockets,
        staged(
            tmp_path_factory.mktemp("home"), workloads, plan, Path(sockets), lambda line: None, latency_s=0
        ) as stage,
    ):
        yield stage, rehearse(stage.deps, workloads, plan, RECIPE, stage.router_url, stage.cloud_url)


def call(stage: Stage, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(stage.deps.home.data.parent), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_closed_set_is_won_by_the_linear_rung_and_tasks_that_come_again_by_the_table(
    played: tuple[Stage, RehearsalOutcome],
) -> None:
    desk, shelf = played[1].workloads

    assert (desk.verdict, desk.kind) == ("pass", SpecialistKind.LINEAR), desk.reason
    assert (shelf.verdict, shelf.kind) == ("pass", SpecialistKind.TABLE), shelf.reason
    assert (desk.accuracy_local, shelf.accuracy_local) == (1.0, 1.0)
    assert desk.share_local > 0.8
    assert 0.3 < shelf.share_local < 0.7
    assert shelf.accuracy_served == 1.0


def test_a_simple_rung_is_a_specialist_with_one_file_and_runs_in_mlflow(
    played: tuple[Stage, RehearsalOutcome],
) -> None:
    from mlflow import MlflowClient

    stage, _ = played
    champion = stage.deps.catalog.champion("desk")
    assert champion is not None
    made = champion.specialist
    assert (made.adapter_sha256, made.template_digest, made.trim.prefix) == (
        None,
        "",
        "Which desk repairs it?\nThing: ",
    )
    assert stage.deps.store.verified_path(made.base_sha256).stat().st_size < 5e6
    client = MlflowClient(f"sqlite:///{stage.deps.home.mlruns / 'mlflow.db'}")
    run = client.get_run(made.mlflow_run_id or "")
    assert (run.info.run_name, run.data.tags["verdict"]) == ("linear", "pass")
    assert run.data.metrics["margin_lower"] == pytest.approx(champion.evaluation.margin_lower)


def test_no_base_was_made_for_them(played: tuple[Stage, RehearsalOutcome]) -> None:
    assert not (played[0].deps.home.runs / "bases").exists()


def ask(stage: Stage, task: RehearsalTask, *, stream: bool) -> tuple[str, str]:
    with openai.OpenAI(base_url=f"{stage.router_url}/v1", api_key="any", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="gpt-5.4", messages=task.messages(), stream=stream)
        answer = raw.parse()
        text = (
            "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
            if stream
            else answer.choices[0].message.content
        )
    return text, raw.headers["x-modelbreeder-lane"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_unmodified_client_is_served_by_the_rung_that_knows_and_by_the_cloud_where_it_does_not(
    played: tuple[Stage, RehearsalOutcome], stream: bool
) -> None:
    stage, _ = played
    known = shelf_tasks("train", 1, range(250), 1)[0]
    unknown = next(task for task in shelf_tasks("test", 40, range(200, 300), 2) if task.prompt[-3:] >= "250")

    assert ask(stage, desk_tasks("test", 30, 2)[0], stream=stream)[1] == Lane.LOCAL_FAST
    assert ask(stage, known, stream=stream) == (known.reference, Lane.LOCAL_FAST)
    assert ask(stage, unknown, stream=stream) == (unknown.reference, Lane.CLOUD_ESCALATION)


def test_a_breeding_killed_while_it_judges_goes_on_and_pays_for_nothing_twice(
    played: tuple[Stage, RehearsalOutcome],
) -> None:
    stage, _ = played
    changes = ("seed=5", "data.minimum_rows=100", "data.holdout_share=0.4")
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(stage.deps.home.data.parent), "breed", "desk"]
    command += [*(part for change in changes for part in ("--set", change)), "--json"]
    before = stage.deps.ledger.count(workflow="desk", purposes={Purpose.EVALUATION})

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        assert any("judging linear on the holdout" in line for line in first.stderr)
        first.kill()
    paid = stage.deps.ledger.count(workflow="desk", purposes={Purpose.EVALUATION})

    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "asking the cloud" not in again.stderr
    assert json.loads(again.stdout)["kind"] == "linear"
    assert stage.deps.ledger.count(workflow="desk", purposes={Purpose.EVALUATION}) == paid > before
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(third.stdout) == json.loads(again.stdout)


@pytest.mark.parametrize(("workflow", "alpha"), [("desk", 0.05 / 8), ("shelf", 0.05 / 4)])
def test_it_is_shown_evaluated_rolled_back_and_promoted_like_any_specialist(
    played: tuple[Stage, RehearsalOutcome], workflow: str, alpha: float
) -> None:
    stage, _ = played
    name = f"{workflow}@1"

    shown = json.loads(call(stage, "specialists", "show", name, "--json").stdout)
    assert shown["evaluations"][0]["verdict"] == "pass"
    assert [one["kind"] for one in json.loads(call(stage, "specialists", "lineage", name, "--json").stdout)] == [
        shown["specialist"]["kind"]
    ]
    again = call(stage, "evaluate", name, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)
    assert told["coverage"] > 0.5
    assert told["alpha_spent"] == alpha
    assert call(stage, "rollback", workflow, "--reason", "try").returncode == 0
    assert stage.deps.catalog.champion(workflow) is None
    assert call(stage, "promote", name, "--reason", "back").returncode == 0
    champion = stage.deps.catalog.champion(workflow)
    assert champion is not None
    assert champion.specialist.name == name
