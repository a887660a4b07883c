"""Bases that llama.cpp would abort on, and adapters for another base, are refused from their headers alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from router.engine.fit import check_adapter, check_base
from router.engine.gguf_types import ValueType
from router.engine.header import GgufHeader, TensorInfo, Value, read_header
from router.engine.protocol import EngineFileError
from tests.pico import PicoShape, write_pico, write_pico_adapter

Q_WEIGHT = "blk.0.attn_q.weight"


@pytest.fixture
def header(base: Path) -> GgufHeader:
    return read_header(base)


@pytest.fixture
def adapter(adapters: list[Path]) -> GgufHeader:
    return read_header(adapters[0])


def with_values(header: GgufHeader, **changes: Value | None) -> GgufHeader:
    values = {**header.values, **{key.replace("__", "."): value for key, value in changes.items()}}
    return replace(header, values={key: value for key, value in values.items() if value is not None})


def with_tensor(header: GgufHeader, name: str, info: TensorInfo | None) -> GgufHeader:
    tensors = {**header.tensors, name: info}
    return replace(header, tensors={name: info for name, info in tensors.items() if info is not None})


def test_a_sound_base_and_its_adapter_pass(header: GgufHeader, adapter: GgufHeader) -> None:
    check_base(header)
    check_adapter(adapter, header)
    check_adapter(adapter, header.without_arrays())


def test_an_adapter_is_no_base(adapter: GgufHeader) -> None:
    with pytest.raises(EngineFileError, match=r"general.type is 'adapter'"):
        check_base(adapter)


def test_a_base_is_no_adapter(header: GgufHeader) -> None:
    with pytest.raises(EngineFileError, match="not a LoRA adapter"):
        check_adapter(header, header)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"general__architecture": None}, "no general.architecture"),
        ({"tokenizer__ggml__tokens": None}, "no vocabulary"),
        ({"tokenizer__ggml__tokens": ("a", "a")}, "duplicate tokens"),
        ({"tokenizer__ggml__tokens": ("a", "b")}, "differ in number"),
        ({"tokenizer__ggml__eos_token_id": 320}, "eos_token_id is 320, outside its vocabulary of 320"),
        ({"tokenizer__ggml__bos_token_id": "1"}, "bos_token_id is '1'"),
    ],
)
def test_a_base_with_a_broken_vocabulary_is_refused(
    header: GgufHeader, change: dict[str, Value | None], complaint: str
) -> None:
    with pytest.raises(EngineFileError, match=complaint):
        check_base(with_values(header, **change))


def test_a_base_whose_embedding_has_other_rows_than_tokens_is_refused(header: GgufHeader) -> None:
    embedding = header.tensors["token_embd.weight"]
    with pytest.raises(EngineFileError, match="does not hold 320 rows"):
        check_base(with_tensor(header, "token_embd.weight", replace(embedding, dims=(64, 319))))


@pytest.mark.parametrize(
    "shape", [PicoShape(hidden=128), PicoShape(layers=3), PicoShape(feed=96), PicoShape(kv_heads=4)]
)
def test_an_adapter_of_another_shape_is_refused(header: GgufHeader, shape: PicoShape, tmp_path: Path) -> None:
    other = read_header(write_pico_adapter(tmp_path / "other.gguf", shape=shape))
    with pytest.raises(EngineFileError, match=r"is not an adapter for .*blk"):
        check_adapter(other, header)


def test_an_adapter_for_another_architecture_is_refused(header: GgufHeader, tmp_path: Path) -> None:
    other = read_header(write_pico_adapter(tmp_path / "other.gguf", architecture="qwen2"))
    with pytest.raises(EngineFileError, match="architecture is 'qwen2', the base's 'llama'"):
        check_adapter(other, header)


def test_an_alpha_that_is_no_float32_is_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    """llama.cpp aborts on it."""
    wrong = replace(adapter, types={**adapter.types, "adapter.lora.alpha": ValueType.UINT32})
    with pytest.raises(EngineFileError, match="not a float32"):
        check_adapter(wrong, header)


def test_half_a_pair_is_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    with pytest.raises(EngineFileError, match="no pair"):
        check_adapter(with_tensor(adapter, f"{Q_WEIGHT}.lora_b", None), header)


def test_a_tensor_that_is_no_factor_is_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    with pytest.raises(EngineFileError, match="no pair"):
        check_adapter(with_tensor(adapter, "blk.0.attn_norm.weight", TensorInfo((64,), 0, 0, 256)), header)


def test_an_adapter_without_tensors_is_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    with pytest.raises(EngineFileError, match="no tensors"):
        check_adapter(replace(adapter, tensors={}), header)


def test_integer_factors_are_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    factor = adapter.tensors[f"{Q_WEIGHT}.lora_a"]
    with pytest.raises(EngineFileError, match="none of F32"):
        check_adapter(with_tensor(adapter, f"{Q_WEIGHT}.lora_a", replace(factor, type=26)), header)


def test_ranks_that_differ_are_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    factor = adapter.tensors[f"{Q_WEIGHT}.lora_a"]
    with pytest.raises(EngineFileError, match="do not fit"):
        check_adapter(with_tensor(adapter, f"{Q_WEIGHT}.lora_a", replace(factor, dims=(64, 5))), header)


def test_an_embedding_is_adapted_only_where_the_output_is_not_tied(header: GgufHeader, adapter: GgufHeader) -> None:
    factors = {"lora_a": TensorInfo((4, 320), 0, 0, 5120), "lora_b": TensorInfo((4, 64), 0, 0, 1024)}
    tensors = {f"token_embd.weight.{name}": info for name, info in factors.items()}
    with_embedding = replace(adapter, tensors={**adapter.tensors, **tensors})
    check_adapter(with_embedding, header)
    with pytest.raises(EngineFileError, match="tied"):
        check_adapter(with_embedding, with_tensor(header, "output.weight", None))


def test_an_activated_lora_is_refused(header: GgufHeader, adapter: GgufHeader) -> None:
    activated = with_values(adapter, adapter__alora__invocation_tokens=(1, 2))
    with pytest.raises(EngineFileError, match="activated LoRA"):
        check_adapter(activated, header)


def test_a_base_of_another_size_refuses_the_adapter(adapter: GgufHeader, tmp_path: Path) -> None:
    larger = read_header(write_pico(tmp_path / "larger.gguf", shape=PicoShape(hidden=128)))
    with pytest.raises(EngineFileError, match=r"attn_k.weight is \(128, 64\) in the base"):
        check_adapter(adapter, larger)
