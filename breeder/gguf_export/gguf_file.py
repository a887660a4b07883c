"""What every exported GGUF shares: the record of it, weight types, and writing that never leaves half a file."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter

from registry.errors import ExportError

WeightType = Literal["f32", "f16", "bf16"]

_TORCH_TYPES: Final[Mapping[WeightType, torch.dtype]] = {
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
}


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A finished GGUF file; `types` counts its tensors by ggml type, read back from the file."""

    path: Path
    sha256: str
    size_bytes: int
    types: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """One tensor to write: its dimensions in row-major order are known before `load` brings the values."""

    name: str
    dims: tuple[int, ...]
    dtype: WeightType
    load: Callable[[], torch.Tensor]


def describe(path: Path) -> GgufFile:
    """Return the record of a GGUF file, reading all of it."""
    try:
        types = Counter(tensor.tensor_type.name for tensor in GGUFReader(path).tensors)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError, IndexError) as error:
        raise ExportError(f"{path} is not a readable GGUF file ({error}); export it again") from error
    return GgufFile(path, digest, path.stat().st_size, dict(sorted(types.items())))


def write_gguf(writer: GGUFWriter, tensors: Sequence[PlannedTensor], out: Path) -> GgufFile:
    """Write the metadata held by `writer` and then the tensors one at a time, so that memory holds one."""
    for tensor in tensors:
        kind, stored = GGMLQuantizationType[tensor.dtype.upper()], _stored_type(tensor.dtype)
        size_bytes = int(np.prod(tensor.dims)) * stored.itemsize
        writer.add_tensor_info(tensor.name, tensor.dims, stored, size_bytes, raw_dtype=kind)
    with replacing(out) as part, closing(writer):
        writer.write_header_to_file(part)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in tensors:
            writer.write_tensor_data(_encoded(tensor))
    return describe(out)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Give a temporary name beside `out`; durable under its own name when the block ends, gone when it fails."""
    part = out.with_name(f"{out.name}.part")
    try:
        yield part
        _sync(part)
        part.replace(out)
        _sync(out.parent)
    finally:
        part.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _stored_type(dtype: WeightType) -> np.dtype[np.generic]:
    """NumPy has no bfloat16, so its bits travel as int16."""
    return np.dtype({"f32": np.float32, "f16": np.float16, "bf16": np.int16}[dtype])


def _encoded(tensor: PlannedTensor) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    values = tensor.load().to(_TORCH_TYPES[tensor.dtype]).contiguous()
    if not torch.isfinite(values).all():
        raise ExportError(
            f"{tensor.name} has values that are not finite in {tensor.dtype}; try bf16 or f32, or retrain"
        )
    bits = values.view(torch.int16) if tensor.dtype == "bf16" else values
    return bits.numpy()
