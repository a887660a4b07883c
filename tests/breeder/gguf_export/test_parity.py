"""Engine and transformers agree on what was exported. Logits of the picos spread by about 1.3."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from peft import LoraConfig, PeftModel
from transformers import AutoModelForCausalLM

from breeder.gguf_export import (
    WeightType,
    export_adapter,
    export_base,
    largest_logit_difference,
    merge_and_export,
    token_mismatches,
)
from breeder.gguf_export.parity import reference_logits
from tests.breeder.gguf_export.conftest import State
from tests.breeder.gguf_export.texts import varied_texts
from tests.pico_hf import pico_qwen2, random_adapter, some_tokens

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
"""peft 0.21.2 asks transformers 5.23 for it whenever it wraps a model."""

LIMIT = 1e-4
SEEDLING = Path(__file__).parents[3] / "data" / "seedling"


def test_base_logits_agree(model_dir: Path, tmp_path: Path, state_difference: State) -> None:
    base = export_base(model_dir, tmp_path / "base.gguf", dtype="f32")
    difference = largest_logit_difference(model_dir, base.path, some_tokens())
    state_difference("base", difference)
    assert difference < LIMIT
    assert reference_logits(model_dir, some_tokens()).std() > 0.5


def test_adapter_logits_agree(model_dir: Path, adapter_dir: Path, tmp_path: Path, state_difference: State) -> None:
    base = export_base(model_dir, tmp_path / "base.gguf", dtype="f32")
    adapter = export_adapter(adapter_dir, model_dir, tmp_path / "adapter.gguf", base_sha256=base.sha256)
    difference = largest_logit_difference(model_dir, base.path, some_tokens(), adapter_dir, adapter.path)
    state_difference("adapter", difference)
    assert difference < LIMIT
    assert largest_logit_difference(model_dir, base.path, some_tokens(), adapter_dir) > 1


def test_merged_logits_agree_with_the_adapter(
    model_dir: Path, adapter_dir: Path, tmp_path: Path, state_difference: State
) -> None:
    merged = merge_and_export(model_dir, adapter_dir, tmp_path / "merged.gguf", "f32")
    difference = largest_logit_difference(model_dir, merged.path, some_tokens(), adapter_dir)
    state_difference("merged", difference)
    assert difference < LIMIT


@pytest.mark.parametrize(("dtype", "limit"), [("f16", 0.1), ("bf16", 0.5)])
def test_smaller_types_stay_near(llama_dir: Path, tmp_path: Path, dtype: WeightType, limit: float) -> None:
    base = export_base(llama_dir, tmp_path / "base.gguf", dtype=dtype)
    assert set(base.types) == {"F32", dtype.upper()}
    assert LIMIT < largest_logit_difference(llama_dir, base.path, some_tokens()) < limit


@pytest.mark.parametrize(
    "lora",
    [
        LoraConfig(r=8, lora_alpha=12, use_rslora=True, target_modules=["q_proj", "v_proj", "down_proj"]),
        LoraConfig(
            r=8,
            lora_alpha=12,
            rank_pattern={"q_proj": 4, r"layers\.1\.mlp\.up_proj": 16},
            alpha_pattern={"k_proj": 3, r"layers\.0\.self_attn\.v_proj": 40},
            target_modules="all-linear",
        ),
        LoraConfig(
            r=8,
            lora_alpha=12,
            use_rslora=True,
            rank_pattern={"q_proj": 4},
            alpha_pattern={"k_proj": 3},
            target_modules="all-linear",
        ),
    ],
    ids=["rslora", "patterns", "rslora-patterns"],
)
def test_scales_that_differ_by_module_agree(llama_dir: Path, tmp_path: Path, lora: LoraConfig) -> None:
    """One scale is all that a GGUF adapter has."""
    folder = random_adapter(llama_dir, tmp_path / "lora", lora)
    base = export_base(llama_dir, tmp_path / "base.gguf", dtype="f32")
    adapter = export_adapter(folder, llama_dir, tmp_path / "adapter.gguf")
    merged = merge_and_export(llama_dir, folder, tmp_path / "merged.gguf", "f32")
    assert largest_logit_difference(llama_dir, base.path, some_tokens(), folder, adapter.path) < LIMIT
    assert largest_logit_difference(llama_dir, merged.path, some_tokens(), folder) < LIMIT


def test_untied_output_can_be_adapted(tmp_path: Path) -> None:
    model = pico_qwen2(tmp_path / "model", tie_word_embeddings=False)
    folder = random_adapter(
        model, tmp_path / "lora", LoraConfig(r=4, lora_alpha=8, target_modules=["lm_head", "k_proj"])
    )
    base = export_base(model, tmp_path / "base.gguf", dtype="f32")
    adapter = export_adapter(folder, model, tmp_path / "adapter.gguf")
    assert largest_logit_difference(model, base.path, some_tokens(), folder, adapter.path) < LIMIT


@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_trained_whole_travel_in_the_adapter(tmp_path: Path, tied: bool) -> None:
    model = pico_qwen2(tmp_path / "model", tie_word_embeddings=tied)
    lora = LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", modules_to_save=["embed_tokens"], ensure_weight_tying=tied
    )
    folder = random_adapter(model, tmp_path / "lora", lora)
    base = export_base(model, tmp_path / "base.gguf", dtype="f32", output_apart=True)
    adapter = export_adapter(folder, model, tmp_path / "adapter.gguf")
    merged = merge_and_export(model, folder, tmp_path / "merged.gguf", "f32")
    assert largest_logit_difference(model, base.path, some_tokens()) < LIMIT
    assert largest_logit_difference(model, base.path, some_tokens(), folder, adapter.path) < LIMIT
    assert largest_logit_difference(model, merged.path, some_tokens(), folder) < LIMIT


def test_merged_weights_equal_those_that_peft_merges(llama_dir: Path, llama_adapter_dir: Path, tmp_path: Path) -> None:
    ours = merge_and_export(llama_dir, llama_adapter_dir, tmp_path / "ours.gguf", "f32")
    model = AutoModelForCausalLM.from_pretrained(llama_dir, dtype=torch.float32)
    merged_dir = tmp_path / "merged"
    PeftModel.from_pretrained(model, str(llama_adapter_dir)).merge_and_unload().save_pretrained(merged_dir)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(llama_dir / file, merged_dir)
    theirs = export_base(merged_dir, tmp_path / "theirs.gguf", dtype="f32")
    expected = {tensor.name: tensor.data for tensor in GGUFReader(theirs.path).tensors}
    actual = {tensor.name: tensor.data for tensor in GGUFReader(ours.path).tensors}
    assert expected.keys() == actual.keys()
    assert max(np.abs(expected[name] - actual[name]).max() for name in expected) < 1e-6


def test_shipped_seedling_agrees(tmp_path: Path, state_difference: State) -> None:
    base = export_base(SEEDLING, tmp_path / "seedling.gguf", dtype="f32")
    difference = largest_logit_difference(SEEDLING, base.path, some_tokens())
    state_difference("seedling", difference)
    assert difference < 10 * LIMIT
    assert token_mismatches(SEEDLING, base.path, varied_texts()) == []
