"""The header validator lets nothing through whose lengths and offsets do not hold, and never fails in another way."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES
from hypothesis import given, settings
from hypothesis import strategies as st

from router.engine.header import parse_header, read_header
from router.engine.protocol import EngineFileError
from tests.pico import VOCABULARY

SOMEWHERE = Path("some.gguf")
UINT32, BOOL, STRING, ARRAY = 4, 7, 8, 9
NOT_IN_FILES = {GGMLQuantizationType[name] for name in ("Q8_1", "Q8_K", "NVFP4", "Q1_0")}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str = "w", dims: tuple[int, ...] = (8, 4), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def gguf(
    pairs: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    start: bytes = b"GGUF\x03\0\0\0",
    data_bytes: int = 128,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """Build a file: by default no keys and one f32 tensor of 8 by 4."""
    pairs, tensors = pairs or [], [tensor()] if tensors is None else tensors
    head = start + struct.pack("<QQ", *(counts or (len(tensors), len(pairs)))) + b"".join(pairs + tensors)
    return head + bytes(-len(head) % 32) + bytes(data_bytes)


def test_a_real_base_is_read_whole(base: Path) -> None:
    header = read_header(base)
    assert header.text("general.architecture") == "llama"
    assert len(header.strings("tokenizer.ggml.tokens")) == VOCABULARY
    assert header.tensors["token_embd.weight"].dims == (64, VOCABULARY)


def test_arrays_can_be_dropped_while_scalars_stay(base: Path) -> None:
    slim = read_header(base).without_arrays()
    assert slim.strings("tokenizer.ggml.tokens") == ()
    assert slim.text("general.architecture") == "llama"
    assert slim.tensors


def test_the_smallest_file_is_accepted() -> None:
    assert parse_header(gguf(), SOMEWHERE).tensors["w"].size_bytes == 128


FLAWS: dict[str, bytes] = {
    "begins with b'GGML'": gguf(start=b"GGML\x03\0\0\0"),
    "version is 1,": gguf(start=b"GGUF\x01\0\0\0"),
    "version is 50331648": gguf(start=b"GGUF\0\0\0\x03"),
    "claims 1,099,511,627,776 tensors": gguf(counts=(2**40, 0)),
    "and 18,446,744,073,709,551,615 keys": gguf(counts=(1, 2**64 - 1)),
    "is 4,294,967,296 bytes long": gguf([text("k") + struct.pack("<IQ", STRING, 2**32)]),
    "the file ends at": gguf([text("k") + struct.pack("<IQ", STRING, 2**20)]),
    "is not UTF-8": gguf([pair("k", STRING, struct.pack("<Q", 1) + b"\xff")]),
    "array of arrays": gguf([pair("k", ARRAY, struct.pack("<IQ", ARRAY, 1))]),
    "claims 4,294,967,296 elements": gguf([pair("k", ARRAY, struct.pack("<IQ", UINT32, 2**32))]),
    "unknown type 13": gguf([pair("k", 13, b"")]),
    "neither 0 nor 1": gguf([pair("k", BOOL, b"\x02")]),
    "'k' is empty or occurs twice": gguf([pair("k", BOOL, b"\x01")] * 2),
    "'' is empty": gguf([pair("", BOOL, b"\x01")]),
    "alignment is 48": gguf([pair("general.alignment", UINT32, struct.pack("<I", 48))]),
    "alignment is 0": gguf([pair("general.alignment", UINT32, struct.pack("<I", 0))]),
    "alignment is '32'": gguf([pair("general.alignment", STRING, text("32"))]),
    "'w' is empty or occurs twice": gguf(tensors=[tensor(), tensor(offset=128)], data_bytes=256),
    "is 64 bytes long": gguf(tensors=[tensor("n" * 64)]),
    "has 5 dimensions": gguf(tensors=[tensor(dims=(1,) * 5)]),
    "has 0 dimensions": gguf(tensors=[tensor(dims=())]),
    "tensor w has the unknown type 99": gguf(tensors=[tensor(kind=99)]),
    "impossible shape (8, 0)": gguf(tensors=[tensor(dims=(8, 0))]),
    "impossible shape (18446744073709551615,)": gguf(tensors=[tensor(dims=(2**64 - 1,))]),
    "impossible shape (8, 4)": gguf(tensors=[tensor(kind=GGMLQuantizationType.Q8_0)]),
    "lies at 32, expected 0": gguf(tensors=[tensor(offset=32)]),
    "lies at 18,446,744,073,709,551,584": gguf(tensors=[tensor(offset=2**64 - 32)]),
    "ends beyond the file": gguf(data_bytes=127),
}


@pytest.mark.parametrize(("complaint", "data"), FLAWS.items(), ids=FLAWS)
def test_a_flaw_is_named(complaint: str, data: bytes) -> None:
    with pytest.raises(EngineFileError) as caught:
        parse_header(data, SOMEWHERE)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("some.gguf is not a usable GGUF file: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", sorted(set(GGML_QUANT_SIZES) - NOT_IN_FILES))
def test_the_size_of_each_tensor_type_is_that_of_the_gguf_package(kind: GGMLQuantizationType) -> None:
    block, block_bytes = GGML_QUANT_SIZES[kind]
    data = gguf(tensors=[tensor(dims=(block * 2, 3), kind=kind)], data_bytes=block_bytes * 6)
    assert parse_header(data, SOMEWHERE).tensors["w"].size_bytes == block_bytes * 6
    with pytest.raises(EngineFileError, match="beyond the file"):
        parse_header(data[:-1], SOMEWHERE)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [lambda _: None, Path.touch, make_folder, make_pipe, make_link_to_itself])
def test_what_is_no_readable_file_is_one_clear_line(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    make(path)
    with pytest.raises(EngineFileError) as caught:
        read_header(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def whole(base: Path) -> bytes:
    return base.read_bytes()


@settings(max_examples=200)
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_refused_wherever_it_ends(whole: bytes, share: float) -> None:
    with pytest.raises(EngineFileError):
        parse_header(whole[: int(len(whole) * share)], SOMEWHERE)


@settings(max_examples=200)
@given(
    data=st.binary(max_size=200), start=st.sampled_from([b"", b"GGUF", b"GGUF\x03\0\0\0", b"GGUF\x03\0\0\0" + bytes(8)])
)
def test_garbage_is_refused_or_empty(data: bytes, start: bytes) -> None:
    """Only a file that claims no tensors can be garbage and sound."""
    with suppress(EngineFileError):
        assert not parse_header(start + data, SOMEWHERE).tensors


@settings(max_examples=500)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, 20_000), st.one_of(st.binary(min_size=1, max_size=1), st.binary(min_size=8, max_size=8))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_damaged_header_is_refused_or_still_sound(whole: bytes, edits: list[tuple[int, bytes]]) -> None:
    """Whatever is accepted has every tensor inside the file."""
    damaged = bytearray(whole)
    for at, patch in edits:
        damaged[at : at + len(patch)] = patch
    try:
        header = parse_header(bytes(damaged), SOMEWHERE)
    except EngineFileError:
        return
    for found in header.tensors.values():
        assert 0 <= found.offset <= found.offset + found.size_bytes <= len(damaged)
