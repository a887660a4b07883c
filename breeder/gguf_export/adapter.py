"""peft LoRA adapters to GGUF LoRA: one scale for the whole file, so what differs by module is folded into B.

Embeddings that were trained whole become a pair too: the identity and the difference to the base.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import torch
from gguf import MODEL_ARCH_NAMES, GGUFType, GGUFWriter, Keys
from peft.utils.other import get_pattern_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from breeder.gguf_export.gguf_file import GgufFile, PlannedTensor, WeightType, write_gguf
from breeder.gguf_export.mapping import arranged, gguf_names
from breeder.gguf_export.shape import ModelShape, read_json, read_shape
from breeder.gguf_export.weights import Weights, open_file, open_weights
from registry.errors import ExportError

BASE_SHA256_KEY: Final = "modelbreeder.base_sha256"

_EMBEDDINGS: Final = "model.embed_tokens"
_SAVED: Final = f"base_model.model.{_EMBEDDINGS}.weight"
_LORA_NAME: Final = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB])\.weight")
_PLAIN_INITS: Final = (True, False, "gaussian", "eva", "orthogonal")
_REFUSED: Final = (
    "alora_invocation_tokens",
    "arrow_config",
    "corda_config",
    "fan_in_fan_out",
    "kasa_config",
    "layer_replication",
    "lora_bias",
    "lora_ga_config",
    "monteclora_config",
    "target_parameters",
    "trainable_token_indices",
    "use_bdlora",
    "use_dora",
    "use_qalora",
    "velora_config",
)
"""peft settings that, when set, make the update something else than B @ A of the named base."""


class _LoraSettings(BaseModel):
    """The part of adapter_config.json that fixes the arithmetic."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    r: int = Field(gt=0)
    lora_alpha: float = Field(gt=0)
    use_rslora: bool = False
    alpha_pattern: dict[str, float] = Field(default_factory=dict)
    modules_to_save: list[str] | None = None


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The update of one module: `scale * up @ down`, `down` (rank, columns) and `up` (rows, rank) in float32."""

    module: str
    down: torch.Tensor
    up: torch.Tensor
    scale: float

    @property
    def rank(self) -> int:
        """Return the inner dimension."""
        return self.down.shape[0]


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter; `alpha` is the file-wide number that llama.cpp divides by each pair's rank."""

    alpha: float
    pairs: tuple[LoraPair, ...]


def export_adapter(
    adapter_dir: Path, base_dir: Path, out: Path, *, dtype: WeightType = "f32", base_sha256: str | None = None
) -> GgufFile:
    """Write a peft LoRA adapter folder as GGUF LoRA for the base whose config.json lies in `base_dir`.

    The base's weights must lie there too where the adapter holds embeddings; its GGUF needs `output_apart` then.

    `base_sha256`, the digest of the base GGUF that the adapter will be attached to, is kept under
    `modelbreeder.base_sha256`.

    Raises:
        ExportError: the adapter is more than LoRA on linear layers and embeddings, or belongs to another base.

    """
    shape = read_shape(base_dir)
    adapter = read_adapter(adapter_dir, shape, base_dir)
    writer = GGUFWriter(None, MODEL_ARCH_NAMES[shape.architecture])
    writer.add_type(GGUFType.ADAPTER)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, adapter.alpha)
    if base_sha256 is not None:
        writer.add_string(BASE_SHA256_KEY, base_sha256)
    return write_gguf(writer, _planned(shape, adapter, dtype), out)


def read_adapter(adapter_dir: Path, shape: ModelShape, base_dir: Path) -> Adapter:
    """Return the adapter of a peft folder, checked against the shape of its base."""
    settings = _settings(adapter_dir / "adapter_config.json")
    weights = open_file(adapter_dir / "adapter_model.safetensors")
    pairs = [_embedding_pair(adapter_dir, shape, weights, base_dir)] if settings.modules_to_save else []
    modules = _modules(adapter_dir, weights, _saved_names(shape) if settings.modules_to_save else ())
    pairs += [_pair(adapter_dir, settings, shape, weights, module) for module in modules]
    return Adapter(settings.lora_alpha, tuple(pairs))


def _saved_names(shape: ModelShape) -> tuple[str, ...]:
    """Return the names of trained embeddings; where the output is tied to them, peft stores them twice."""
    return (_SAVED, "base_model.model.lm_head.weight") if shape.tied else (_SAVED,)


def _embedding_pair(adapter_dir: Path, shape: ModelShape, weights: Weights, base_dir: Path) -> LoraPair:
    dims = shape.matrices()[_EMBEDDINGS]
    found = weights.dims(_SAVED) if _SAVED in weights.files else None
    if found != dims:
        raise ExportError(f"{adapter_dir} holds embeddings of {found}, but the base has {dims}; give its own base")
    moved = weights.load(_SAVED) - open_weights(base_dir).load(f"{_EMBEDDINGS}.weight")
    return LoraPair(_EMBEDDINGS, torch.eye(dims[1]), moved, 1.0)


