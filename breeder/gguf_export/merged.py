"""A base with one adapter merged in, as its own GGUF: W + scale * B @ A in float32, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import torch

from breeder.gguf_export.adapter import read_adapter
from breeder.gguf_export.base import write_model
from breeder.gguf_export.gguf_file import GgufFile, WeightType
from breeder.gguf_export.shape import read_shape


def merge_and_export(model_dir: Path, adapter_dir: Path, out: Path, dtype: WeightType = "f16") -> GgufFile:
    """Write a base folder with a peft LoRA adapter merged into its weights as GGUF.

    Raises:
        ExportError: as `export_base` and `export_adapter`.

    """
    shape = read_shape(model_dir)
    pairs = {pair.module: pair for pair in read_adapter(adapter_dir, shape, model_dir).pairs}

    def merged(module: str, weight: torch.Tensor) -> torch.Tensor:
        pair = pairs.get(module)
        return weight if pair is None else weight + pair.scale * (pair.up @ pair.down)

    return write_model(model_dir, shape, out, dtype, merged)
