"""Reads the one safetensors file that a simple rung is: a record as JSON in its metadata, and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from registry.errors import ArtifactError

RECORD_KEY = "modelbreeder.rung"
"""Where the metadata holds the record."""
MOST_BYTES = 64 << 20

Tensor: TypeAlias = NDArray[Any]


@dataclass(frozen=True, slots=True)
class TensorFile:
    """The record of a file, still JSON, and its arrays by name."""

    record: str
    tensors: Mapping[str, Tensor]


def read_tensors(path: Path) -> TensorFile:
    """Read a file; ArtifactError where it cannot be read, is not whole, or has no record."""
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise malformed(path, f"it has {size:,} bytes, {MOST_BYTES:,} are the most")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except OSError as error:
        raise ArtifactError(f"rung {path} cannot be read: {error.strerror or error}; breed or pull it again") from error
    except (SafetensorError, TypeError, ValueError) as error:  # a TypeError is a type that numpy does not have
        raise malformed(path, str(error)) from error
    if RECORD_KEY not in metadata:
        raise malformed(path, f"it has no record {RECORD_KEY}")
    return TensorFile(metadata[RECORD_KEY], tensors)


def malformed(path: Path, flaw: str) -> ArtifactError:
    """Return the error of a file that is not what it should be."""
    return ArtifactError(f"rung {path} cannot be used: {flaw}; breed or pull it again")


def first_problem(error: ValidationError) -> str:
    """Say in a few words what a validation found first."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
