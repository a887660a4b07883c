"""Atomic checkpoints of a pretraining run: weights, optimizer states and counters; the manifest is written last.

A folder without a manifest, or whose files do not match it, is skipped. The newest two are kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from breeder.seedling.optimizers import Optimizers

_KEPT = 2
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Counters:
    """How far a run has come; `loss` is the mean of its last steps."""

    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    loss: float = math.nan


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    folder: Path, model: LlamaForCausalLM, optimizers: Optimizers, counters: Counters, recipe_digest: str
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
    files = {path.name: _digest(path) for path in sorted(target.iterdir())}
    for name in files:
        _sync(target / name)
    manifest = {"counters": asdict(counters), "recipe_digest": recipe_digest, "files": files}
    write_text(target / _MANIFEST, json.dumps(manifest, indent=1))
    for old in sorted(folder.glob("step-*"))[:-_KEPT]:
        shutil.rmtree(old)
    return target


def load_weights(model: LlamaForCausalLM, folder: Path) -> None:
    """Load exported or checkpointed weights; the tied output head is not stored."""
    model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)


def _is_whole(folder: Path, recipe_digest: str) -> bool:
    try:
        told = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if told["recipe_digest"] != recipe_digest:
        return False
    return all((folder / name).exists() and _digest(folder / name) == digest for name, digest in told["files"].items())


def load_newest(folder: Path, model: LlamaForCausalLM, optimizers: Optimizers, recipe_digest: str) -> Counters | None:
    """Load the newest whole checkpoint of the same recipe; None where there is none."""
    for target in sorted(folder.glob("step-*"), reverse=True):
        if not _is_whole(target, recipe_digest):
            continue
        load_weights(model, target)
        optimizers.load(load_file(target / "optimizer.safetensors"))
        return Counters(**json.loads((target / _MANIFEST).read_text(encoding="utf-8"))["counters"])
    return None
