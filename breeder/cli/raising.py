"""`seedling train`: raise a base model from scratch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import report
from router.cli.frame import say

if TYPE_CHECKING:
    from breeder.seedling.pretrain import Progress

app = typer.Typer(no_args_is_help=True, help="The shipped base model.")


@app.callback()
def group() -> None:
    """The shipped base model."""


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="Folder for the finished model.")],
    recipe: Annotated[Path, typer.Option("--recipe", help="TOML file.")] = Path("recipes/seedling.toml"),
    start: Annotated[Path | None, typer.Option("--start", help="A finished seedling to train further.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on from an earlier run's checkpoints.")] = False,
) -> None:
    """Pretrain a seedling; interrupted, it goes on when repeated."""
    from breeder.seedling.pretrain import raise_seedling
    from breeder.seedling.recipe import load_recipe

    data = os.environ.get("MODELBREEDER_DATA")
    made = raise_seedling(
        load_recipe(recipe),
        out,
        data=Path(data) if data else None,
        start=start,
        resume=not fresh,
        on_progress=_tell,
    )
    say(f"{made.folder}: {made.tokens:,} tokens in {made.elapsed_s / 60:.0f} min, loss {made.loss}")
    for family, share in made.exact.items():
        say(f"  {family}: {share:.0%} exact")


def _tell(progress: Progress) -> None:
    report(
        f"step {progress.step}, {progress.share:.0%}, {progress.tokens:,} tokens, loss {progress.loss}, "
        f"{progress.tokens_per_s:,.0f} tokens/s"
    )
    if progress.exact:
        report(f"  exact on fresh tasks: {sum(progress.exact.values()) / len(progress.exact):.0%} over all families")
