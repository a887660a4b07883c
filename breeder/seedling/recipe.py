"""The typed recipe of a seedling: shape, tokenizer, schedule. Pure but for `load_recipe`, which reads one TOML file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from registry.errors import ConfigError, NotFoundError

ALL_SHARDS = "*"
_STRICT = ConfigDict(frozen=True, extra="forbid")
_SHARD_NAME = re.compile(r"\w[\w.-]*")


class SeedlingShape(BaseModel):
    """The Llama shape."""

    model_config = _STRICT
    hidden_size: int = Field(default=256, ge=1)
    layers: int = Field(default=4, ge=1)
    heads: int = Field(default=4, ge=1)
    kv_heads: int = Field(default=2, ge=1)
    head_size: int = Field(default=64, ge=2, multiple_of=2)
    intermediate_size: int = Field(default=768, ge=1)
    """A multiple of 256, so that K-quants of llama.cpp apply."""
    rope_theta: float = Field(default=1000.0, gt=0)
    """Low on purpose: copying heads appear far sooner than with 10,000."""
    max_positions: int = Field(default=2048, ge=1)

    @model_validator(mode="after")
    def _heads_share_keys(self) -> Self:
        if self.heads % self.kv_heads:
            raise ValueError(f"heads ({self.heads}) must be a multiple of kv_heads ({self.kv_heads})")
        return self


class TokenizerRecipe(BaseModel):
    """The byte-level BPE tokenizer."""

    model_config = _STRICT
    vocabulary_size: int = Field(default=1024, ge=300, le=65_536)
    """Entries, special tokens and the 256 bytes included; ids are kept in 16 bits."""
    examples: int = Field(default=20_000, ge=1)
    """Generated examples that the merges are learnt from."""
    text_bytes: int = Field(default=6_000_000, ge=0)
    """Bytes of plain text that the merges are learnt from, where a corpus is at hand."""


class Phase(BaseModel):
    """One stretch of training with a fixed batch shape and mixture."""

    model_config = _STRICT
    until: float = Field(gt=0, le=1)
    """Share of the whole schedule at which the phase ends."""
    rows: int = Field(default=16, ge=1)
    length: int = Field(default=256, ge=32)
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
    minutes: float | None = Field(default=60.0, gt=0)
    """Wall-clock budget that the schedule follows; exclusive with `steps`."""
    steps: int | None = Field(default=None, ge=1)
    """Optimizer steps that the schedule follows; makes the result repeatable."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` moves the matrices between embedding and head; AdamW always moves the embedding and the vectors."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of AdamW."""
    muon_learning_rate: float = Field(default=3e-3, gt=0)
    """Peak learning rate of Muon, scaled so that its updates are as large as AdamW's."""
    warmup_steps: int = Field(default=100, ge=0)
    decay_from: float = Field(default=0.35, ge=0, lt=1)
    """Share of the schedule from which the learning rate falls linearly to zero."""
    weight_decay: float = Field(default=0.1, ge=0)
    """On matrices, not on norms."""
    grad_clip: float = Field(default=1.0, gt=0)
    phases: tuple[Phase, ...] = Field(default=(Phase(until=1.0),), min_length=1)
    text_shards: tuple[str, ...] = ()
    """Names of shards under `corpus/` of the data folder, `*` for all that are there; missing ones are left out."""
    text_limit_bytes: int = Field(default=16_000_000, ge=0)
    reading_share: float = Field(default=0, ge=0, le=1)
    """Share of the task examples that are drawn from real text, where a corpus is at hand."""
    packed_examples: int = Field(default=0, ge=0)
    """Examples generated beforehand into a file that batches are drawn from; 0 generates them as batches need them."""
    checkpoint_minutes: float = Field(default=5.0, ge=0)
    export_minutes: float = Field(default=10.0, ge=0)
    score_minutes: float = Field(default=4.0, ge=0)
    score_examples: int = Field(default=20, ge=1)
    """Fresh examples of each family for exact match."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is the GPU where torch sees one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 where the device computes in it, else fp32."""
    threads: int = Field(default=2, ge=1)
    """Threads that share out the rows of a batch on the CPU."""
    micro_rows: int | None = Field(default=None, ge=1)
    """Rows that a GPU takes at once, for cards that cannot hold a batch; unset takes all."""

    @model_validator(mode="before")
    @classmethod
    def _steps_replace_minutes(cls, values: object) -> object:
        """TOML has no null to unset the default budget with."""
        if isinstance(values, dict) and values.get("steps") is not None:
            return {"minutes": None, **values}
        return values

    @field_validator("text_shards")
    @classmethod
    def _shards_are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wrong = [name for name in names if name != ALL_SHARDS and not _SHARD_NAME.fullmatch(name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is no shard name: give what stands before .jsonl.gz in corpus/, or *")
        return names

    @model_validator(mode="after")
    def _schedule_holds(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError(f"give exactly one of minutes ({self.minutes}) and steps ({self.steps})")
        ends = [phase.until for phase in self.phases]
        if ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError(f"phase ends must rise to 1.0, got {ends}")
        longest = max(phase.length for phase in self.phases)
        if longest > self.shape.max_positions:
            raise ValueError(f"a phase of length {longest} is beyond shape.max_positions ({self.shape.max_positions})")
        return self

    def phase_at(self, progress: float) -> Phase:
        """The phase that a share of the schedule falls in."""
        return next((phase for phase in self.phases if progress < phase.until), self.phases[-1])

    def rate_share_at(self, progress: float, step: int) -> float:
        """Share of every peak learning rate: linear warm-up by steps, flat, then linear to zero."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return warm * min(1.0, max(0.0, (1.0 - progress) / (1.0 - self.decay_from)))


def load_recipe(path: Path) -> SeedlingRecipe:
    """Read and check a recipe.

    Raises:
        NotFoundError: there is no such file; ConfigError: it does not hold.
    """
    try:
        return SeedlingRecipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise NotFoundError(f"recipe {path} cannot be read: {error.strerror}; name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; mend that line") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "recipe"
        raise ConfigError(f"{path}: {where}: {problem['msg']} (value: {str(problem['input'])[:80]})") from error
