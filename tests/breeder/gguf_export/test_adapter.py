"""Adapter export: what the engine reads from the file, and one clear error for all that is not plain LoRA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from peft import LoraConfig

from breeder.gguf_export import export_adapter, merge_and_export
from tests.breeder.gguf_export.folders import Change, refusal, with_json, with_weights
from tests.pico_hf import pico_llama, random_adapter

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
"""peft 0.21.2 asks transformers 5.23 for it whenever it wraps a model."""

WEIGHTS = "adapter_model.safetensors"


def test_metadata_is_what_the_engine_checks(llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path) -> None:
    adapter = export_adapter(llama_adapter_dir, llama_dir, tmp_path / "a.gguf", base_sha256="ab" * 32)
    fields = GGUFReader(adapter.path).fields
    found = {key: field.contents() for key, field in fields.items() if not key.startswith("GGUF.")}
    assert found == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
        "modelbreeder.base_sha256": "ab" * 32,
    }
    assert fields["adapter.lora.alpha"].types[0].name == "FLOAT32"
    assert adapter.types == {"F32": 28}


def test_base_folder_needs_only_its_config(llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((llama_dir / "config.json").read_bytes())
    assert export_adapter(llama_adapter_dir, tmp_path, tmp_path / "a.gguf").size_bytes > 0


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda c: c.update(use_dora=True), "use_dora"),
        (lambda c: c.update(modules_to_save=["lm_head"]), "modules_to_save"),
        (lambda c: c.update(bias="all"), "bias"),
        (lambda c: c.update(lora_bias=True), "lora_bias"),
        (lambda c: c.update(fan_in_fan_out=True), "fan_in_fan_out"),
        (lambda c: c.update(init_lora_weights="pissa"), "pissa"),
        (lambda c: c.update(trainable_token_indices=[1]), "trainable_token_indices"),
        (lambda c: c.update(peft_type="LOHA"), "LOHA"),
        (lambda c: c.update(lora_alpha=0), "lora_alpha"),
        (lambda c: c.pop("r"), "'r'"),
    ],
)
def test_settings_beyond_plain_lora_are_refused(
    llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path, change: Change, named: str
) -> None:
    folder = with_json(llama_adapter_dir, tmp_path / "copy", "adapter_config.json", change)
    out = tmp_path / "out.gguf"
    assert named in refusal(out, lambda: export_adapter(folder, llama_dir, out))
    assert named in refusal(out, lambda: merge_and_export(llama_dir, folder, out))


@pytest.mark.parametrize("module", ["embed_tokens", "lm_head"])
def test_lora_on_tied_embeddings_is_refused(llama_dir: Path, tmp_path: Path, module: str) -> None:
    """peft warns about it, llama.cpp aborts in decoding or does not load."""
    targets = [module, "q_proj"]
    with pytest.warns(UserWarning, match="tie_word_embeddings"):
        folder = random_adapter(llama_dir, tmp_path / "lora", LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    out = tmp_path / "out.gguf"
    assert module in refusal(out, lambda: export_adapter(folder, llama_dir, out))


@pytest.mark.parametrize(
    "name",
    [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector.weight",
        "base_model.model.lm_head.weight",
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias",
        "base_model.model.model.layers.0.input_layernorm.weight",
    ],
)
def test_tensors_beyond_plain_lora_are_refused(
    llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path, name: str
) -> None:
    folder = with_weights(llama_adapter_dir, tmp_path / "copy", lambda w: w.update({name: torch.ones(4)}), WEIGHTS)
    out = tmp_path / "out.gguf"
    assert name in refusal(out, lambda: export_adapter(folder, llama_dir, out))


def test_half_a_pair_is_refused(llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path) -> None:
    lost = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    folder = with_weights(llama_adapter_dir, tmp_path / "copy", lambda w: w.pop(lost), WEIGHTS)
    out = tmp_path / "out.gguf"
    assert "layers.0.self_attn.q_proj" in refusal(out, lambda: export_adapter(folder, llama_dir, out))


@pytest.mark.parametrize("config", [{"intermediate_size": 128}, {"num_hidden_layers": 1}, {"num_key_value_heads": 4}])
def test_adapter_of_another_base_is_refused(llama_adapter_dir: Path, tmp_path: Path, config: dict[str, object]) -> None:
    other = pico_llama(tmp_path / "other", pre="smollm", bos=False, **config)
    out = tmp_path / "out.gguf"
    assert "base" in refusal(out, lambda: export_adapter(llama_adapter_dir, other, out))
    assert "base" in refusal(out, lambda: merge_and_export(other, llama_adapter_dir, out))


def test_not_finite_update_is_refused(llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path) -> None:
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"
    folder = with_weights(llama_adapter_dir, tmp_path / "copy", lambda w: w[name].fill_(float("nan")), WEIGHTS)
    out = tmp_path / "out.gguf"
    assert "blk.0.ffn_up.weight" in refusal(out, lambda: export_adapter(folder, llama_dir, out))
    assert "blk.0.ffn_up.weight" in refusal(out, lambda: merge_and_export(llama_dir, folder, out))


def test_folder_without_adapter_is_refused(llama_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    assert "adapter_config.json" in refusal(out, lambda: export_adapter(llama_dir, llama_dir, out))
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 8}))
    assert WEIGHTS in refusal(out, lambda: export_adapter(tmp_path, llama_dir, out))
