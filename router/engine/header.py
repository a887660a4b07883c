"""Strict reading of a GGUF header, so that llama.cpp only ever opens files whose every length and offset holds.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), all little-endian: magic, version, tensor count,
key count, keys with typed values, tensor names with shape, type and offset, padding, tensor data. Any doubt is an
EngineFileError that names the file.
"""

from __future__ import annotations

import mmap
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TypeAlias

from router.engine.gguf_types import BLOCKS, SCALAR_FORMATS, ValueType
from router.engine.protocol import EngineFileError

MAX_KEYS = 4096
MAX_TENSORS = 16_384
MAX_ELEMENTS = 4 << 20
MAX_STRING_BYTES = 16 << 20
MAX_KEY_BYTES = 65_535
MAX_TENSOR_NAME_BYTES = 63
MAX_DIMS = 4
MAX_ALIGNMENT = 1 << 16

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor: dimensions fastest first, ggml type number, offset and size within the data section."""

    dims: tuple[int, ...]
    type: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """A validated header; every tensor lies inside the file."""

    path: Path
    values: Mapping[str, Value]
    types: Mapping[str, ValueType]
    tensors: Mapping[str, TensorInfo]

    def without_arrays(self) -> GgufHeader:
        """Return it without its vocabulary and other arrays, which are nearly all of its memory."""
        scalars = {key: value for key, value in self.values.items() if not isinstance(value, tuple)}
        return replace(self, values=scalars)

    def text(self, key: str) -> str | None:
        """Return a string value, None where the key is absent or of another type."""
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def strings(self, key: str) -> tuple[str, ...]:
        """Return an array of strings, empty where the key is absent or of another type."""
        value = self.values.get(key)
        if self.types.get(key) is not ValueType.ARRAY or not isinstance(value, tuple):
            return ()
        return tuple(item for item in value if isinstance(item, str))


class _FlawError(Exception):
    """What is wrong with the bytes; becomes an EngineFileError with the path."""


class _Cursor:
    """A bounds-checked position in the bytes of a file."""

    def __init__(self, data: mmap.mmap | bytes) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0

    def take(self, count: int, what: str) -> int:
        """Advance by `count` bytes and return where they start."""
        start = self.at
        if count > self.size - start:
            raise _FlawError(f"{what} needs {count:,} bytes at offset {start:,}, the file ends at {self.size:,}")
        self.at = start + count
        return start

    def number(self, code: str, what: str) -> int:
        start = self.take(struct.calcsize(code), what)
        return int(struct.unpack_from(f"<{code}", self.data, start)[0])

    def string(self, limit: int, what: str) -> str:
        length = self.number("Q", what)
        if length > limit:
            raise _FlawError(f"{what} is {length:,} bytes long, more than {limit:,}")
        start = self.take(length, what)
        try:
            return str(self.data[start : start + length], "utf-8")
        except UnicodeDecodeError as error:
            raise _FlawError(f"{what} is not UTF-8 ({error.reason} at byte {error.start})") from error


def read_header(path: Path) -> GgufHeader:
    """Read and validate the header of a GGUF file.

    Raises:
        EngineFileError: the file is missing, unreadable, truncated, or not GGUF version 2 or 3 with sane sizes.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise EngineFileError(f"{path} is not a file; name a GGUF file")
        if found.st_size == 0:
            return parse_header(b"", path)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return parse_header(data, path)
    except OSError as error:
        raise EngineFileError(f"{path} cannot be read: {error.strerror}; check the path and its rights") from error


def parse_header(data: mmap.mmap | bytes, path: Path) -> GgufHeader:
    """Validate the bytes of a whole GGUF file; see `read_header`."""
    cursor = _Cursor(data)
    try:
        tensor_count, key_count = _counts(cursor)
        values, types = _metadata(cursor, key_count)
        tensors = _tensors(cursor, tensor_count, _alignment(values, types))
    except _FlawError as flaw:
        raise EngineFileError(f"{path} is not a usable GGUF file: {flaw}; export or copy it again") from flaw
    return GgufHeader(path, values, types, tensors)


def _counts(cursor: _Cursor) -> tuple[int, int]:
    start = cursor.take(4, "the magic")
    magic = bytes(cursor.data[start : start + 4])
    if magic != b"GGUF":
        raise _FlawError(f"it begins with {magic!r}, not b'GGUF'")
    version = cursor.number("I", "the version")
    if version not in (2, 3):
        raise _FlawError(f"its version is {version}, only 2 and 3 are known")
    tensors, keys = cursor.number("Q", "the tensor count"), cursor.number("Q", "the key count")
    if tensors > MAX_TENSORS or keys > MAX_KEYS:
        raise _FlawError(f"it claims {tensors:,} tensors and {keys:,} keys, more than {MAX_TENSORS:,} and {MAX_KEYS:,}")
    return tensors, keys


