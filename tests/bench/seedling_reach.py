"""`make bench-seedling`: what the rungs reach on the test splits of public workloads, on the shipped seedling.

One recipe for all. The threshold for "95 %" is chosen on a slice of the training rows, so the share served and its
accuracy on the test tasks are what a user would have seen. Scored by the `score.py` that lies beside the workloads.
A recipe is chosen with `--develop`, which leaves the test tasks alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import importlib.util
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from breeder.answering import Stack, answer_all
from breeder.bases import Base, prepare_base
from breeder.dataset import Dataset
from breeder.descendants import make_descendant
from breeder.grammars import dataset_grammar
from breeder.labelling import LocalAnswer
from breeder.mining import Row, Tier
from breeder.progress import Paced
from breeder.recipe import Recipe, load_recipe
from breeder.rungs.linear import fit_linear, why_no_labels
from breeder.rungs.rung_file import ask_rung, write_rung
from breeder.rungs.table import fit_table
from breeder.seen_text import few_shot_examples, longest_answer
from breeder.shipped import shipped
from breeder.templates import constant_trim, known_fingerprints
from registry.artifacts import ArtifactStore
from registry.entities import PromptTrim
from registry.prompting import Prompt
from registry.settings import LocalSettings
from router.engines import engine_for
from router.rungs.features import seen

Item: TypeAlias = Mapping[str, str]
Correct: TypeAlias = Callable[[str, str, Item], bool]
_WANTED = 0.95
_CALIBRATION = 200
_RUNGS = ("table", "linear", "few-shot", "lora")


@dataclass(frozen=True, slots=True)
class Reached:
    """What one rung did on the test tasks; `coverage` and `served_accuracy` are at the threshold for 95 %."""

    accuracy: float
    coverage: float
    served_accuracy: float
    seconds: float


def main() -> None:
    """Measure each workload in a process of its own, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="workloads; default: all")
    parser.add_argument("--set", action="append", default=[], help="override of the recipe, KEY.KEY=VALUE")
    parser.add_argument("--rung", action="append", choices=_RUNGS, help="a rung to measure; default: all")
    parser.add_argument("--develop", type=int, help="measure on so many training rows instead of the test tasks")
    parser.add_argument("--rows", type=int, help="train on at most so many rows")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    data = os.environ.get("MODELBREEDER_DATA")
    if not data:
        sys.exit("MODELBREEDER_DATA names no folder; it needs workloads/*.jsonl.gz and score.py")
    if asked.one:
        sys.stdout.write(json.dumps(_measure(Path(data), asked.names[0], asked)))
        return
    names = asked.names or sorted(path.name.split(".")[0] for path in Path(data, "workloads").glob("*.jsonl.gz"))
    say = sys.stdout.write
    say("| workload | table | linear | few-shot | LoRA | LoRA serves at 95 % | right of these | minutes | peak |\n")
    say("|---|---|---|---|---|---|---|---|---|\n")
    options = [word for word in sys.argv[1:] if word not in asked.names]
    for name in names:
        command = [sys.executable, "-P", "-m", "tests.bench.seedling_reach", "--one", name, *options]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        say(_line(name, json.loads(done.stdout)) + "\n")
        sys.stdout.flush()


def _line(name: str, found: Mapping[str, Mapping[str, float]]) -> str:
    shown = [f"{found[rung]['accuracy']:.3f}" if rung in found else "-" for rung in _RUNGS]
    lora, process = found.get("lora"), found["process"]
    served = f"{lora['coverage']:.0%} | {_share(lora['served_accuracy'])}" if lora else "- | -"
    return f"| {name} | {' | '.join(shown)} | {served} | {process['seconds'] / 60:.1f} | {process['peak_mb']:,.0f} MB |"


