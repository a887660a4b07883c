"""Base export: the same bytes each time, shards, and one clear error for whatever has no faithful form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from breeder.gguf_export import export_base
from tests.breeder.gguf_export.folders import Change, Weights, refusal, with_json, with_weights
from tests.pico_hf import pico_qwen3


def test_same_folder_gives_same_bytes(llama_dir: Path, tmp_path: Path) -> None:
    first = export_base(llama_dir, tmp_path / "first.gguf")
    second = export_base(llama_dir, tmp_path / "second.gguf")
    assert first.sha256 == second.sha256
    assert first.size_bytes == first.path.stat().st_size
    assert first.types == {"F16": 15, "F32": 5}


def test_shards_give_the_same_bytes_as_one_file(llama_dir: Path, tmp_path: Path) -> None:
    sharded = _sharded(llama_dir, tmp_path / "sharded")
    assert len(list(sharded.glob("*.safetensors"))) > 1
    whole = export_base(llama_dir, tmp_path / "whole.gguf")
    assert export_base(sharded, tmp_path / "sharded.gguf").sha256 == whole.sha256


def test_missing_shard_is_named(llama_dir: Path, tmp_path: Path) -> None:
    sharded = _sharded(llama_dir, tmp_path / "sharded")
    lost = sorted(sharded.glob("*.safetensors"))[1]
    lost.unlink()
    out = tmp_path / "out.gguf"
    assert lost.name in refusal(out, lambda: export_base(sharded, out))


def test_existing_file_survives_a_refused_export(llama_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    out.write_bytes(b"earlier")
    folder = with_weights(llama_dir, tmp_path / "copy", _set_first_to(float("nan")))
    refusal(out, lambda: export_base(folder, out))
    assert out.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(architectures=["MistralForCausalLM"]), "MistralForCausalLM"),
        (lambda c: c.update(architectures=["LlamaForSequenceClassification"]), "LlamaForSequenceClassification"),
        (lambda c: c.pop("architectures"), "architecture None"),
        (lambda c: c.update(hidden_act="gelu"), "hidden_act 'gelu'"),
        (
            lambda c: c.update(rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}),
            "rope_type 'yarn'",
        ),
        (lambda c: c["rope_parameters"].update(partial_rotary_factor=0.5), "partial_rotary_factor 0.5"),
        (lambda c: c.update(quantization_config={"quant_method": "gptq"}), "quantized"),
        (lambda c: c.update(intermediate_size=128), "mlp.gate_proj.weight"),
        (lambda c: c.update(num_hidden_layers=1), "model.layers.1"),
        (lambda c: c.update(tie_word_embeddings=False), "lm_head.weight is None"),
        (lambda c: c.update(hidden_size="wide"), "config.json"),
    ],
)
def test_config_without_faithful_form_is_refused(llama_dir: Path, tmp_path: Path, change: Change, named: str) -> None:
    folder = with_json(llama_dir, tmp_path / "copy", "config.json", change)
    out = tmp_path / "out.gguf"
    assert named in refusal(out, lambda: export_base(folder, out))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"attention_bias": True}, "attention_bias True"),
        ({"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}, "sliding_attention"),
    ],
)
def test_qwen_feature_without_faithful_form_is_refused(tmp_path: Path, config: dict[str, object], named: str) -> None:
    folder = pico_qwen3(tmp_path / "model", pre="qwen2", **config)
    out = tmp_path / "out.gguf"
    assert named in refusal(out, lambda: export_base(folder, out))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda w: w.update({"model.extra.weight": torch.ones(2, 2)}), "model.extra.weight"),
        (lambda w: w.pop("model.layers.0.mlp.up_proj.weight"), "model.layers.0.mlp.up_proj.weight is None"),
        (lambda w: w["model.embed_tokens.weight"].fill_(70000.0), "token_embd.weight"),
        (lambda w: w["model.norm.weight"].fill_(float("inf")), "output_norm.weight"),
    ],
)
def test_weights_without_faithful_form_are_refused(
    llama_dir: Path, tmp_path: Path, change: Callable[[Weights], object], named: str
) -> None:
    folder = with_weights(llama_dir, tmp_path / "copy", change)
    out = tmp_path / "out.gguf"
    assert named in refusal(out, lambda: export_base(folder, out))


def test_damaged_weights_are_refused(llama_dir: Path, tmp_path: Path) -> None:
    folder = with_json(llama_dir, tmp_path / "copy", "config.json", lambda _: None)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    out = tmp_path / "out.gguf"
    assert "model.safetensors" in refusal(out, lambda: export_base(folder, out))


def test_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    assert "config.json" in refusal(out, lambda: export_base(tmp_path / "nowhere", out))


def _sharded(model_dir: Path, folder: Path) -> Path:
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
    with_json(model_dir, folder, "config.json", lambda _: None)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="100KB")
    return folder


def _set_first_to(value: float) -> Callable[[Weights], object]:
    return lambda weights: weights["model.norm.weight"].fill_(value)
