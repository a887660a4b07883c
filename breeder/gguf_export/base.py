"""Base models to GGUF: metadata, vocabulary, and every weight under its GGUF name, streamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import torch
from gguf import GGML_QUANT_VERSION, MODEL_ARCH_NAMES, GGUFType, GGUFWriter, LlamaFileType

from breeder.gguf_export.gguf_file import GgufFile, PlannedTensor, WeightType, write_gguf
from breeder.gguf_export.mapping import arranged, gguf_names
from breeder.gguf_export.shape import ModelShape, read_shape
from breeder.gguf_export.vocabulary import add_vocabulary, read_vocabulary
from breeder.gguf_export.weights import Weights, open_weights
from registry.errors import ExportError

Adjustment = Callable[[str, torch.Tensor], torch.Tensor]

_FILE_TYPES: Final = {
    "f32": LlamaFileType.ALL_F32,
    "f16": LlamaFileType.MOSTLY_F16,
    "bf16": LlamaFileType.MOSTLY_BF16,
}


def export_base(model_dir: Path, out: Path, *, dtype: WeightType = "f16", output_apart: bool = False) -> GgufFile:
    """Write the model of a Hugging Face folder (config.json, safetensors, tokenizer.json) as GGUF.

    `dtype` is that of matrices; vectors are float32 always. The same folder gives the same bytes. With `output_apart`
    an output matrix that is tied to the embeddings is written out, which adapters that move them need.

    Raises:
        ExportError: no faithful GGUF form; nothing is written then.

    """
    shape = read_shape(model_dir)
    return write_model(model_dir, shape, out, dtype, lambda _module, weight: weight, output_apart=output_apart)


def write_model(
    model_dir: Path,
    shape: ModelShape,
    out: Path,
    dtype: WeightType,
    adjust: Adjustment,
    *,
    output_apart: bool = False,
) -> GgufFile:
    """Write a model, each weight as `adjust(module, weight)` returns it in float32."""
    writer = GGUFWriter(None, MODEL_ARCH_NAMES[shape.architecture])
    writer.add_type(GGUFType.MODEL)
    writer.add_file_type(_FILE_TYPES[dtype])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    _add_shape(writer, shape)
    add_vocabulary(writer, read_vocabulary(model_dir, shape.vocabulary_size))
    planned = _planned(shape, open_weights(model_dir), dtype, adjust)
    if output_apart and shape.tied:
        planned += [replace(one, name="output.weight") for one in planned if one.name == "token_embd.weight"]
    return write_gguf(writer, planned, out)


def _add_shape(writer: GGUFWriter, shape: ModelShape) -> None:
    writer.add_vocab_size(shape.vocabulary_size)
    writer.add_context_length(shape.context_length)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(shape.rms_epsilon)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_base)


def _planned(shape: ModelShape, weights: Weights, dtype: WeightType, adjust: Adjustment) -> list[PlannedTensor]:
    names = gguf_names(shape, sorted(weights.files))
    _check_dims(shape, weights)
    planned = []
    for name, gguf_name in names.items():
        dims = weights.dims(name)
        load = partial(_final, shape, weights, adjust, name)
        planned.append(PlannedTensor(gguf_name, dims, dtype if len(dims) > 1 else "f32", load))
    if shape.rope_factors:
        factors = torch.tensor(shape.rope_factors)
        planned.append(PlannedTensor("rope_freqs.weight", tuple(factors.shape), "f32", lambda: factors))
    return planned


def _final(shape: ModelShape, weights: Weights, adjust: Adjustment, name: str) -> torch.Tensor:
    module, _, part = name.rpartition(".")
    tensor = weights.load(name)
    return arranged(shape, module, adjust(module, tensor) if part == "weight" else tensor)


def _check_dims(shape: ModelShape, weights: Weights) -> None:
    for module, dims in shape.matrices().items():
        name = f"{module}.weight"
        found = weights.dims(name) if name in weights.files else None
        if found != dims:
            raise ExportError(
                f"{name} is {found}, but config.json says {dims}; the folder's files do not belong together"
            )
