"""A home with traffic that was really bred: ledger, dataset, baseline, specialists, a champion, MLflow's runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from breeder.breeding import breed, freeze_workflow
from breeder.dataset import Dataset, write_atomically
from breeder.deps import Deps, open_deps
from breeder.recipe import DataPart, Recipe
from breeder.rung import Rung
from registry.entities import Interaction
from registry.home import Home
from registry.settings import Settings
from tests.breeder.makers import interaction

WORKFLOW = "desk"
RECIPE = Recipe(name="test", data=DataPart(minimum_rows=40, holdout_share=0.4, calibration_share=0.25))
DESKS = {"pump": "water", "valve": "water", "cable": "power", "socket": "power"}
SECRET = "Zedekiah Quux"
SECRET_PLACE = 30


@contextmanager
def opened_home(root: Path) -> Iterator[Deps]:
    with open_deps(Home.at(root), Settings(), root, lambda line: None) as deps:
        yield deps


def traffic(count: int = 300, workflow: str = WORKFLOW, secret: str = SECRET) -> list[Interaction]:
    """Return tasks that a linear classifier can learn; one of the training slice quotes the secret."""
    rng, found = random.Random(7), []
    for number in range(count):
        thing = rng.choice(sorted(DESKS))
        whose = f" of {secret}" if number == SECRET_PLACE else ""
        one = interaction(number, f"Which desk?\nThing: {thing} {rng.randrange(10**6)}{whose}", DESKS[thing])
        found.append(replace(one, intent=replace(one.intent, envelope=replace(one.intent.envelope, workflow=workflow))))
    return found


def record(deps: Deps, interactions: list[Interaction]) -> None:
    for one in interactions:
        deps.ledger.append(one.intent, *filter(None, (one.outcome, one.feedback)))


@dataclass(frozen=True)
class BredHome:
    """What was bred, and whose name one of the rows quotes."""

    dataset: Dataset
    specialist: str
    forgotten_id: str = f"i{SECRET_PLACE:05}"


def breed_home(deps: Deps, *, start: Rung = Rung.LINEAR) -> BredHome:
    """Breed what is recorded; the cloud's baseline, which was paid before, is always right."""
    dataset = freeze_workflow(deps, WORKFLOW, RECIPE)
    run = deps.home.runs / f"breed-{WORKFLOW}" / f"{dataset.digest[:8]}-{RECIPE.digest[:8]}-1-{start}"
    run.mkdir(parents=True, exist_ok=True)
    rows = {row.interaction_id: row for part in ("calibration", "holdout") for row in dataset.rows[part]}
    rows |= {row.interaction_id: row for row in dataset.repeats}
    answers = [
        orjson.dumps(
            {"task": row.interaction_id, "text": row.answer, "cost_usd": 0.0}, option=orjson.OPT_APPEND_NEWLINE
        )
        for row in rows.values()
        for _ in range(RECIPE.evaluation.cloud_samples)
    ]
    write_atomically(run / "baseline.jsonl", b"".join(answers))
    result = breed(deps, WORKFLOW, RECIPE, start=start, promote=True)
    assert result.promoted, result
    return BredHome(dataset, result.specialist)


def files_with(root: Path, *texts: str) -> list[str]:
    """Return the files below a folder that hold any of some texts, in any letter case."""
    wanted = [text.lower().encode() for text in texts]
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and any(text in path.read_bytes().lower() for text in wanted)
    )
