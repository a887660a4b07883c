"""Breed generations on one bench: the rungs that need no training, then descendants, each measured alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from breeder.answering import Stack
from breeder.bases import Base
from breeder.dataset import Dataset, write_atomically
from breeder.descendants import Descendant, make_descendant, merged_ladder, population
from breeder.measuring import Bench, Candidate, Measured, finalist, measure
from breeder.progress import Report
from breeder.recipe import Recipe
from breeder.tracking import TrackedRun, Tracker
from registry.entities import PromptTrim, SpecialistKind


@dataclass(frozen=True, slots=True)
class Bred:
    """A measured candidate and where it comes from; `parents` are names of candidates."""

    measured: Measured
    recipe: Recipe
    generation: int = 0
    parents: tuple[str, ...] = ()
    descendant: Descendant | None = None
    quantization: str = ""
    mlflow_run_id: str | None = None

    @property
    def name(self) -> str:
        """The candidate's name within this breeding."""
        return self.measured.candidate.name


@dataclass(frozen=True, slots=True)
class Breeding:
    """What all candidates of one breeding share."""

    dataset: Dataset
    base: Base
    bench: Bench
    max_tokens: int
    shots: tuple[tuple[str, str], ...]
    folder: Path
    tracker: Tracker
    report: Report

    def breed(self, recipe: Recipe, generations: int) -> list[Bred]:
        """Return every measured candidate in the order of breeding; each generation goes on from the best so far."""
        bred: list[Bred] = []
        for generation in range(generations):
            best = _best_descendant(bred)
            with self.tracker.run(f"{self.dataset.workflow} generation {generation}") as run:
                self._describe(run, recipe)
                if generation == 0:
                    bred += [self._rung(candidate, recipe, run) for candidate in self._rungs()]
                parents = (best.name,) if best else ()
                for number, mutation in enumerate(population(best.recipe if best else recipe, generation)):
                    bred.append(
                        self._descendant(f"descendant {generation}.{number}", mutation, generation, parents, run)
                    )
                favoured = finalist([one.measured for one in bred])
                run.log(metrics=favoured.metrics(), tags={"finalist": favoured.candidate.name})
        return bred

    def merge(self, one: Bred, quantizations: Sequence[str]) -> list[Bred]:
        """Return a descendant merged into its base, once for each quantization, measured like any candidate."""
        if one.descendant is None:
            return []
        merged = []
        folder = one.descendant.training.folder.parent
        for kind, file in merged_ladder(one.descendant, self.base, quantizations, folder, self.report):
            name = f"{one.name} merged {kind}"
            candidate = Candidate(name, SpecialistKind.MERGED, file.path, Stack(self.dataset.trim, self.max_tokens))
            with self.tracker.run(f"{self.dataset.workflow} {name}") as run:
                run.log(tags={f"tensors_{key}": str(count) for key, count in file.types.items()})
                measured = self._measure(candidate, run)
                run.attach(file.path, "gguf")
            merged.append(Bred(measured, one.recipe, one.generation, (one.name,), None, kind, run.run_id))
        return merged

    def _rungs(self) -> list[Candidate]:
        """Return what needs no training: the bare base, and the base with examples in its prompt."""
        few_shot = Stack(self.dataset.trim, self.max_tokens, self.shots)
        return [
            Candidate("base", SpecialistKind.BASE, self.base.gguf, Stack(PromptTrim(), self.max_tokens)),
            Candidate("few-shot base", SpecialistKind.FEW_SHOT, self.base.gguf, few_shot),
        ]

    def _rung(self, candidate: Candidate, recipe: Recipe, parent: TrackedRun) -> Bred:
        with self.tracker.run(candidate.name, parent) as run:
            measured = self._measure(candidate, run)
        return Bred(measured, recipe, mlflow_run_id=run.run_id)

    def _descendant(
        self, name: str, recipe: Recipe, generation: int, parents: tuple[str, ...], parent: TrackedRun
    ) -> Bred:
        shape = f"rank {recipe.lora.rank}, learning rate {recipe.training.learning_rate:.1e}"
        self.report(f"{self.dataset.workflow}: training {name} ({shape})")
        trained = Stack(self.dataset.trim, self.max_tokens)
        folder = self.folder / f"{generation}-{recipe.digest[:8]}"
        with self.tracker.run(name, parent) as run:
            descendant = make_descendant(name, recipe, self.dataset, self.base, trained, folder, self.report)
            self._log_training(run, descendant)
            served = Stack(trained.trim, trained.max_tokens, adapter=descendant.adapter.path)
            measured = self._measure(Candidate(name, SpecialistKind.LORA, self.base.gguf, served), run)
            run.attach(descendant.adapter.path, "gguf")
        return Bred(measured, recipe, generation, parents, descendant, recipe.base.dtype, run.run_id)

    def _measure(self, candidate: Candidate, run: TrackedRun) -> Measured:
        self.report(f"{self.dataset.workflow}: measuring {candidate.name}")
        measured = measure(self.bench, candidate, self.report)
        result = measured.result
        self.report(
            f"  {candidate.name}: {result.specialist_score_all:.2f} of all, cloud {result.cloud_score_all:.2f}; "
            f"serving {result.coverage:.0%} it has {result.specialist_score:.2f}, margin {result.margin_lower:+.3f}"
        )
        run.log(
            metrics=measured.metrics(),
            tags={"kind": candidate.kind, "verdict": result.verdict, "reason": result.reason},
        )
        return measured

    def _describe(self, run: TrackedRun, recipe: Recipe) -> None:
        sizes = {f"rows_{name}": len(rows) for name, rows in self.dataset.rows.items()}
        run.log(
            parameters={
                "workflow": self.dataset.workflow,
                "dataset_digest": self.dataset.digest,
                "recipe_digest": recipe.digest,
                "base_sha256": self.base.sha256,
                "scorer": self.dataset.scorer,
                **sizes,
            }
        )
        run.attach(self.dataset.folder / "dataset.json", "dataset")

    def _log_training(self, run: TrackedRun, descendant: Descendant) -> None:
        recipe, training = descendant.recipe, descendant.training
        resolved = training.folder.parent / "recipe.json"
        write_atomically(resolved, recipe.resolved())
        flat = {**recipe.model_dump()["training"], **{f"lora_{k}": v for k, v in recipe.model_dump()["lora"].items()}}
        run.log(parameters={**flat, "seed": recipe.seed, "base": recipe.base.model})
        for step, loss in training.losses:
            run.log(metrics={"loss": loss}, step=step)
        run.log(metrics={"train_seconds": training.seconds, "adapter_bytes": descendant.adapter.size_bytes})
        run.attach(resolved)
        run.attach(training.folder / "adapter_config.json", "adapter")


def _best_descendant(bred: Sequence[Bred]) -> Bred | None:
    descendants = [one for one in bred if one.descendant is not None]
    if not descendants:
        return None
    favoured = finalist([one.measured for one in descendants])
    return next(one for one in descendants if one.measured is favoured)
