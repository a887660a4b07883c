"""Raises a seedling from a recipe: tokenizer, packed batches, AdamW on the CPU, checkpoints, exported weights.

Writes only under `out` and `work`. An interrupted run goes on from the newest whole checkpoint; with `steps` in the
recipe the result is the same as of an uninterrupted run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from breeder.seedling.batches import BatchSource
from breeder.seedling.checkpoint import Counters, load_newest, load_weights, save_checkpoint, write_text
from breeder.seedling.corpus import encode_text, text_pieces
from breeder.seedling.exactness import exact_by_family
from breeder.seedling.families import draw_example
from breeder.seedling.model import build_model, set_gradients
from breeder.seedling.recipe import SeedlingRecipe
from breeder.seedling.vocabulary import load_tokenizer, prompt_text, train_tokenizer, wrap_tokenizer

_LOG = logging.getLogger("modelbreeder.breeder.seedling")
_REPORT_STEPS = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """One report of a running pretraining; `exact` only where the families were just scored."""

    step: int
    tokens: int
    share: float
    loss: float
    rate: float
    tokens_per_s: float
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


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run writes its result and its state, and reads plain text and earlier weights."""

    out: Path
    work: Path
    data: Path | None = None
    start: Path | None = None


def recipe_digest(recipe: SeedlingRecipe) -> str:
    """SHA-256 of the resolved recipe."""
    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()


def _tokenizer(recipe: SeedlingRecipe, work: Path, folders: Folders) -> Tokenizer:
    for folder in (work, folders.start):
        if folder and (folder / "tokenizer.json").exists():
            return load_tokenizer(folder)
    rng = Random(f"tokenizer:{recipe.seed}")
    drawn = (draw_example(rng) for _ in range(recipe.tokenizer.examples))
    texts = [prompt_text(example).replace("<|", "\n<|") + example.answer for example in drawn]
    texts += text_pieces(folders.data, recipe.text_shards, recipe.tokenizer.text_bytes)
    tokenizer = train_tokenizer(texts, recipe.tokenizer.vocabulary_size)
    tokenizer.save(str(work / "tokenizer.json"))
    return tokenizer


def _optimizer(model: LlamaForCausalLM, weight_decay: float) -> torch.optim.AdamW:
    vectors = [value for value in model.parameters() if value.ndim == 1]
    matrices = [value for value in model.parameters() if value.ndim > 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.95), fused=True)


