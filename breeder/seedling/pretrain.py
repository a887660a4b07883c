"""Raises a seedling from a recipe: tokenizer, packed batches, optimizer steps, checkpoints, exported weights.

Writes only `out` and the `work` folder. An interrupted run goes on from the newest whole checkpoint; with `steps` in
the recipe the result is the same as of an uninterrupted run.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from breeder.heap import return_freed_memory
from breeder.progress import Report
from breeder.seedling.checkpoint import Counters, load_newest, save_checkpoint
from breeder.seedling.exactness import exact_by_family
from breeder.seedling.exported import check_start, export_seedling, load_start
from breeder.seedling.material import load_material
from breeder.seedling.model import Hardware, build_model, set_gradients
from breeder.seedling.optimizers import Optimizers
from breeder.seedling.places import Places, recipe_digest, run_places
from breeder.seedling.recipe import SeedlingRecipe
from registry.errors import DataError

_REPORT_STEPS = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running pretraining; `exact` only where the families were just scored.

    `rate` is AdamW's learning rate; `tokens_per_s` is since the last report, None at the end.
    """

    step: int
    tokens: int
    share: float
    loss: float
    rate: float
    tokens_per_s: float | None
    left_s: float
    exact: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Seedling:
    """What a finished run made."""

    folder: Path
    step: int
    tokens: int
    elapsed_s: float
    loss: float
    exact: dict[str, float]


class _Run:
    """One pretraining process: owns the model, the optimizers and the clock."""

    def __init__(
        self,
        recipe: SeedlingRecipe,
        places: Places,
        on_progress: Callable[[Progress], None],
        report: Report,
        seal_key: str,
    ) -> None:
        self.seal_key = seal_key
        self.recipe, self.places, self.on_progress = recipe, places, on_progress
        self.hardware = Hardware.of(recipe)
        report(f"computing in {'bf16' if self.hardware.bf16 else 'fp32'} on {self.hardware.device}")
        self.tokenizer, self.source = load_material(recipe, places, report)
        self.model = build_model(recipe.shape, self.tokenizer.get_vocab_size(), recipe.seed)
        torch.nn.Module.to(self.model, self.hardware.device)  # the typed one; transformers wraps its own
        self.optimizers = Optimizers(self.model, recipe, self.hardware.threads)
        self.pool = ThreadPoolExecutor(self.hardware.threads)
        self.digest = recipe_digest(recipe, places.start)
        self.counters = self.go_on(report)
        self.losses: list[float] = []

    def go_on(self, report: Report) -> Counters:
        """Load the newest whole checkpoint, else the weights that the run starts from."""
        found = load_newest(self.places.work, self.model, self.optimizers, self.digest, self.seal_key, report)
        if found:
            report(f"going on from step {found.step}, {found.elapsed_s / 60:.1f} min")
            return found
        if self.places.start is None:
            return Counters()
        load_start(self.places.start, self.model)
        return Counters(tokens=check_start(self.places.start, self.recipe))

    def share(self) -> float:
        """How much of the schedule is done."""
        if self.recipe.steps is not None:
            return self.counters.step / self.recipe.steps
        return self.counters.elapsed_s / (60.0 * (self.recipe.minutes or 1.0))

    def train_step(self) -> None:
        """One optimizer step."""
        share, step = self.share(), self.counters.step
        batch = self.source.draw(step, self.recipe.phase_at(share))
        loss = set_gradients(self.model, batch, self.hardware, self.pool)
        if not math.isfinite(loss):
            raise DataError(f"training diverged: loss {loss} at step {step}; lower the learning rates of the recipe")
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        self.optimizers.step(self.recipe.rate_share_at(share, step), self.pool)
        self.losses = [*self.losses[1 - _REPORT_STEPS :], loss]
        tokens = self.counters.tokens + int((batch.documents > 0).sum())
        mean = round(sum(self.losses) / len(self.losses), 4)
        self.counters = replace(self.counters, step=step + 1, tokens=tokens, loss=mean)

    def checkpoint(self) -> None:
        save_checkpoint(self.places.work, self.model, self.optimizers, self.counters, self.digest, self.seal_key)

    def score(self) -> dict[str, float]:
        examples, step = self.recipe.score_examples, self.counters.step
        return exact_by_family(self.model, self.tokenizer, self.hardware, examples, step)

    def export(self, exact: dict[str, float]) -> None:
        told = {**asdict(self.counters), "exact": exact, "digest": self.digest}
        export_seedling(self.model, self.tokenizer, self.places.out, self.recipe, told)

    def report(self, tokens_per_s: float | None, exact: dict[str, float] | None) -> None:
        share, done = self.share(), self.counters
        self.on_progress(
            Progress(
                step=done.step,
                tokens=done.tokens,
                share=min(1.0, round(share, 4)),
                loss=done.loss,
                rate=self.recipe.learning_rate * self.recipe.rate_share_at(share, done.step),
                tokens_per_s=tokens_per_s,
                left_s=max(0.0, done.elapsed_s * (1 / share - 1)) if share else math.inf,
                exact=exact,
            )
        )


