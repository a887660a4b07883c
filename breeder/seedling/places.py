"""Where a pretraining run reads and writes, checked before anything is made."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from breeder.seedling.exported import check_start
from breeder.seedling.recipe import SeedlingRecipe
from registry.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run writes its result and its state, and reads public data and earlier weights."""

    out: Path
    work: Path
    data: Path | None = None
    start: Path | None = None


def recipe_digest(recipe: SeedlingRecipe, start: Path | None = None) -> str:
    """SHA-256 of the resolved recipe and of the folder that it starts from; names a run.

    Not of that folder's weights: a run that starts from `out` replaces them as it goes.
    """
    started = f"\n{start.resolve()}" if start else ""
    return hashlib.sha256(f"{recipe.model_dump_json()}{started}".encode()).hexdigest()


def run_places(recipe: SeedlingRecipe, out: Path, *, data: Path | None = None, start: Path | None = None) -> Places:
    """Return the places of a run; its state lies in `OUT.work`, in a folder named by recipe and start.

    Raises:
        NotFoundError: `start` holds no seedling; ConfigError: it has another shape or vocabulary, or nothing can be
        written at `out`.
    """
    if start:
        check_start(start, recipe)
    out = out.expanduser().resolve()
    works = out.with_name(out.name + ".work")
    try:
        works.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}; choose another --out") from error
    if out.exists() and not out.is_dir():
        raise ConfigError(f"{out} cannot be written: it is a file; choose another --out")
    for folder in (out, works):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise ConfigError(f"{folder} cannot be written: it is not yours; choose another --out")
    return Places(out, works / recipe_digest(recipe, start)[:12], data, start)
