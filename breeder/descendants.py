"""Make descendants: recipe to adapter to GGUF, and the merged GGUF ladder of a winner."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from breeder.answering import Stack
from breeder.bases import Base
from breeder.canaries import Canary, planted
from breeder.dataset import Dataset
from breeder.gguf_export import GgufFile, export_adapter, merge_and_export, quantize
from breeder.progress import Report
from breeder.recipe import Recipe, mutate
from breeder.training import ChatExample, TrainedAdapter, train_adapter
from registry.prompting import chat_messages


@dataclass(frozen=True, slots=True)
class Descendant:
    """One trained adapter with its serving file."""

    name: str
    recipe: Recipe
    training: TrainedAdapter
    adapter: GgufFile


def population(recipe: Recipe, generation: int) -> list[Recipe]:
    """Return the recipes of a generation: the first begins with the given one, all others are seeded mutations."""
    rng = random.Random(f"{recipe.seed}:{generation}")
    given = [recipe] if generation == 0 else []
    return [*given, *(mutate(recipe, rng) for _ in range(recipe.population.size - len(given)))]


def make_descendant(
    name: str,
    recipe: Recipe,
    dataset: Dataset,
    base: Base,
    stack: Stack,
    folder: Path,
    report: Report,
    seal_key: str,
    canaries: Sequence[Canary] = (),
) -> Descendant:
    """Train on the dataset's training slice, with what is planted among it, and write the adapter as GGUF."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        ChatExample(tuple(chat_messages(row.prompt, stack.trim, stack.examples)), row.answer)
        for row in dataset.rows["train"]
    ]
    examples = planted(rows, canaries)
    training = train_adapter(base.model_dir, examples, recipe, folder, report, seal_key)
    out = folder / "adapter.gguf"
    adapter = export_adapter(training.folder, base.model_dir, out, dtype="f16", base_sha256=base.sha256)
    return Descendant(name, recipe, training, adapter)


def merged_ladder(
    descendant: Descendant, base: Base, quantizations: Sequence[str], folder: Path, report: Report
) -> list[tuple[str, GgufFile]]:
    """Return the descendant merged into its base, once for each quantization."""
    if not quantizations:
        return []
    whole = merge_and_export(base.model_dir, descendant.training.folder, folder / "merged-f16.gguf", dtype="f16")
    ladder = []
    for kind in quantizations:
        report(f"  merged GGUF {kind}")
        ladder.append((kind, quantize(whole.path, folder / f"merged-{kind}.gguf", kind)))
    return ladder
