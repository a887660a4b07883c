"""The typed recipe of a seedling: shape, tokenizer, schedule. Pure but for `load_recipe`, which reads one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_STRICT = ConfigDict(frozen=True, extra="forbid")


class SeedlingShape(BaseModel):
    """The Llama shape."""

    model_config = _STRICT
    hidden_size: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 64
    intermediate_size: int = 768
    """A multiple of 256, so that K-quants of llama.cpp apply."""
    rope_theta: float = 1000.0
    """Low on purpose: copying heads appear far sooner than with 10,000."""
    max_positions: int = 2048


class TokenizerRecipe(BaseModel):
    """The byte-level BPE tokenizer."""

    model_config = _STRICT
    vocabulary_size: int = Field(default=1024, ge=300)
    """Entries, special tokens and the 256 bytes included."""
    examples: int = 20_000
    """Generated examples that the merges are learnt from."""
    text_bytes: int = 6_000_000
    """Bytes of plain text that the merges are learnt from, where a corpus is at hand."""


class Phase(BaseModel):
    """One stretch of training with a fixed batch shape and mixture."""

    model_config = _STRICT
    until: float = Field(gt=0, le=1)
    """Share of the whole schedule at which the phase ends."""
    rows: int = 16
    length: int = 256
    """Tokens per row."""
    repeat_share: float = Field(default=0, ge=0, le=1)
    """Share of rows that hold repeated random tokens, which induce copying heads."""
    text_share: float = Field(default=0, ge=0, le=1)
    """Share of rows that hold plain text, where a corpus is at hand."""


class SeedlingRecipe(BaseModel):
    """Everything that determines a seedling but the speed of the machine."""

    model_config = _STRICT
    seed: int = 1
    shape: SeedlingShape = SeedlingShape()
    tokenizer: TokenizerRecipe = TokenizerRecipe()
    minutes: float | None = 60.0
    """Wall-clock budget that the schedule follows; exclusive with `steps`."""
    steps: int | None = None
    """Optimizer steps that the schedule follows; makes the result repeatable."""
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    decay_from: float = Field(default=0.35, ge=0, lt=1)
    """Share of the schedule from which the learning rate falls linearly to zero."""
    weight_decay: float = 0.1
    """On matrices, not on norms."""
    grad_clip: float = 1.0
    phases: tuple[Phase, ...] = (Phase(until=1.0),)
    text_shards: tuple[str, ...] = ()
    """Names of shards under `corpus/` of the data folder; missing ones are skipped."""
    text_limit_bytes: int = 16_000_000
    checkpoint_minutes: float = 5.0
    export_minutes: float = 10.0
    score_minutes: float = 4.0
    score_examples: int = 20
    """Fresh examples of each family for exact match."""
    threads: int = 2

    @model_validator(mode="after")
    def _one_schedule(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError(f"give exactly one of minutes ({self.minutes}) and steps ({self.steps})")
        ends = [phase.until for phase in self.phases]
        if ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError(f"phase ends must rise to 1.0, got {ends}")
        return self

    def phase_at(self, progress: float) -> Phase:
        """The phase that a share of the schedule falls in."""
        return next((phase for phase in self.phases if progress < phase.until), self.phases[-1])

    def rate_at(self, progress: float, step: int) -> float:
        """Learning rate: linear warm-up by steps, flat, then linear to zero."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        fall = min(1.0, max(0.0, (1.0 - progress) / (1.0 - self.decay_from)))
        return self.learning_rate * warm * fall


def load_recipe(path: Path) -> SeedlingRecipe:
    """Read and check a recipe; a wrong or unknown field fails with its name."""
    return SeedlingRecipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
