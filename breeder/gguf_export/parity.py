"""Whether the engine agrees with transformers on an exported file: token ids, and logits at every position."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from transformers import AutoModelForCausalLM

from breeder.gguf_export.llama_process import call_llama
from breeder.gguf_export.vocabulary import load_tokenizer


@dataclass(frozen=True, slots=True)
class TokenMismatch:
    """A text that the two sides cut differently."""

    text: str
    expected: tuple[int, ...]
    actual: tuple[int, ...]


def token_mismatches(tokenizer_dir: Path, gguf: Path, strings: Sequence[str]) -> list[TokenMismatch]:
    """Return the strings whose ids differ, special tokens parsed and added on both sides."""
    tokenizer = load_tokenizer(tokenizer_dir)
    answer = call_llama("tokenize", str(gguf), stdin=json.dumps(list(strings)).encode())
    return [
        TokenMismatch(text, expected, tuple(actual))
        for text, actual in zip(strings, json.loads(answer), strict=True)
        if (expected := tuple(tokenizer(text)["input_ids"])) != tuple(actual)
    ]


def largest_logit_difference(
    model_dir: Path,
    gguf: Path,
    tokens: Sequence[int],
    adapter_dir: Path | None = None,
    adapter_gguf: Path | None = None,
) -> float:
    """Return the largest absolute difference between the two sides' logits, over all positions of `tokens`.

    transformers runs in float32, the engine with a float32 cache: 3e-6 is usual for f32 files, 1e-2 for f16.
    """
    adapters = [] if adapter_gguf is None else [str(adapter_gguf)]
    answer = call_llama("logits", str(gguf), *adapters, stdin=json.dumps(list(tokens)).encode())
    expected = reference_logits(model_dir, tokens, adapter_dir)
    actual = np.frombuffer(answer, np.float32).reshape(expected.shape)
    return float(np.abs(expected - actual).max())


def reference_logits(model_dir: Path, tokens: Sequence[int], adapter_dir: Path | None = None) -> NDArray[np.float32]:
    """Return transformers' logits (positions, vocabulary) of a folder, with a peft adapter where one is given."""
    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
        model_dir, dtype=torch.float32, attn_implementation="eager", local_files_only=True
    )
    if adapter_dir is not None:
        model = PeftModel.from_pretrained(model, str(adapter_dir))
    with torch.inference_mode():
        rows = model.eval()(torch.tensor([list(tokens)])).logits[0]
    found: NDArray[np.float32] = rows.numpy()
    return found
