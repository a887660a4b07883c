"""What the factory's commands share: progress on standard error, opened parts, recipes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.rung import Rung
from registry.errors import NotFoundError
from router.cli.frame import home_of, settings_of

if TYPE_CHECKING:
    from breeder.deps import Deps
    from breeder.recipe import Recipe

RecipeOption = Annotated[str | None, typer.Option("--recipe", help="A recipe's name, or a TOML file.")]
RungOption = Annotated[Rung, typer.Option("--rung", help="Where on the ladder to start; what is simpler is not tried.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe's value.")]


def report(line: str) -> None:
    """Tell how long work goes on, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def sockets() -> Path:
    """Return the private folder for engine sockets."""
    from registry.home import socket_folder

    folder = socket_folder(os.environ)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def opened(context: typer.Context, *, with_ledger: bool = False) -> Iterator[Deps]:
    """Give the parts of the chosen home; `with_ledger` raises NotFoundError where it has no ledger, and makes none."""
    from breeder.deps import open_deps
    from registry.database import sqlite_file

    home = home_of(context)
    settings = settings_of(home)
    file = sqlite_file(settings.ledger.url or home.database_url)
    if with_ledger and file is not None and not file.exists():
        raise NotFoundError(f"there is no ledger {file}; name its home with --home or MODELBREEDER_HOME")
    with open_deps(home, settings, sockets(), report) as deps:
        yield deps


def chosen_recipe(context: typer.Context, name: str | None, overrides: Sequence[str] | None) -> Recipe:
    """Return the named recipe, else the one that breeds on the home's base."""
    from breeder.recipe import load_recipe
    from breeder.shipped import shipped

    base = settings_of(home_of(context)).local.breeding_base
    of_base = [] if name else [f"base.model={base}"]
    return load_recipe(name or "seedling-lora", [shipped("recipes")], [*of_base, *(overrides or ())])
