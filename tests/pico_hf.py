"""Tiny random Hugging Face folders of every shape that can be exported, with small tokenizers trained on the spot."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

PAD: Final = "<|pad|>"
BOS: Final = "<|begin|>"
END: Final = "<|end|>"
ADDED: Final = "<note>"
CHAT_TEMPLATE: Final = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"

VOCABULARY_ROWS: Final = 1024
"""Rows of every pico embedding matrix: more than the tokenizers have tokens, so that padding is covered."""

_TOKENIZER_TOKENS: Final = 1000
_HEAD: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_TAIL: Final = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PIECES: Final = (
    *("the", "fox", "jumps", "over", "a", "I'm", "they've", "we'LL", "it's", "été", "größe", "привет", "你好"),
    *("1", "22", "333", "4444", "2024", "3.14", "17:03", "x1", "²", "½", "٣"),
    *(" ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\u00a0", "\u3000"),
    *(".", ",", "...", "!!", "(", "):", "{}", "->", "==", "'", '"', "_", "</", ">", "//", "|"),
)


def pico_llama(folder: Path, *, pre: str = "smollm", bos: bool = False, **config: object) -> Path:
    """Write a grouped-query Llama with an explicit head size; `config` overrides LlamaConfig, `pre` the tokenizer."""
    defaults = {**_sizes(), "head_dim": 32, "rms_norm_eps": 1e-5, "tie_word_embeddings": True}
    return pico(folder, LlamaConfig.from_dict({**defaults, **config}), pre=pre, bos=bos)


def pico_qwen2(folder: Path, *, pre: str = "qwen2", **config: object) -> Path:
    """Write a Qwen2, whose queries, keys and values have biases."""
    return pico(folder, Qwen2Config.from_dict({**_sizes(), "tie_word_embeddings": True, **config}), pre=pre)


def pico_qwen3(folder: Path, *, pre: str = "qwen2", **config: object) -> Path:
    """Write a Qwen3, whose queries and keys are normalized by head."""
    defaults = {**_sizes(), "head_dim": 32, "tie_word_embeddings": True}
    return pico(folder, Qwen3Config.from_dict({**defaults, **config}), pre=pre)


def pico(folder: Path, config: PretrainedConfig, *, pre: str, bos: bool = False, seed: int = 7) -> Path:
    """Write a model of any config with random weights, no parameter at a neutral value, and its tokenizer."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call] # untyped upstream
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
    model.save_pretrained(folder)
    pico_tokenizer(pre, bos=bos).save_pretrained(folder)
    return folder


def pico_tokenizer(pre: str, *, bos: bool = False) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE that splits text like llama.cpp's `pre`: gpt-2, smollm, llama-bpe or qwen2."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=pre == "llama-bpe"))
    # Trained without any splitting, so that merges cross every boundary and a text split elsewhere shows in its ids.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_TOKENIZER_TOKENS,
        special_tokens=[PAD, BOS, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=6,
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.pre_tokenizer = _pre_tokenizers()[pre]
    tokenizer.add_tokens([AddedToken(ADDED, special=False, normalized=False)])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    wrapped = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # untyped upstream
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=END, pad_token=PAD
    )
    wrapped.chat_template = CHAT_TEMPLATE
    return wrapped


def random_adapter(model_dir: Path, folder: Path, lora: LoraConfig | None = None, *, seed: int = 11) -> Path:
    """Write a peft LoRA adapter for a folder, both factors random; without `lora`, rank 8 on all linear layers."""
    plain = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32)
        model = get_peft_model(base, lora or plain)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.1)
            elif parameter.requires_grad:
                parameter.data += torch.randn_like(parameter) * 0.1
    model.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def some_tokens(count: int = 48, *, seed: int = 3, below: int = VOCABULARY_ROWS) -> Sequence[int]:
    """Return random token ids."""
    generator = torch.Generator().manual_seed(seed)
    return [int(token) for token in torch.randint(0, below, (count,), generator=generator)]


def _corpus() -> list[str]:
    """Return lines in which words, digits, punctuation and white space of every kind follow each other."""
    chance = random.Random(1)
    return ["".join(chance.choices(_PIECES, k=12)) for _ in range(4000)]


def _sizes() -> dict[str, object]:
    """Return what all picos share; rope base and epsilon are not the defaults, so that losing them shows."""
    return {
        "vocab_size": VOCABULARY_ROWS,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.15,
        "rms_norm_eps": 1e-4,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
    }


def _pre_tokenizers() -> dict[str, pre_tokenizers.PreTokenizer]:
    byte_level = pre_tokenizers.ByteLevel
    return {
        "gpt-2": byte_level(add_prefix_space=False),
        "smollm": pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=False)]
        ),
        "llama-bpe": _by_regex(_HEAD + r"\p{N}{1,3}" + _TAIL),
        "qwen2": _by_regex(_HEAD + r"\p{N}" + _TAIL),
    }


def _by_regex(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False)
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
