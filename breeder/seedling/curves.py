"""The curves of a pretraining in the tracker: one run for each, which goes on when the pretraining does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from breeder.seedling.checkpoint import write_text
from breeder.seedling.places import Places
from breeder.seedling.pretrain import Progress
from breeder.seedling.recipe import SeedlingRecipe
from breeder.tracking import Tracker


@contextmanager
def tracked(
    tracker: Tracker, recipe: SeedlingRecipe, places: Places, *, resume: bool
) -> Iterator[Callable[[Progress], None]]:
    """Open the run of a pretraining and yield what records its progress; a step is an optimizer step."""
    note = places.work.with_suffix(".tracked")
    earlier = note.read_text(encoding="utf-8") if resume and note.exists() else None
    with tracker.run(f"seedling {places.out.name}", earlier=earlier) as run:
        if run.run_id and run.run_id != earlier:
            write_text(note, run.run_id)
            run.log(parameters={**_flat(recipe.model_dump(mode="json")), "start": places.start})
        yield lambda progress: run.log(metrics=_metrics(progress), step=progress.step)


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _metrics(progress: Progress) -> dict[str, float]:
    metrics = {"loss": progress.loss, "learning_rate": progress.rate, "tokens": float(progress.tokens)}
    if progress.tokens_per_s is not None:
        metrics["tokens_per_s"] = progress.tokens_per_s
    if progress.exact:
        metrics["exact"] = sum(progress.exact.values()) / len(progress.exact)
        metrics |= {f"exact/{family}": share for family, share in progress.exact.items()}
    return metrics
