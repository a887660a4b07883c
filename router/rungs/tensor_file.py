"""Reads the one safetensors file that a simple rung is: a record as JSON in its metadata, and arrays.

The format is Hugging Face's; nothing of a file is believed before it is checked, and nothing in it is ever run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError

from registry.errors import ArtifactError

RECORD_KEY = "modelbreeder.rung"
"""Where the metadata holds the record."""
MOST_BYTES = 64 << 20

Tensor: TypeAlias = NDArray[Any]
_TYPES: Mapping[str, type[np.generic]] = {"F16": np.float16, "F32": np.float32, "U32": np.uint32, "U8": np.uint8}
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class TensorFile:
    """The record of a file, still JSON, and its read-only arrays by name."""

    record: str
    tensors: Mapping[str, Tensor]


class _Entry(BaseModel):
    """How the header describes one array: type, shape, first and last byte behind the header."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dtype: Literal["F16", "F32", "U32", "U8"]
    shape: list[NonNegativeInt] = Field(max_length=2)
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


_METADATA = TypeAdapter(dict[str, str])
_ENTRIES = TypeAdapter(dict[str, _Entry])
_HEADER = TypeAdapter(dict[str, Any])


def read_tensors(path: Path) -> TensorFile:
    """Read and check a file; ArtifactError where it cannot be read or is not whole."""
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MOST_BYTES else b""
    except OSError as error:
        raise ArtifactError(f"rung {path} cannot be read: {error.strerror}; breed or pull it again") from error
    if size > MOST_BYTES:
        raise malformed(path, f"it has {size:,} bytes, {MOST_BYTES:,} are the most")
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    if len(content) < _LENGTH_BYTES + length:
        raise malformed(path, "it is cut off in its header")
    data = content[_LENGTH_BYTES + length :]
    try:
        header = _HEADER.validate_json(content[_LENGTH_BYTES : _LENGTH_BYTES + length])
        metadata = _METADATA.validate_python(header.pop("__metadata__", {}))
        entries = _ENTRIES.validate_python(header)
    except ValidationError as error:
        raise malformed(path, f"its header does not hold: {first_problem(error)}") from error
    if RECORD_KEY not in metadata:
        raise malformed(path, f"it has no record {RECORD_KEY}")
    return TensorFile(metadata[RECORD_KEY], _arrays(path, entries, data))


def _arrays(path: Path, entries: Mapping[str, _Entry], data: bytes) -> dict[str, Tensor]:
    """Return the arrays, which must fill the data without a gap."""
    arrays, at = {}, 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1].data_offsets):
        kind = np.dtype(_TYPES[entry.dtype]).newbyteorder("<")
        begin, end = entry.data_offsets
        if begin != at or end - begin != prod(entry.shape) * kind.itemsize or end > len(data):
            raise malformed(path, f"array {name!r} does not fill its bytes {begin} to {end}")
        arrays[name] = np.frombuffer(data[begin:end], kind).reshape(entry.shape)
        at = end
    if at != len(data):
        raise malformed(path, f"{len(data) - at} bytes belong to no array")
    return arrays


def malformed(path: Path, flaw: str) -> ArtifactError:
    """Return the error of a file that is not what it should be."""
    return ArtifactError(f"rung {path} cannot be used: {flaw}; breed or pull it again")


def first_problem(error: ValidationError) -> str:
    """Say in a few words what a validation found first."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
