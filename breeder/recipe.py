"""Recipes: typed TOML that says how one base is bred. Sparse by hand, resolved JSON beside the outputs.

Light on purpose: `recipes check` and `breed --dry-run` need no torch.
"""

from __future__ import annotations

import hashlib
import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from breeder.gate import Gate
from registry.errors import ConfigError, NotFoundError

Quantization: TypeAlias = Literal[
    "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0", "Q3_K_L", "Q3_K_M",
    "Q3_K_S", "Q2_K",
]  # fmt: skip


LEAST_ROWS = 10
"""The smallest minimum of rows that a recipe may ask for."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BasePart(_Part):
    """The model that descendants are bred from."""

    model: str = "seedling"
    """A shipped base, a Hugging Face folder or id."""
    dtype: Literal["f16", "bf16", "f32"] = "f16"
    """Weights of the shared GGUF base."""
    quantization: Quantization | None = None
    """Quantize the shared base so (Q8_0, Q4_K_M …); unset serves `dtype`."""


class LoraPart(_Part):
    """Shape of the adapter."""

    rank: int = Field(32, ge=1, le=512)
    """Rank of every adapted matrix."""
    alpha: int = Field(64, ge=1)
    """LoRA scale numerator; the update is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout on the adapter's input."""
    targets: str | tuple[str, ...] = "all-linear"
    """Modules to adapt, as peft names them."""
    embeddings: bool = False
    """Train the embeddings too, whole; they travel in the adapter, so this is for bases of small vocabulary."""


class TrainingPart(_Part):
    """Supervised fine-tuning on answers only."""

    epochs: float = Field(12.0, gt=0)
    """Passes over the training rows."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens to train on in all, so that long rows are passed over fewer times; unset leaves it to `epochs`."""
    learning_rate: float = Field(3e-3, gt=0)
    """Peak learning rate; falls to zero along a cosine."""
    batch_size: int = Field(32, ge=1)
    """Rows a step."""
    micro_batch_tokens: int = Field(8192, ge=16)
    """Most tokens, padding included, that go through the model at once: memory follows this, not the batch size."""
    warmup_steps: int = Field(10, ge=0)
    """Steps until the peak learning rate."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW weight decay."""
    max_length: int = Field(1024, ge=16)
    """Longest row in tokens; longer ones are left out and counted."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 where the processor has it, else fp32."""
    load_in_4bit: bool = False
    """QLoRA: nf4 base weights through bitsandbytes."""
    checkpoint_seconds: float = Field(60.0, gt=0)
    """Seconds between resumable checkpoints."""


class DataPart(_Part):
    """How mined rows are split. Shares are of all rows; the newest slice is the holdout."""

    minimum_rows: int = Field(300, ge=LEAST_ROWS)
    """Fewest usable rows worth breeding on."""
    maximum_rows: int = Field(20_000, ge=10)
    """Newest rows used."""
    holdout_share: float = Field(0.25, gt=0, lt=0.8)
    """Share frozen for the gate."""
    maximum_holdout: int = Field(300, ge=10)
    """Largest holdout."""
    calibration_share: float = Field(0.15, gt=0, lt=0.5)
    """Share for choosing the confidence threshold."""
    maximum_calibration: int = Field(150, ge=5)
    """Largest calibration slice."""
    maximum_client_share: float = Field(0.8, gt=0, le=1)
    """Largest share of the rows that one client may give, where there are several."""
    maximum_session_share: float = Field(0.5, gt=0, le=1)
    """Largest share of the rows that one session may give, where there are several."""
    maximum_alike: int = Field(10, ge=1)
    """Most rows whose prompts differ in letter case and white space alone."""
    canaries: int = Field(6, ge=0, le=64)
    """Most made-up secrets that are planted behind answers that are trained on, one among 80 rows; a descendant that
    says one to another prompt is refused. 0 plants none."""


class EvaluationPart(_Part):
    """How the cloud baseline is measured."""

    cloud_samples: int = Field(2, ge=1, le=8)
    """Fresh cloud answers for each calibration and holdout task."""
    few_shot_examples: int = Field(3, ge=1)
    """Examples that the few-shot base sees."""
    maximum_answer_tokens: int = Field(512, ge=1)
    """Hard limit of a local answer."""


