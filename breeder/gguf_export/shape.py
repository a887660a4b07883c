"""The shape of a base model, read from its config.json; whatever llama.cpp would compute differently is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gguf import MODEL_ARCH
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PretrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from registry.errors import ExportError

ARCHITECTURES: Final[Mapping[str, MODEL_ARCH]] = {
    "LlamaForCausalLM": MODEL_ARCH.LLAMA,
    "Qwen2ForCausalLM": MODEL_ARCH.QWEN2,
    "Qwen3ForCausalLM": MODEL_ARCH.QWEN3,
}


@dataclass(frozen=True, slots=True)
class ModelShape:
    """Sizes and constants that fix the GGUF form of a decoder."""

    architecture: MODEL_ARCH
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary_size: int
    context_length: int
    rms_epsilon: float
    rope_base: float
    rope_factors: tuple[float, ...]
    """Divisors of the rotary frequencies, one for each pair of a head; empty where they are all 1."""
    tied: bool

    def matrices(self) -> dict[str, tuple[int, int]]:
        """Return rows and columns of every weight matrix, by its Hugging Face module name."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        block = {
            "self_attn.q_proj": (queries, self.hidden),
            "self_attn.k_proj": (keys, self.hidden),
            "self_attn.v_proj": (keys, self.hidden),
            "self_attn.o_proj": (self.hidden, queries),
            "mlp.gate_proj": (self.feed_forward, self.hidden),
            "mlp.up_proj": (self.feed_forward, self.hidden),
            "mlp.down_proj": (self.hidden, self.feed_forward),
        }
        found = {f"model.layers.{i}.{module}": dims for i in range(self.layers) for module, dims in block.items()}
        found["model.embed_tokens"] = (self.vocabulary_size, self.hidden)
        if not self.tied:
            found["lm_head"] = (self.vocabulary_size, self.hidden)
        return found


def read_json(path: Path) -> dict[str, object]:
    """Return a JSON object read from a file of a model folder."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ExportError(f"cannot read {path} ({error}); give a complete Hugging Face folder") from error
    if not isinstance(content, dict):
        raise ExportError(f"{path} holds no JSON object; give a complete Hugging Face folder")
    return content


def read_shape(model_dir: Path) -> ModelShape:
    """Return the shape of the model in a folder.

    Raises:
        ExportError: unreadable, not one of `ARCHITECTURES`, or with a feature that would be lost.

    """
    architecture = _architecture(model_dir, read_json(model_dir / "config.json"))
    try:
        config = AutoConfig.from_pretrained(model_dir, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise ExportError(f"transformers cannot read {model_dir / 'config.json'}: {error}") from error
    _refuse_unfaithful(model_dir, architecture, config)
    return _shape(architecture, config)


def _architecture(model_dir: Path, config: Mapping[str, object]) -> MODEL_ARCH:
    named = config.get("architectures")
    name = named[0] if isinstance(named, list) and len(named) == 1 else named
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise ExportError(
            f"{model_dir} is of architecture {name!r}; choose a base that is one of {list(ARCHITECTURES)}"
        )
    if config.get("quantization_config"):
        raise ExportError(
            f"{model_dir} holds quantized weights; give the unquantized folder, the GGUF is quantized after"
        )
    return ARCHITECTURES[name]


def _refuse_unfaithful(model_dir: Path, architecture: MODEL_ARCH, config: PretrainedConfig) -> None:
    rope = config.rope_parameters
    attention = set(getattr(config, "layer_types", None) or ["full_attention"])
    features: tuple[tuple[str, object, tuple[object, ...]], ...] = (
        ("hidden_act", config.hidden_act, ("silu",)),
        ("rope_type", rope["rope_type"], ("default", "llama3")),
        ("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0), (1.0,)),
        ("layer_types", sorted(attention), (["full_attention"],)),
        # llama.cpp has no place for the output projection's bias in Qwen3.
        ("attention_bias", architecture is MODEL_ARCH.QWEN3 and config.attention_bias, (False,)),
    )
    for feature, found, known in features:
        if found not in known:
            raise ExportError(
                f"{model_dir} has {feature} {found!r}; only {list(known)} can be exported, choose such a base"
            )


def _shape(architecture: MODEL_ARCH, config: PretrainedConfig) -> ModelShape:
    return ModelShape(
        architecture=architecture,
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        feed_forward=config.intermediate_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        vocabulary_size=config.vocab_size,
        context_length=config.max_position_embeddings,
        rms_epsilon=config.rms_norm_eps,
        rope_base=config.rope_parameters["rope_theta"],
        rope_factors=_rope_factors(config),
        tied=config.tie_word_embeddings,
    )


def _rope_factors(config: PretrainedConfig) -> tuple[float, ...]:
    """Return what llama.cpp divides the plain rotary frequencies by to reach those of transformers."""
    if config.rope_parameters["rope_type"] == "default":
        return ()
    scaled, _ = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, None)
    pairs = len(scaled)
    plain = [config.rope_parameters["rope_theta"] ** (-pair / pairs) for pair in range(pairs)]
    return tuple(frequency / float(value) for frequency, value in zip(plain, scaled, strict=True))