class _Every:
    """True once per so many minutes of the given clock."""

    def __init__(self, minutes: float, now: float) -> None:
        self._period_s, self._last = minutes * 60.0, now

    def is_due(self, now: float) -> bool:
        due = now - self._last >= self._period_s
        if due:
            self._last = now
        return due


def _train(run: _Run, clock: Callable[[], float]) -> None:
    recipe, before = run.recipe, clock()
    save, export, score = (
        _Every(m, before) for m in (recipe.checkpoint_minutes, recipe.export_minutes, recipe.score_minutes)
    )
    reported, tokens = before, run.counters.tokens
    exact: dict[str, float] = {}
    while run.share() < 1.0:
        run.train_step()
        now = clock()
        run.counters = replace(run.counters, elapsed_s=run.counters.elapsed_s + now - before)
        before = now
        scored = score.is_due(now)
        if scored:
            exact = run.score()
        if scored or run.counters.step % _REPORT_STEPS == 0:
            run.report((run.counters.tokens - tokens) / max(1e-9, now - reported), exact if scored else None)
            reported, tokens = now, run.counters.tokens
        if save.is_due(now):
            run.checkpoint()
        if export.is_due(now):
            run.export(exact)


def raise_seedling(
    recipe: SeedlingRecipe,
    out: Path,
    *,
    data: Path | None = None,
    start: Path | None = None,
    resume: bool = True,
    on_progress: Callable[[Progress], None] = lambda _: None,
    report: Report = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    seal_key: str = "",
) -> Seedling:
    """Pretrain by the recipe and export to `out`.

    Beside `out`, `out.work` holds the checkpoints, tokenizer and encoded data of each recipe; `data` is the folder of
    public data, whose corpus is optional. `report` is told in lines what is prepared. An exception from `on_progress`
    stops the run, which then can be resumed. `start` is an exported seedling of the same shape whose weights and
    tokenizer are trained further; give such a recipe another seed, or it repeats the same batches. Checkpoints are
    sealed with `seal_key`; without one, anybody's that are whole are taken.

    Raises:
        ConfigError: the recipe fits neither this machine nor `start`; NotFoundError: `start` is no seedling;
        DataError: a text shard is damaged, or the loss is no longer a number.
    """
    return_freed_memory()
    torch.set_num_threads(1)  # the threads each take a part of the batch
    disable_progress_bar()  # type: ignore[no-untyped-call] # untyped upstream; it would draw one at every export
    places = run_places(recipe, out, data=data, start=start)
    if not resume:
        shutil.rmtree(places.work, ignore_errors=True)
    run = _Run(recipe, places, on_progress, report, seal_key)
    run.model.train()
    _train(run, clock)
    run.checkpoint()
    exact = run.score()
    run.report(None, exact)
    run.export(exact)
    return Seedling(
        places.out, run.counters.step, run.counters.tokens, run.counters.elapsed_s, run.counters.loss, exact
    )