def export_seedling(
    model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path, recipe: SeedlingRecipe, told: dict[str, object]
) -> None:
    """Write the folder that `from_pretrained` loads, each file replaced whole, the recipe last."""
    fresh = out.with_name(out.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    copy = build_model(recipe.shape, tokenizer.get_vocab_size(), recipe.seed)
    copy.load_state_dict(model.state_dict())
    copy.config.use_cache = True
    torch.nn.Module.half(copy)  # the typed one; transformers wraps its own
    copy.save_pretrained(fresh)
    (fresh / "generation_config.json").unlink(missing_ok=True)
    wrap_tokenizer(tokenizer, recipe.shape.max_positions).save_pretrained(fresh)
    write_text(fresh / "recipe.json", json.dumps({"recipe": recipe.model_dump(mode="json"), **told}, indent=1))
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(fresh.iterdir(), key=lambda path: path.name == "recipe.json"):
        path.chmod(0o644)
        path.replace(out / path.name)
    fresh.rmdir()


def _start_from(start: Path, model: LlamaForCausalLM) -> int:
    """Load the weights of an exported seedling; returns the tokens that it has seen."""
    load_weights(model, start)
    return int(json.loads((start / "recipe.json").read_text(encoding="utf-8"))["tokens"])


class _Run:
    """One pretraining process: owns the model, the optimizer and the clock."""

    def __init__(
        self,
        recipe: SeedlingRecipe,
        folders: Folders,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.recipe, self.out, self.on_progress = recipe, folders.out, on_progress
        self.digest = recipe_digest(recipe)
        self.work = folders.work / self.digest[:12]
        self.work.mkdir(parents=True, exist_ok=True)
        self.tokenizer = _tokenizer(recipe, self.work, folders)
        pieces = text_pieces(folders.data, recipe.text_shards, recipe.text_limit_bytes)
        self.source = BatchSource(
            self.tokenizer, encode_text(self.tokenizer, pieces, self.work / "text.u16"), recipe.seed
        )
        self.model = build_model(recipe.shape, self.tokenizer.get_vocab_size(), recipe.seed)
        self.optimizer = _optimizer(self.model, recipe.weight_decay)
        self.pool = ThreadPoolExecutor(recipe.threads)
        self.counters = Counters(tokens=_start_from(folders.start, self.model) if folders.start else 0)
        self.losses: list[float] = []

    def share(self) -> float:
        """How much of the schedule is done."""
        if self.recipe.steps is not None:
            return self.counters.step / self.recipe.steps
        return self.counters.elapsed_s / (60.0 * (self.recipe.minutes or 1.0))

    def train_step(self) -> float:
        """One optimizer step; returns the loss."""
        share, step = self.share(), self.counters.step
        batch = self.source.draw(step, self.recipe.phase_at(share))
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(share, step)
        loss = set_gradients(self.model, batch, self.pool, self.recipe.threads)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        self.optimizer.step()
        self.counters = replace(
            self.counters, step=step + 1, tokens=self.counters.tokens + int((batch.documents > 0).sum())
        )
        return loss

    def checkpoint(self) -> None:
        save_checkpoint(self.work, self.model, self.optimizer, self.counters, self.digest)

    def score(self) -> dict[str, float]:
        return exact_by_family(self.model, self.tokenizer, self.recipe.score_examples, self.counters.step)

    def export(self, exact: dict[str, float]) -> None:
        told = {**asdict(self.counters), "loss": self.recent_loss(), "exact": exact, "digest": self.digest}
        export_seedling(self.model, self.tokenizer, self.out, self.recipe, told)

    def recent_loss(self) -> float:
        return round(float(np.mean(self.losses[-_REPORT_STEPS:])), 4) if self.losses else float("nan")

    def report(self, tokens_per_s: float, exact: dict[str, float] | None) -> None:
        share = self.share()
        rate = self.recipe.rate_at(share, self.counters.step)
        self.on_progress(
            Progress(
                self.counters.step, self.counters.tokens, round(share, 4), self.recent_loss(), rate, tokens_per_s, exact
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
        run.losses.append(run.train_step())
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
    work: Path | None = None,
    data: Path | None = None,
    start: Path | None = None,
    resume: bool = True,
    on_progress: Callable[[Progress], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Seedling:
    """Pretrain by the recipe and export to `out`.

    `work` holds the checkpoints, tokenizer and encoded text of each recipe (default: `out` with the suffix `.work`);
    `data` is the folder of public data, whose corpus is optional. An exception from `on_progress` stops the run, which
    then can be resumed. `start` is an exported seedling of the same shape whose weights and tokenizer are trained
    further; give such a recipe another seed, or it repeats the same batches.
    """
    torch.set_num_threads(1)  # the threads each take a part of the batch
    work = work or out.with_name(out.name + ".work")
    if not resume:
        shutil.rmtree(work / recipe_digest(recipe)[:12], ignore_errors=True)
    run = _Run(recipe, Folders(out, work, data, start), on_progress)
    found = load_newest(run.work, run.model, run.optimizer, run.digest) if resume else None
    if found:
        run.counters = found
        _LOG.info("resumed at step %d after %.0f s", found.step, found.elapsed_s)
    run.model.train()
    _train(run, clock)
    run.checkpoint()
    exact = run.score()
    run.report(0.0, exact)
    run.export(exact)
    return Seedling(out, run.counters.step, run.counters.tokens, run.counters.elapsed_s, run.recent_loss(), exact)
