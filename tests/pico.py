"""Tiny random Llama-shape GGUF files, written straight through the `gguf` package, for tests that need a real engine.

Weights are in Hugging Face's names and layout until they are written, so a test can load the same ones elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from gguf import GGUFWriter, TokenType
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VOCABULARY = 320

Weights = dict[str, NDArray[np.float32]]

_LAYER_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


@dataclass(frozen=True, slots=True)
class PicoShape:
    """The sizes of a tiny Llama."""

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    feed: int = 128
    context: int = 4096

    @property
    def projections(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each linear layer of a block."""
        kv = self.hidden // self.heads * self.kv_heads
        return {
            "self_attn.q_proj": (self.hidden, self.hidden),
            "self_attn.k_proj": (kv, self.hidden),
            "self_attn.v_proj": (kv, self.hidden),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_proj": (self.feed, self.hidden),
            "mlp.up_proj": (self.feed, self.hidden),
            "mlp.down_proj": (self.hidden, self.feed),
        }


@cache
def pico_tokenizer() -> Tokenizer:
    """Train a byte-level BPE with single digits, the `smollm` pre-tokenizer of llama.cpp."""
    tokenizer = Tokenizer(models.BPE())
    digits, byte_level = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sentences = "the quick brown fox jumps over the lazy dog and then some other words follow in this sentence"
    tokenizer.train_from_iterator([sentences, "user assistant system " * 8], trainer)
    return tokenizer


def pico_weights(shape: PicoShape = PicoShape(), seed: int = 0) -> Weights:
    """Draw all weights; the special tokens' output rows are zero, so that greedy answers run on."""
    rng = np.random.default_rng(seed)

    def draw(*size: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = rng.standard_normal(size).astype(np.float32)
        return values / np.float32(size[-1] ** 0.5)

    head = draw(VOCABULARY, shape.hidden) * 3
    head[: len(SPECIALS)] = 0
    ones = np.ones(shape.hidden, np.float32)
    weights = {"model.embed_tokens.weight": draw(VOCABULARY, shape.hidden) * 8, "lm_head.weight": head}
    weights["model.norm.weight"] = ones
    for layer in range(shape.layers):
        block = f"model.layers.{layer}"
        weights |= {f"{block}.{name}.weight": draw(*size) for name, size in shape.projections.items()}
        weights |= {f"{block}.{name}.weight": ones for name in ("input_layernorm", "post_attention_layernorm")}
    return weights


def pico_adapter_weights(shape: PicoShape = PicoShape(), seed: int = 1, rank: int = 4) -> Weights:
    """Draw LoRA factors A (rank x in) and B (out x rank) for every linear layer."""
    rng = np.random.default_rng(seed)
    weights: Weights = {}
    for layer in range(shape.layers):
        for name, (rows, columns) in shape.projections.items():
            target = f"model.layers.{layer}.{name}"
            weights[f"{target}.lora_A"] = (rng.standard_normal((rank, columns)) / columns**0.5).astype(np.float32)
            weights[f"{target}.lora_B"] = (rng.standard_normal((rows, rank)) / 4).astype(np.float32)
    return weights


def write_pico(
    path: Path, *, seed: int = 0, shape: PicoShape = PicoShape(), template: str | None = CHATML, add_bos: bool = False
) -> Path:
    """Write a base GGUF in f32."""
    writer = GGUFWriter(path, "llama")
    _write_sizes(writer, shape)
    _write_vocabulary(writer, template, add_bos)
    for name, weight in pico_weights(shape, seed).items():
        writer.add_tensor(_base_name(name), _rotated(name, weight, shape))
    return _finish(writer, path)


def write_pico_adapter(
    path: Path,
    *,
    seed: int = 1,
    shape: PicoShape = PicoShape(),
    rank: int = 4,
    alpha: float = 8.0,
    architecture: str = "llama",
) -> Path:
    """Write a GGUF LoRA adapter in f32."""
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, weight in pico_adapter_weights(shape, seed, rank).items():
        target, _, factor = name.rpartition(".")
        rotated = _rotated(target, weight, shape) if factor == "lora_B" else weight
        writer.add_tensor(f"{_base_name(target + '.weight')}.{factor.lower()}", rotated)
    return _finish(writer, path)


def _finish(writer: GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _write_sizes(writer: GGUFWriter, shape: PicoShape) -> None:
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(shape.hidden // shape.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)


def _write_vocabulary(writer: GGUFWriter, template: str | None, add_bos: bool) -> None:
    vocabulary = pico_tokenizer().get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    merges = json.loads(pico_tokenizer().to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if token in SPECIALS else TokenType.NORMAL for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(vocabulary["<|endoftext|>"])
    writer.add_eos_token_id(vocabulary["<|im_end|>"])
    writer.add_add_bos_token(add_bos)
    if template is not None:
        writer.add_chat_template(template)


def _base_name(name: str) -> str:
    fixed = {
        "model.embed_tokens.weight": "token_embd.weight",
        "lm_head.weight": "output.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in fixed:
        return fixed[name]
    _, _, layer, rest = name.split(".", 3)
    rest = rest.removesuffix(".weight")
    norms = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
    return f"blk.{layer}.{(_LAYER_NAMES | norms)[rest]}.weight"


def _rotated(name: str, weight: NDArray[np.float32], shape: PicoShape) -> NDArray[np.float32]:
    """Reorder the rows of q and k from Hugging Face's rotary halves to llama.cpp's pairs."""
    heads = shape.heads if "q_proj" in name else shape.kv_heads if "k_proj" in name else 0
    if not heads:
        return weight
    paired = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(paired.reshape(weight.shape))