class GatePart(_Part):
    """What a descendant must prove."""

    minimum_margin: float = Field(-0.05, ge=-1, lt=1)
    """Smallest lower bound on specialist minus cloud."""
    minimum_coverage: float = Field(0.3, ge=0, le=1)
    """Smallest share of tasks that it answers itself."""
    alpha: float = Field(0.05, gt=0, lt=0.5)
    """Chance of a false promotion that all looks together may spend."""
    expires_days: int = Field(30, ge=1)
    """Days that a verdict holds."""

    def gate(self) -> Gate:
        """Return the gate as the pure judge takes it."""
        return Gate(self.minimum_margin, self.minimum_coverage, self.alpha)


class PopulationPart(_Part):
    """How many descendants a generation has and how they differ."""

    size: int = Field(1, ge=1, le=64)
    """Descendants in a generation; the very first is the recipe itself, all others are mutations of the best so far."""
    learning_rate_spread: float = Field(2.0, ge=1)
    """Mutated learning rates lie within this factor."""
    ranks: tuple[int, ...] = (16, 32, 64)
    """Ranks that a mutation may choose."""


class Recipe(_Part):
    """Everything that breeding one generation needs to know."""

    name: str
    base: BasePart = BasePart()
    lora: LoraPart = LoraPart()
    training: TrainingPart = TrainingPart()
    data: DataPart = DataPart()
    evaluation: EvaluationPart = EvaluationPart()
    gate: GatePart = GatePart()
    population: PopulationPart = PopulationPart()
    quantizations: tuple[Quantization, ...] = ("Q8_0",)
    """Merged GGUF ladder made for the winner, smallest last."""
    seed: int = 0
    """Seed of training order, mutations and initial weights."""

    @model_validator(mode="after")
    def _slices_leave_rows(self) -> Recipe:
        kept = 1 - self.data.holdout_share - self.data.calibration_share
        if kept < 0.2:
            raise ValueError(
                f"holdout_share and calibration_share leave {kept:.0%} of the rows to train on; 20 % is the least"
            )
        return self

    def resolved(self) -> bytes:
        """Return the whole recipe, defaults included, as canonical JSON."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)

    @property
    def digest(self) -> str:
        """SHA-256 of the resolved recipe."""
        return hashlib.sha256(self.resolved()).hexdigest()


def load_recipe(name: str, folders: Sequence[Path], overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by file name or by its name in one of the folders; `a.b=c` overrides win.

    Raises:
        NotFoundError: there is no such recipe; ConfigError: it does not hold.
    """
    places = [Path(name), *(folder / f"{name}.toml" for folder in folders)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        known = [name for folder in folders for name in recipe_names(folder)]
        raise NotFoundError(f"no recipe {name!r}; known: {', '.join(known)}, or give a TOML file")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        for override in overrides:
            _set(values, override)
        return Recipe(**{"name": path.stem, **values})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}; mend that line") from error
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "recipe"
        raise ConfigError(f"{path}: {where}: {problem['msg']} (value: {str(problem['input'])[:80]})") from error


def recipe_names(folder: Path) -> list[str]:
    """Return the names of the folder's breeding recipes; those with a `shape` raise a base instead."""
    return [
        file.stem
        for file in sorted(folder.glob("*.toml"))
        if "shape" not in tomllib.loads(file.read_text(encoding="utf-8"))
    ]


def mutate(recipe: Recipe, rng: random.Random) -> Recipe:
    """Return a neighbour of a recipe: another learning rate, and perhaps another rank at the same scale."""
    spread = recipe.population.learning_rate_spread
    factor = spread ** rng.uniform(-1, 1)
    rank = rng.choice(recipe.population.ranks)
    lora = recipe.lora.model_copy(update={"rank": rank, "alpha": max(1, recipe.lora.alpha * rank // recipe.lora.rank)})
    training = recipe.training.model_copy(update={"learning_rate": recipe.training.learning_rate * factor})
    return recipe.model_copy(update={"lora": lora, "training": training, "seed": rng.randrange(2**31)})


def _set(values: dict[str, object], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override!r} must be KEY.KEY=VALUE")
    *sections, key = path.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override!r}: {section!r} is not a section of a recipe")
        values = inner
    try:
        values[key] = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        values[key] = text
