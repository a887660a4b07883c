"""The folder of a finished seedling: written whole, and read again where one is trained further."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from breeder.seedling.checkpoint import load_weights, write_text
from breeder.seedling.model import build_model
from breeder.seedling.recipe import SeedlingRecipe
from breeder.seedling.vocabulary import wrap_tokenizer
from registry.errors import ArtifactError, ConfigError, NotFoundError

_TOLD = "recipe.json"


def export_seedling(
    model: LlamaForCausalLM, tokenizer: Tokenizer, out: Path, recipe: SeedlingRecipe, told: dict[str, object]
) -> None:
    """Write the folder that `from_pretrained` loads, each file replaced whole, the recipe last."""
    fresh = out.with_name(out.name + ".partial")
    shutil.rmtree(fresh, ignore_errors=True)
    copy = build_model(recipe.shape, tokenizer.get_vocab_size(), recipe.seed)
    copy.load_state_dict(model.state_dict())
    copy.config.use_cache = True
    torch.nn.Module.half(copy)  # the typed one; transformers wraps its own
    copy.save_pretrained(fresh)
    (fresh / "generation_config.json").unlink(missing_ok=True)
    wrap_tokenizer(tokenizer, recipe.shape.max_positions).save_pretrained(fresh)
    write_text(fresh / _TOLD, json.dumps({"recipe": recipe.model_dump(mode="json"), **told}, indent=1))
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(fresh.iterdir(), key=lambda path: path.name == _TOLD):
        path.chmod(0o644)
        path.replace(out / path.name)
    fresh.rmdir()


def check_start(start: Path, recipe: SeedlingRecipe) -> int:
    """Check that a seedling can be trained further by a recipe; returns the tokens that it has seen.

    Raises:
        NotFoundError: the folder holds no seedling; ConfigError: it has another shape or vocabulary.
    """
    try:
        told = json.loads((start / _TOLD).read_text(encoding="utf-8"))
        made = SeedlingRecipe.model_validate(told["recipe"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFoundError(f"{start} is no exported seedling: its {_TOLD} cannot be read; name another") from error
    missing = [name for name in ("model.safetensors", "tokenizer.json") if not (start / name).is_file()]
    if missing:
        raise NotFoundError(f"{start} is no exported seedling: it lacks {missing[0]}; name another")
    theirs = made.shape.model_dump() | {"vocabulary_size": made.tokenizer.vocabulary_size}
    ours = recipe.shape.model_dump() | {"vocabulary_size": recipe.tokenizer.vocabulary_size}
    different = [f"{name} {theirs[name]}, not {ours[name]}" for name in ours if theirs[name] != ours[name]]
    if different:
        raise ConfigError(f"{start} has {', '.join(different)} as in the recipe; copy the values of its {_TOLD}")
    return int(told["tokens"])


def load_start(start: Path, model: LlamaForCausalLM) -> None:
    """Load the weights of a checked seedling.

    Raises:
        ArtifactError: they are missing or damaged.
    """
    try:
        load_weights(model, start)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ArtifactError(f"the weights of {start} cannot be loaded: {error}; make the seedling again") from error
