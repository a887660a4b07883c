"""The rungs of the right-size ladder by name, simplest first. Light: the command line imports it."""

from __future__ import annotations

from enum import StrEnum


class Rung(StrEnum):
    """A kind of candidate, and where on the ladder it is tried."""

    TABLE = "table"
    LINEAR = "linear"
    FEW_SHOT = "few-shot"
    LORA = "lora"
