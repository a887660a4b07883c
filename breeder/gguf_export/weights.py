"""Weights of a Hugging Face folder, one tensor at a time from its safetensors files, sharded or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from breeder.gguf_export.shape import read_json
from registry.errors import ExportError


@dataclass(frozen=True, slots=True)
class Weights:
    """Where each tensor lies."""

    files: Mapping[str, Path]

    def dims(self, name: str) -> tuple[int, ...]:
        """Return the dimensions of a tensor without reading it."""
        with safe_open(self.files[name], framework="pt") as file:
            return tuple(file.get_slice(name).get_shape())

    def load(self, name: str) -> torch.Tensor:
        """Return a tensor as float32."""
        with safe_open(self.files[name], framework="pt") as file:
            tensor: torch.Tensor = file.get_tensor(name)
        return tensor.to(torch.float32)


def open_weights(model_dir: Path) -> Weights:
    """Return the weights of a model folder.

    Raises:
        ExportError: no safetensors, a missing shard, or a damaged file.

    """
    index = model_dir / "model.safetensors.index.json"
    if not index.exists():
        return open_file(model_dir / "model.safetensors")
    placed = read_json(index).get("weight_map")
    if not isinstance(placed, dict):
        raise ExportError(f"{index} has no weight_map; give a complete Hugging Face folder")
    files = {name: model_dir / shard for name, shard in placed.items()}
    held = {path: set(open_file(path).files) for path in set(files.values())}
    for name, path in files.items():
        if name not in held[path]:
            raise ExportError(f"{path} lacks {name}, which {index.name} places there; fetch the folder again")
    return Weights(files)


def open_file(path: Path) -> Weights:
    """Return the weights of one safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return Weights(dict.fromkeys(file.keys(), path))
    except (OSError, SafetensorError) as error:
        raise ExportError(f"cannot read weights from {path} ({error}); only safetensors can be exported") from error