def _metadata(cursor: _Cursor, count: int) -> tuple[dict[str, Value], dict[str, ValueType]]:
    values: dict[str, Value] = {}
    types: dict[str, ValueType] = {}
    for _ in range(count):
        key = cursor.string(MAX_KEY_BYTES, "a key")
        if not key or key in values:
            raise _FlawError(f"key {key!r} is empty or occurs twice")
        types[key] = _value_type(cursor, key)
        values[key] = _array(cursor, key) if types[key] is ValueType.ARRAY else _scalars(cursor, types[key], 1, key)[0]
    return values, types


def _value_type(cursor: _Cursor, key: str) -> ValueType:
    number = cursor.number("I", f"the type of {key}")
    try:
        return ValueType(number)
    except ValueError as error:
        raise _FlawError(f"key {key!r} has the unknown type {number}") from error


def _array(cursor: _Cursor, key: str) -> tuple[Scalar, ...]:
    element = _value_type(cursor, key)
    if element is ValueType.ARRAY:
        raise _FlawError(f"key {key!r} is an array of arrays")
    count = cursor.number("Q", f"the length of {key}")
    if count > MAX_ELEMENTS:
        raise _FlawError(f"key {key!r} claims {count:,} elements, more than {MAX_ELEMENTS:,}")
    return _scalars(cursor, element, count, key)


def _scalars(cursor: _Cursor, kind: ValueType, count: int, key: str) -> tuple[Scalar, ...]:
    if kind is ValueType.STRING:
        what = f"a string of {key}"
        return tuple(cursor.string(MAX_STRING_BYTES, what) for _ in range(count))
    code = f"<{count}{SCALAR_FORMATS[kind]}"
    start = cursor.take(struct.calcsize(code), f"the value of {key}")
    numbers = struct.unpack_from(code, cursor.data, start)
    if kind is not ValueType.BOOL:
        return numbers
    if any(number > 1 for number in numbers):
        raise _FlawError(f"key {key!r} holds a truth value that is neither 0 nor 1")
    return tuple(bool(number) for number in numbers)


def _alignment(values: Mapping[str, Value], types: Mapping[str, ValueType]) -> int:
    value = values.get("general.alignment", 32)
    known = types.get("general.alignment", ValueType.UINT32) is ValueType.UINT32
    if not known or not isinstance(value, int) or not 0 < value <= MAX_ALIGNMENT or value & (value - 1):
        raise _FlawError(f"its alignment is {value!r}, not a power of two up to {MAX_ALIGNMENT:,}")
    return value


def _tensors(cursor: _Cursor, count: int, alignment: int) -> dict[str, TensorInfo]:
    tensors: dict[str, TensorInfo] = {}
    end = 0
    for _ in range(count):
        name = cursor.string(MAX_TENSOR_NAME_BYTES, "a tensor name")
        if not name or name in tensors:
            raise _FlawError(f"tensor name {name!r} is empty or occurs twice")
        tensor = _tensor(cursor, name)
        if tensor.offset != end:
            raise _FlawError(f"tensor {name} lies at {tensor.offset:,}, expected {end:,}")
        tensors[name] = tensor
        end += -(-tensor.size_bytes // alignment) * alignment
    data_start = -(-cursor.at // alignment) * alignment
    for name, tensor in tensors.items():
        if data_start + tensor.offset + tensor.size_bytes > cursor.size:
            raise _FlawError(f"the data of tensor {name} ends beyond the file of {cursor.size:,} bytes")
    return tensors


def _tensor(cursor: _Cursor, name: str) -> TensorInfo:
    n_dims = cursor.number("I", f"the rank of {name}")
    if not 1 <= n_dims <= MAX_DIMS:
        raise _FlawError(f"tensor {name} has {n_dims} dimensions")
    dims = tuple(cursor.number("Q", f"the shape of {name}") for _ in range(n_dims))
    kind = cursor.number("I", f"the type of {name}")
    if kind not in BLOCKS:
        raise _FlawError(f"tensor {name} has the unknown type {kind}")
    block, block_bytes = BLOCKS[kind]
    if not all(0 < dim < 2**40 for dim in dims) or dims[0] % block:
        raise _FlawError(f"tensor {name} of type {kind} has the impossible shape {dims}")
    return TensorInfo(dims, kind, cursor.number("Q", f"the offset of {name}"), prod(dims) // block * block_bytes)
