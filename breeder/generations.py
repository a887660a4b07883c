"""What stands on a base: the rung that needs no training, then generations of trained descendants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from breeder.answering import Stack
from breeder.bases import Base, prepare_base
from breeder.candidates import Bred, Breeding
from breeder.dataset import Dataset, write_atomically
from breeder.deps import Deps
from breeder.descendants import Descendant, make_descendant, merged_ladder, population
from breeder.grammars import dataset_grammar
from breeder.measuring import Candidate, finalist
from breeder.recipe import Recipe
from breeder.seen_text import check_tokens_agree, few_shot_examples, longest_answer
from breeder.tracking import TrackedRun
from registry.entities import PromptTrim, SpecialistKind


@dataclass(frozen=True, slots=True)
class Footing:
    """A base, and what the training rows say of prompts and answers on it."""

    base: Base
    max_tokens: int
    grammar: str
    shots: tuple[tuple[str, str], ...]


def prepare_footing(deps: Deps, dataset: Dataset, recipe: Recipe) -> Footing:
    """Make the base ready and look at the training rows through its tokenizer.

    Raises:
        ArtifactError: engine and trainer disagree on tokens; NotFoundError: the base cannot be had.
    """
    base = prepare_base(recipe, deps.store, deps.home.runs / "bases", deps.report)
    check_tokens_agree(deps, base, dataset)
    return Footing(
        base=base,
        max_tokens=longest_answer(base, dataset, recipe.evaluation.maximum_answer_tokens),
        grammar=dataset_grammar(dataset),
        shots=few_shot_examples(dataset, recipe.evaluation.few_shot_examples, recipe.seed),
    )


@dataclass(frozen=True, slots=True)
class Generations:
    """Candidates of one breeding that a language model answers for."""

    breeding: Breeding
    footing: Footing

    def few_shot(self, parent: TrackedRun) -> list[Bred]:
        """Measure the bare base, and the base with examples in its prompt."""
        base = self.footing.base
        bare, shots = Stack(PromptTrim(), self.footing.max_tokens), self._stack(examples=self.footing.shots)
        candidates = (
            Candidate("base", SpecialistKind.BASE, base.gguf, bare),
            Candidate("few-shot base", SpecialistKind.FEW_SHOT, base.gguf, shots),
        )
        bred = []
        for candidate in candidates:
            with self.breeding.tracker.run(candidate.name, parent) as run:
                bred.append(Bred(self.breeding.measure(candidate, run), self.breeding.recipe, run, base))
        return bred

    def descend(self, generations: int) -> list[Bred]:
        """Return every measured descendant in the order of breeding; each generation goes on from the best so far."""
        bred: list[Bred] = []
        for generation in range(generations):
            best = _best(bred)
            with self.breeding.tracker.run(f"{self.breeding.dataset.workflow} generation {generation}") as run:
                self.breeding.describe(run)
                run.log(parameters={"base_sha256": self.footing.base.sha256})
                recipes = population(best.recipe if best else self.breeding.recipe, generation)
                parents = (best.name,) if best else ()
                for number, recipe in enumerate(recipes):
                    bred.append(self._descendant(f"descendant {generation}.{number}", recipe, generation, parents, run))
                favoured = finalist([one.measured for one in bred])
                run.log(metrics=favoured.metrics(), tags={"finalist": favoured.candidate.name})
        return bred

    def merge(self, one: Bred, quantizations: Sequence[str]) -> list[Bred]:
        """Return a descendant merged into its base, once for each quantization, measured on the calibration slice."""
        if one.descendant is None:
            return []
        merged = []
        folder, base = one.descendant.training.folder.parent, self.footing.base
        for kind, file in merged_ladder(one.descendant, base, quantizations, folder, self.breeding.report):
            name = f"{one.name} merged {kind}"
            candidate = Candidate(name, SpecialistKind.MERGED, file.path, self._stack())
            with self.breeding.tracker.run(f"{self.breeding.dataset.workflow} {name}") as run:
                run.log(tags={f"tensors_{key}": str(count) for key, count in file.types.items()})
                measured = self.breeding.measure(candidate, run, trained=True)
                run.attach(file.path, "gguf")
            merged.append(Bred(measured, one.recipe, run, base, one.generation, (one.name,), None, kind))
        return merged

    def _stack(self, *, examples: tuple[tuple[str, str], ...] = (), adapter: Path | None = None) -> Stack:
        footing = self.footing
        return Stack(self.breeding.dataset.trim, footing.max_tokens, examples, adapter, footing.grammar)

    def _descendant(
        self, name: str, recipe: Recipe, generation: int, parents: tuple[str, ...], parent: TrackedRun
    ) -> Bred:
        breeding, base = self.breeding, self.footing.base
        shape = f"rank {recipe.lora.rank}, learning rate {recipe.training.learning_rate:.1e}"
        breeding.report(f"{breeding.dataset.workflow}: training {name} ({shape})")
        trained, folder = self._stack(), breeding.folder / f"{generation}-{recipe.digest[:8]}"
        with breeding.tracker.run(name, parent) as run:
            descendant = make_descendant(
                name,
                recipe,
                breeding.dataset,
                base,
                trained,
                folder,
                breeding.report,
                breeding.seal_key,
                breeding.canaries,
            )
            _log_training(run, descendant)
            served = self._stack(adapter=descendant.adapter.path)
            candidate = Candidate(name, SpecialistKind.LORA, base.gguf, served)
            measured = breeding.measure(candidate, run, trained=True)
            run.attach(descendant.adapter.path, "gguf")
        return Bred(measured, recipe, run, base, generation, parents, descendant, recipe.base.dtype)


def _log_training(run: TrackedRun, descendant: Descendant) -> None:
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


def _best(descendants: Sequence[Bred]) -> Bred | None:
    if not descendants:
        return None
    favoured = finalist([one.measured for one in descendants])
    return next(one for one in descendants if one.measured is favoured)