def _share(value: float) -> str:
    """Show a share, none where nothing was served."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def _measure(data: Path, name: str, asked: argparse.Namespace) -> dict[str, dict[str, float]]:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    started = time.monotonic()
    recipe = load_recipe("seedling-lora", [shipped("recipes")], asked.set)
    with tempfile.TemporaryDirectory() as folder:
        work = _split(_lines(data, name), asked.develop, asked.rows)
        trial = _Trial(name, work, _scorer(data), recipe, Path(folder))
        found = {rung: asdict(reached) for rung, reached in trial.rungs(asked.rung or _RUNGS)}
    # Child engines hold a few tens of megabytes and are not counted.
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**found, "process": {"seconds": time.monotonic() - started, "peak_mb": peak_mb}}


@dataclass(frozen=True, slots=True)
class _Work:
    """The lines of one workload by what they are for."""

    train: Sequence[Item]
    calibration: Sequence[Item]
    measured: Sequence[Item]


def _split(items: Sequence[Item], develop: int | None, most_rows: int | None) -> _Work:
    """Split the lines, which come in random order."""
    train = [item for item in items if item["split"] == "train"]
    measured = [item for item in items if item["split"] == "test"]
    if develop:
        train, measured = train[:-develop], train[-develop:]
    held = min(_CALIBRATION, len(train) // 6)
    return _Work(train[:-held][:most_rows], train[-held:], measured)


class _Trial:
    """One workload: its dataset, the base, and the rungs that are measured on it."""

    def __init__(self, name: str, work: _Work, correct: Correct, recipe: Recipe, folder: Path) -> None:
        self.name, self.work, self.correct, self.recipe, self.folder = name, work, correct, recipe, folder
        self.dataset = _dataset(name, work)
        self.tasks = [_prompt(item) for item in (*work.calibration, *work.measured)]

    def rungs(self, wanted: Sequence[str]) -> Iterable[tuple[str, Reached]]:
        """Yield what each wanted rung that applies has reached."""
        rows, trim = self.dataset.rows["train"], self.dataset.trim
        started = time.monotonic()
        if "table" in wanted:
            path = self.folder / "table.safetensors"
            write_rung(path, *fit_table(rows, trim))
            yield "table", self._reached(ask_rung(path, trim, self.tasks), started)
        started = time.monotonic()
        if "linear" in wanted and not why_no_labels([row.answer for row in rows]):
            fitted = fit_linear([(seen(row.prompt, trim), row.answer) for row in rows], self.recipe.seed)
            path = self.folder / "linear.safetensors"
            write_rung(path, fitted.record, fitted.arrays)
            yield "linear", self._reached(ask_rung(path, trim, self.tasks), started)
        base = prepare_base(self.recipe, ArtifactStore(self.folder / "store"), self.folder / "bases", _tell)
        limit = longest_answer(base, self.dataset, self.recipe.evaluation.maximum_answer_tokens)
        grammar, started = dataset_grammar(self.dataset), time.monotonic()
        if "few-shot" in wanted:
            shots = few_shot_examples(self.dataset, self.recipe.evaluation.few_shot_examples, self.recipe.seed)
            yield "few-shot", self._reached(self._ask(base, Stack(trim, limit, shots, grammar=grammar)), started)
        if "lora" not in wanted:
            return
        started = time.monotonic()
        stack = Stack(trim, limit, grammar=grammar)
        made = make_descendant("lora", self.recipe, self.dataset, base, stack, self.folder / "lora", _tell, "reach")
        served = Stack(trim, limit, adapter=made.adapter.path, grammar=grammar)
        yield "lora", self._reached(self._ask(base, served), started)

    def _ask(self, base: Base, stack: Stack) -> list[LocalAnswer]:
        async def ask() -> list[LocalAnswer]:
            async with engine_for(base.gguf, LocalSettings(), self.folder) as engine:
                return await answer_all(engine, stack, self.tasks, Paced(_tell))

        return asyncio.run(ask())

    def _reached(self, answers: Sequence[LocalAnswer], started: float) -> Reached:
        items = (*self.work.calibration, *self.work.measured)
        right = [self.correct(self.name, answer.text, item) for answer, item in zip(answers, items, strict=True)]
        scored = [(answer.confidence, good) for answer, good in zip(answers, right, strict=True)]
        held = len(self.work.calibration)
        known, fresh = scored[:held], scored[held:]
        threshold = _threshold(known)
        served = [good for confidence, good in fresh if confidence >= threshold]
        return Reached(
            accuracy=sum(good for _, good in fresh) / len(fresh),
            coverage=len(served) / len(fresh),
            served_accuracy=sum(served) / len(served) if served else math.nan,
            seconds=time.monotonic() - started,
        )


def _threshold(scored: Sequence[tuple[float, bool]]) -> float:
    """Return the confidence down to which at least 95 % are right, infinite where there is none."""
    best, good = math.inf, 0
    for served, (confidence, right) in enumerate(sorted(scored, reverse=True), 1):
        good += right
        if good >= _WANTED * served and math.isfinite(confidence):
            best = confidence
    return best


def _dataset(name: str, work: _Work) -> Dataset:
    train = _rows(work.train)
    prompts = [row.prompt for row in train]
    trim: PromptTrim = constant_trim(prompts)
    return Dataset(
        workflow=name,
        digest="",
        folder=Path(),
        scorer="text",
        trim=trim,
        fingerprints=known_fingerprints(prompts),
        rows={"train": train, "calibration": _rows(work.calibration), "holdout": _rows(work.measured)},
        dropped={},
    )


def _rows(items: Sequence[Item]) -> tuple[Row, ...]:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    return tuple(
        Row(item["id"], first + timedelta(seconds=n), _prompt(item), item["reference"], Tier.CORRECTED, None, "", "")
        for n, item in enumerate(items)
    )


def _prompt(item: Item) -> Prompt:
    return Prompt(item.get("system") or "", item["prompt"])


def _lines(data: Path, name: str) -> list[Item]:
    with gzip.open(data / "workloads" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _scorer(data: Path) -> Correct:
    spec = importlib.util.spec_from_file_location("workload_score", data / "score.py")
    if spec is None or spec.loader is None:
        sys.exit(f"{data / 'score.py'} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    correct: Correct = module.correct
    return correct


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
