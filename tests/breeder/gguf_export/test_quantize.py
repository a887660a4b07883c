"""Quantizing in a child process: what the file holds afterwards, and llama.cpp's refusals and crashes as one error."""

from __future__ import annotations

from pathlib import Path

import pytest

from breeder.gguf_export import export_base, largest_logit_difference, quantize, token_mismatches
from breeder.gguf_export.gguf_file import GgufFile
from breeder.gguf_export.llama_process import call_llama
from registry.errors import ExportError
from tests.breeder.gguf_export.folders import refusal
from tests.pico_hf import pico_llama, some_tokens


@pytest.fixture(scope="module")
def wide_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose widths are those of K-quants."""
    folder = tmp_path_factory.mktemp("wide")
    return pico_llama(folder, hidden_size=256, intermediate_size=256, head_dim=64, initializer_range=0.05)


@pytest.fixture(scope="module")
def wide(wide_dir: Path) -> GgufFile:
    return export_base(wide_dir, wide_dir / "wide.gguf")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("Q8_0", {"F32", "Q8_0"}),
        ("Q6_K", {"F32", "Q6_K"}),
        ("Q5_K_M", {"F32", "Q5_K", "Q6_K"}),
        ("Q4_K_M", {"F32", "Q4_K", "Q6_K"}),
        ("Q4_0", {"F32", "Q4_0", "Q6_K"}),
    ],
)
def test_types_are_read_back(wide: GgufFile, tmp_path: Path, kind: str, expected: set[str]) -> None:
    small = quantize(wide.path, tmp_path / "small.gguf", kind)
    assert set(small.types) == expected
    assert sum(small.types.values()) == sum(wide.types.values())
    assert small.size_bytes < wide.size_bytes
    assert [path.name for path in tmp_path.iterdir()] == ["small.gguf"]


def test_quantized_file_serves_nearly_the_same(wide_dir: Path, wide: GgufFile, tmp_path: Path) -> None:
    small = quantize(wide.path, tmp_path / "small.gguf", "Q8_0")
    assert token_mismatches(wide_dir, small.path, ["Hello 123 world"]) == []
    assert 1e-3 < largest_logit_difference(wide_dir, small.path, some_tokens()) < 1.0


def test_fallback_of_narrow_models_is_reported(llama_dir: Path, tmp_path: Path) -> None:
    base = export_base(llama_dir, tmp_path / "base.gguf")
    assert set(quantize(base.path, tmp_path / "small.gguf", "Q4_K_M").types) == {"F32", "Q5_0", "Q8_0"}


def test_quantizing_nothing_is_refused(tmp_path: Path) -> None:
    folder = pico_llama(tmp_path / "odd", hidden_size=48, intermediate_size=80, head_dim=12)
    base = export_base(folder, tmp_path / "base.gguf")
    out = tmp_path / "out.gguf"
    assert "do not divide by 32" in refusal(out, lambda: quantize(base.path, out, "Q8_0"))


def test_unknown_kind_is_refused(wide: GgufFile, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    assert "'Q9_Z'; choose one of ['Q8_0', " in refusal(out, lambda: quantize(wide.path, out, "Q9_Z"))


def test_quantizing_a_quantized_file_is_refused(wide: GgufFile, tmp_path: Path) -> None:
    small = quantize(wide.path, tmp_path / "small.gguf", "Q4_0")
    out = tmp_path / "out.gguf"
    assert "requantizing" in refusal(out, lambda: quantize(small.path, out, "Q8_0"))


def test_unreadable_source_is_refused(tmp_path: Path) -> None:
    source, out = tmp_path / "source.gguf", tmp_path / "out.gguf"
    source.write_bytes(b"not a model")
    assert str(source) in refusal(out, lambda: quantize(source, out, "Q8_0"))


def test_abort_of_llama_does_not_reach_us(wide: GgufFile, tmp_path: Path) -> None:
    """llama.cpp aborts on a vocabulary with a token twice."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(wide.path.read_bytes().replace(b"[PAD1020]", b"[PAD1021]"))
    with pytest.raises(ExportError, match=r"status -6.*GGML_ASSERT"):
        call_llama("tokenize", str(broken), stdin=b'["a"]')


def test_child_that_hangs_is_ended(wide: GgufFile) -> None:
    with pytest.raises(ExportError, match="longer than 0 s"):
        call_llama("tokenize", str(wide.path), timeout_s=0.01)
