"""Atomic checkpoints of a pretraining run: weights, optimizer states and counters; the seal is written last.

A folder that is not sealed with the run's key, or not as it was sealed, is skipped. The newest two are kept.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from breeder.checkpoints import is_sealed, seal
from breeder.progress import Report
from breeder.seedling.optimizers import Optimizers

_KEPT = 2
_RUN = "run.json"


@dataclass(frozen=True, slots=True)
class Counters:
    """How far a run has come; `loss` is the mean of its last steps."""

    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    loss: float = math.nan


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write, sync, rename."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    _sync(partial)
    partial.replace(path)


def save_checkpoint(
    folder: Path,
    model: LlamaForCausalLM,
    optimizers: Optimizers,
    counters: Counters,
    recipe_digest: str,
    seal_key: str,
) -> Path:
    """Write one checkpoint and drop the oldest; a later one is there only where it was damaged, and goes first."""
    target = folder / f"step-{counters.step:08d}"
    for damaged in folder.glob("step-*"):
        if damaged.name >= target.name:
            shutil.rmtree(damaged)
    target.mkdir(parents=True)
    weights = {name: value.detach().contiguous() for name, value in model.named_parameters()}
    save_file(weights, target / "model.safetensors")
    save_file(optimizers.tensors(), target / "optimizer.safetensors")
    for path in target.iterdir():
        _sync(path)
    write_text(target / _RUN, json.dumps({"counters": asdict(counters), "recipe_digest": recipe_digest}, indent=1))
    seal(target, seal_key)
    for old in sorted(folder.glob("step-*"))[:-_KEPT]:
        shutil.rmtree(old)
    return target


def load_weights(model: LlamaForCausalLM, folder: Path) -> None:
    """Load exported or checkpointed weights; the tied output head is not stored."""
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)


def load_newest(
    folder: Path, model: LlamaForCausalLM, optimizers: Optimizers, recipe_digest: str, seal_key: str, report: Report
) -> Counters | None:
    """Load the newest whole checkpoint of the same recipe; None where there is none. Others are said."""
    for target in sorted(folder.glob("step-*"), reverse=True):
        if not is_sealed(target, seal_key):
            report(f"{target} is no whole checkpoint of this home, so nothing of it is read")
            continue
        told = json.loads((target / _RUN).read_text(encoding="utf-8"))
        if told["recipe_digest"] != recipe_digest:
            continue
        load_weights(model, target)
        optimizers.load(load_file(target / "optimizer.safetensors"))
        return Counters(**told["counters"])
    return None
