"""Copies of model folders with one thing changed, for the tests of what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from registry.errors import ExportError

Change = Callable[[dict[str, object]], object]
Weights = dict[str, torch.Tensor]


def with_json(folder: Path, copy: Path, file: str, change: Change) -> Path:
    """Return a copy of a folder in which one JSON file was changed in place."""
    shutil.copytree(folder, copy)
    content = json.loads((copy / file).read_text())
    change(content)
    (copy / file).write_text(json.dumps(content))
    return copy


def with_weights(
    folder: Path, copy: Path, change: Callable[[Weights], object], file: str = "model.safetensors"
) -> Path:
    """Return a copy of a folder in which the weights were changed in place."""
    shutil.copytree(folder, copy)
    weights = load_file(copy / file)
    change(weights)
    save_file(weights, copy / file)
    return copy


def refusal(out: Path, export: Callable[[], object]) -> str:
    """Return the message with which an export is refused, having checked that it left nothing behind."""
    before = set(out.parent.iterdir())
    with pytest.raises(ExportError) as caught:
        export()
    assert set(out.parent.iterdir()) == before
    return str(caught.value)
