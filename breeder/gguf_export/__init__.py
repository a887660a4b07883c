"""Hugging Face folders and peft adapters to GGUF by our own mapping, with the checks that the engine agrees."""

from breeder.gguf_export.adapter import export_adapter
from breeder.gguf_export.base import export_base
from breeder.gguf_export.gguf_file import GgufFile, WeightType
from breeder.gguf_export.merged import merge_and_export
from breeder.gguf_export.parity import TokenMismatch, largest_logit_difference, token_mismatches
from breeder.gguf_export.quantize import Quantization, quantize

__all__ = [
    "GgufFile",
    "Quantization",
    "TokenMismatch",
    "WeightType",
    "export_adapter",
    "export_base",
    "largest_logit_difference",
    "merge_and_export",
    "quantize",
    "token_mismatches",
]
