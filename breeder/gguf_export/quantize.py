"""Quantized copies of a GGUF file, made by llama.cpp and judged by what the file holds afterwards."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from gguf import LlamaFileType

from breeder.gguf_export.gguf_file import GgufFile, describe, replacing
from breeder.gguf_export.llama_process import call_llama
from registry.errors import ExportError

_UNQUANTIZED: Final = frozenset({"F32", "F16", "BF16"})


class Quantization(StrEnum):
    """Kinds that need no importance matrix, largest first."""

    Q8_0 = "Q8_0"
    Q6_K = "Q6_K"
    Q5_K_M = "Q5_K_M"
    Q5_K_S = "Q5_K_S"
    Q5_1 = "Q5_1"
    Q5_0 = "Q5_0"
    Q4_K_M = "Q4_K_M"
    Q4_K_S = "Q4_K_S"
    Q4_1 = "Q4_1"
    Q4_0 = "Q4_0"
    Q3_K_L = "Q3_K_L"
    Q3_K_M = "Q3_K_M"
    Q3_K_S = "Q3_K_S"
    Q2_K = "Q2_K"


def quantize(src: Path, dst: Path, kind: str) -> GgufFile:
    """Write `src`, a GGUF of float weights, quantized to `kind`; `types` of the result says what it became.

    llama.cpp falls back by itself where a width does not divide: at hidden size 192 a Q4_K_M holds Q5_0 and Q8_0.

    Raises:
        ExportError: unknown kind, llama.cpp refused, or every matrix kept its float type.

    """
    if kind not in list(Quantization):
        raise ExportError(f"no quantization {kind!r}; choose one of {[str(known) for known in Quantization]}")
    with replacing(dst) as part:
        call_llama("quantize", str(src), str(part), str(int(LlamaFileType[f"MOSTLY_{kind}"])))
        found = describe(part)
        if _UNQUANTIZED.issuperset(found.types):
            raise ExportError(f"{kind} left {src} at {found.types}; its widths do not divide by 32, serve it as it is")
    return replace(found, path=dst)