def _settings(path: Path) -> _LoraSettings:
    config = read_json(path)
    found = {key: config[key] for key in _REFUSED if config.get(key)}
    if config.get("peft_type") != "LORA":
        found["peft_type"] = config.get("peft_type")
    saved = config.get("modules_to_save")
    if saved and not (isinstance(saved, list) and set(saved) <= {"embed_tokens", _EMBEDDINGS}):
        found["modules_to_save"] = saved
    if config.get("bias", "none") != "none":
        found["bias"] = config["bias"]
    if config.get("init_lora_weights", True) not in _PLAIN_INITS:
        found["init_lora_weights"] = config["init_lora_weights"]
    if found:
        raise ExportError(f"{path} sets {found}, which GGUF LoRA cannot hold; train plain LoRA on linear layers")
    try:
        return _LoraSettings.model_validate(config)
    except ValidationError as error:
        raise ExportError(f"{path} cannot be used: {error.errors()[0]['msg']} ({error.errors()[0]['loc']})") from error


def _modules(adapter_dir: Path, weights: Weights, saved: Sequence[str]) -> list[str]:
    """Return the modules with LoRA; `saved` are the names of what was trained whole."""
    parts: dict[str, set[str]] = {}
    for name in weights.files.keys() - set(saved):
        match = _LORA_NAME.fullmatch(name)
        if match is None:
            raise ExportError(f"{adapter_dir} holds {name}, which is no LoRA of a linear layer; train without it")
        parts.setdefault(match["module"], set()).add(match["part"])
    halves = [module for module, found in parts.items() if found != {"A", "B"}]
    if halves or not parts:
        raise ExportError(
            f"{adapter_dir} has no complete pair lora_A, lora_B for {halves or 'any module'}; train it again"
        )
    return sorted(parts)


def _pair(adapter_dir: Path, settings: _LoraSettings, shape: ModelShape, weights: Weights, module: str) -> LoraPair:
    dims = shape.matrices().get(module)
    if dims is None or module == _EMBEDDINGS:
        raise ExportError(
            f"{adapter_dir} adapts {module}, which is no linear layer of its own in this base; leave it out"
        )
    down, up = (weights.load(f"base_model.model.{module}.lora_{part}.weight") for part in "AB")
    if (up.shape[0], down.shape[1]) != dims or up.shape[1] != down.shape[0]:
        raise ExportError(
            f"{adapter_dir} updates {module} by {tuple(up.shape)} @ {tuple(down.shape)}, but the base has {dims};"
            " give the base that it was trained on"
        )
    return LoraPair(module, down, up, _scale(settings, module, down.shape[0]))


def _scale(settings: _LoraSettings, module: str, rank: int) -> float:
    alpha = settings.alpha_pattern.get(get_pattern_key(list(settings.alpha_pattern), module), settings.lora_alpha)
    return alpha / (math.sqrt(rank) if settings.use_rslora else rank)


def _planned(shape: ModelShape, adapter: Adapter, dtype: WeightType) -> list[PlannedTensor]:
    names: Mapping[str, str] = gguf_names(shape, [f"{pair.module}.weight" for pair in adapter.pairs])
    planned = []
    for pair in adapter.pairs:
        if pair.module == _EMBEDDINGS:
            planned += _planned_embeddings(shape, adapter, pair, dtype)
            continue
        name = names[f"{pair.module}.weight"]
        planned.append(PlannedTensor(f"{name}.lora_a", tuple(pair.down.shape), dtype, partial(_unchanged, pair)))
        up = partial(_folded, shape, adapter, pair)
        planned.append(PlannedTensor(f"{name}.lora_b", tuple(pair.up.shape), dtype, up))
    return planned


def _planned_embeddings(shape: ModelShape, adapter: Adapter, pair: LoraPair, dtype: WeightType) -> list[PlannedTensor]:
    """Return the update of the input embeddings, which llama.cpp wants transposed, and of an output tied to them."""
    moved, whole = partial(_folded, shape, adapter, pair), partial(_unchanged, pair)
    up, down = tuple(pair.up.shape), tuple(pair.down.shape)
    planned = [
        PlannedTensor("token_embd.weight.lora_a", up, dtype, moved),
        PlannedTensor("token_embd.weight.lora_b", down, dtype, whole),
    ]
    if shape.tied:
        planned.append(PlannedTensor("output.weight.lora_a", down, dtype, whole))
        planned.append(PlannedTensor("output.weight.lora_b", up, dtype, moved))
    return planned


def _unchanged(pair: LoraPair) -> torch.Tensor:
    return pair.down


def _folded(shape: ModelShape, adapter: Adapter, pair: LoraPair) -> torch.Tensor:
    """Return B such that llama.cpp's alpha / rank times B @ A is the pair's own update."""
    return arranged(shape, pair.module, pair.up * (pair.scale * pair.rank / adapter.alpha))
