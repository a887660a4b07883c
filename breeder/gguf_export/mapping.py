"""Tensor names and row order: how a Hugging Face weight is called in GGUF, and what is done to it on the way."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from gguf import MODEL_ARCH, get_tensor_name_map

from breeder.gguf_export.shape import ModelShape
from registry.errors import ExportError


def gguf_names(shape: ModelShape, names: Iterable[str]) -> dict[str, str]:
    """Return the GGUF name of each Hugging Face tensor; those that GGUF derives itself are left out.

    A tied output matrix is left out too: llama.cpp then takes the embeddings.
    """
    table = get_tensor_name_map(shape.architecture, shape.layers)
    found: dict[str, str] = {}
    for name in names:
        if name.endswith("rotary_emb.inv_freq") or (shape.tied and name == "lm_head.weight"):
            continue
        mapped = table.get_name(name, try_suffixes=(".weight", ".bias"))
        if mapped is None:
            raise ExportError(
                f"tensor {name} has no place in a {shape.architecture.name} GGUF of {shape.layers} layers"
            )
        found[name] = mapped
    return found


def arranged(shape: ModelShape, module: str, rows: torch.Tensor) -> torch.Tensor:
    """Return the output rows of a module in GGUF order.

    Only Llama's queries and keys move: llama.cpp rotates neighbouring rows there, transformers the two halves of
    a head. Left as they are the file loads, and logits are off by 2 to 4. `rows` is a weight, a bias or a lora_B.
    """
    if shape.architecture is not MODEL_ARCH.LLAMA:
        return rows
    heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(module.rpartition(".")[2])
    if heads is None:
        return rows
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
