"""What llama.cpp asserts instead of checking: a base that can be loaded at all, an adapter that fits this base."""

from __future__ import annotations

from collections.abc import Iterator

from router.engine.gguf_types import BF16, F16, F32, Q8_0, ValueType
from router.engine.header import GgufHeader, TensorInfo
from router.engine.protocol import EngineFileError

_TOKEN_IDS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("bos", "eos", "eot", "eom", "unknown", "padding"))
_LORA_TYPES = (F32, F16, BF16, Q8_0)


def check_base(header: GgufHeader) -> None:
    """Raise EngineFileError unless the file is a whole model whose vocabulary is consistent."""
    flaw = next(_base_flaws(header), None)
    if flaw:
        raise EngineFileError(f"{header.path} cannot serve as a base: {flaw}; export the model again")


def _base_flaws(header: GgufHeader) -> Iterator[str]:
    if not header.text("general.architecture"):
        yield "it names no general.architecture"
    if header.text("general.type") not in (None, "model"):
        yield f"its general.type is {header.text('general.type')!r}, not 'model'"
    tokens = header.strings("tokenizer.ggml.tokens")
    if not tokens:
        yield "it has no vocabulary"
    if len(set(tokens)) != len(tokens):
        yield "its vocabulary has duplicate tokens"
    kinds = header.values.get("tokenizer.ggml.token_type", tokens)
    if not isinstance(kinds, tuple) or len(kinds) != len(tokens):
        yield "its tokens and token types differ in number"
    for key in _TOKEN_IDS:
        number = header.values.get(key, 0)
        if not isinstance(number, int) or not 0 <= number < len(tokens):
            yield f"{key} is {number!r}, outside its vocabulary of {len(tokens):,}"
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None or embedding.dims[1:] != (len(tokens),):
        yield f"its token embedding does not hold {len(tokens):,} rows"


def check_adapter(adapter: GgufHeader, base: GgufHeader) -> None:
    """Raise EngineFileError unless every tensor of a LoRA adapter fits its counterpart in the base."""
    flaw = next(_adapter_flaws(adapter, base), None)
    if flaw:
        raise EngineFileError(f"{adapter.path} is not an adapter for {base.path}: {flaw}; breed it on this base")


def _adapter_flaws(adapter: GgufHeader, base: GgufHeader) -> Iterator[str]:
    if adapter.text("general.type") != "adapter" or adapter.text("adapter.type") != "lora":
        yield "it is not a LoRA adapter"
    own, wanted = adapter.text("general.architecture"), base.text("general.architecture")
    if own != wanted:
        yield f"its architecture is {own!r}, the base's {wanted!r}"
    if adapter.types.get("adapter.lora.alpha") is not ValueType.FLOAT32:
        yield "adapter.lora.alpha is not a float32"
    if "adapter.alora.invocation_tokens" in adapter.values:
        yield "it is an activated LoRA, which this engine does not apply"
    if not adapter.tensors:
        yield "it has no tensors"
    for target in sorted(_targets(adapter)):
        yield from _pair_flaws(target, adapter, base)


def _targets(adapter: GgufHeader) -> set[str]:
    return {name.removesuffix(".lora_a").removesuffix(".lora_b") for name in adapter.tensors}


def _pair_flaws(target: str, adapter: GgufHeader, base: GgufHeader) -> Iterator[str]:
    a, b = adapter.tensors.get(f"{target}.lora_a"), adapter.tensors.get(f"{target}.lora_b")
    weight = base.tensors.get(target)
    if a is None or b is None:
        yield f"{target} has no pair of lora_a and lora_b"
    elif weight is None:
        yield f"the base has no tensor {target}"
    elif a.type not in _LORA_TYPES or b.type not in _LORA_TYPES:
        yield f"the type of {target} is none of F32, F16, BF16, Q8_0"
    elif target == "token_embd.weight" and "output.weight" not in base.tensors:
        yield "it adapts the embedding of a base whose output is tied to it, which aborts llama.cpp"
    elif not _shapes_fit(target, a, b, weight):
        yield f"{target} is {weight.dims} in the base, which {a.dims} and {b.dims} do not fit"


def _shapes_fit(target: str, a: TensorInfo, b: TensorInfo, weight: TensorInfo) -> bool:
    if {len(a.dims), len(b.dims), len(weight.dims)} != {2}:
        return False
    if target == "token_embd.weight":
        # llama.cpp looks rows up in A here, so both factors arrive transposed.
        return (b.dims[1], a.dims[1]) == weight.dims and a.dims[0] == b.dims[0]
    return (a.dims[0], b.dims[1]) == weight.dims and a.dims[1] == b.dims[0]
