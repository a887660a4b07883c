"""A whole turn of the loop on tasks with secrets, by the real command: no file has one, none is open to others."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.leaks.planting import ALNUM, some
from tests.leaks.searching import leaks_below, leaks_in
from tests.router.daemon import environment

_DESKS = {"pump": "water", "valve": "water", "cable": "power", "socket": "power", "window": "frame", "hinge": "frame"}
_RECIPE = """
quantizations = []
[training]
epochs = 6
batch_size = 16
[lora]
rank = 16
alpha = 32
"""


@dataclass
class Played:
    """What a rehearsal left, and what was in its tasks."""

    root: Path
    said: str = ""
    outcome: dict[str, object] = field(default_factory=dict)
    planted: dict[str, str] = field(default_factory=dict)

    def value(self, place: str, value: str) -> str:
        """Return what stands at a place, the first value that was made for it."""
        return self.planted.setdefault(place, value)

    def task(self, rng: random.Random, split: str, number: int) -> dict[str, str]:
        """Return a task that names its asker, with a key; some of its answers are secrets too."""
        asker, thing = number % 8, rng.choice(sorted(_DESKS))
        mail = self.value(f"address {asker}", f"{some(rng, ALNUM, 12)}@{some(rng, ALNUM, 9)}.io".lower())
        key = self.value(f"key {asker}", f"ghp_{some(rng, ALNUM, 36)}")
        prompt = f"Which desk repairs it?\nThing: {thing} {rng.randrange(10**6):06}, asked by {mail}, token {key}"
        reference = _DESKS[thing]
        if number % 40 == 39:
            reference = self.value(f"answer {number % 3}", f"sk_live_{some(rng, ALNUM, 24)}")
        return {"workload": "desk", "id": f"{split}{number}", "prompt": prompt, "reference": reference, "split": split}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Give what a rehearsal left that was started with umask 0."""
    played = Played(tmp_path_factory.mktemp("played"))
    rng = random.Random(7)
    parts = ("train", 400), ("test", 40)
    tasks = [played.task(rng, split, number) for split, count in parts for number in range(count)]
    given = tmp_path_factory.mktemp("given")
    (given / "desk.jsonl").write_text("".join(f"{json.dumps(task)}\n" for task in tasks), encoding="utf-8")
    (given / "recipe.toml").write_text(_RECIPE, encoding="utf-8")
    elsewhere = ("TMPDIR", "XDG_RUNTIME_DIR", "HOME", "XDG_CACHE_HOME")
    places = {name: str(played.root / name.lower()) for name in elsewhere}
    for folder in places.values():
        Path(folder).mkdir(mode=0o700)
    command = [sys.executable, "-P", "-m", "breeder.cli", "--home", str(played.root / "new" / "home"), "rehearse"]
    options = ["--rung", "few-shot", "--recipe", str(given / "recipe.toml"), "--feedback", "0.5", "--json"]
    before = os.umask(0)
    try:
        done = subprocess.run(
            [*command, str(given / "desk.jsonl"), *options],
            capture_output=True,
            text=True,
            check=False,
            env=environment(**places, HF_HUB_OFFLINE="1"),
        )
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    played.said, played.outcome = done.stdout + done.stderr, json.loads(done.stdout)
    return played


@pytest.mark.slow
def test_a_whole_loop_leaves_no_planted_value_in_any_file_or_line(played: Played):
    assert leaks_in(played.said.encode(), played.planted) == []
    assert leaks_below(played.root, played.planted) == []


@pytest.mark.slow
def test_a_whole_loop_leaves_nothing_that_others_can_read(played: Played):
    left = [path for path in (played.root / "new").rglob("*") if not path.is_symlink()]
    assert [str(path) for path in (played.root / "new", *left) if path.stat().st_mode & 0o077] == []
    names = {path.name for path in left}
    # It was a whole one: ledger, frozen dataset, training and tracking have left their files.
    assert {"ledger.db", "mlflow.db", "result.json", "router.log"} <= names
    assert any(path.parent.name == "datasets" for path in left)
