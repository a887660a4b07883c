"""`seedling train`: raise a base model from scratch."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import report
from router.cli.frame import home_of, say

if TYPE_CHECKING:
    from breeder.seedling.pretrain import Progress, Seedling

app = typer.Typer(no_args_is_help=True, help="The shipped base model.")


@app.callback()
def group() -> None:
    """The shipped base model."""


@app.command()
def train(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Folder for the finished model.")],
    recipe: Annotated[Path | None, typer.Option("--recipe", help="TOML file; the shipped one if not given.")] = None,
    start: Annotated[Path | None, typer.Option("--start", help="A finished seedling to train further.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not go on from an earlier run's checkpoints.")] = False,
) -> None:
    """Pretrain a seedling; interrupted, it goes on when repeated."""
    from breeder.checkpoints import sealing_key
    from breeder.progress import Paced
    from breeder.seedling.curves import tracked
    from breeder.seedling.places import run_places
    from breeder.seedling.pretrain import raise_seedling
    from breeder.seedling.recipe import load_recipe
    from breeder.shipped import shipped
    from breeder.tracking import MlflowTracker

    chosen = load_recipe(recipe or shipped("recipes") / "seedling.toml")
    data = Path(named) if (named := os.environ.get("MODELBREEDER_DATA")) else None
    places = run_places(chosen, out, data=data, start=start)
    with tracked(MlflowTracker(home_of(context).mlruns), chosen, places, resume=not fresh) as record:
        tell = _teller(Paced(report), record)
        made = raise_seedling(
            chosen,
            out,
            data=data,
            start=start,
            resume=not fresh,
            on_progress=tell,
            report=report,
            seal_key=sealing_key(home_of(context)),
        )
    _tell_end(made)


def _teller(paced: Callable[[str], None], record: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Return what shows and records progress; lines that carry a score are always shown."""

    def tell(progress: Progress) -> None:
        record(progress)
        speed = "" if progress.tokens_per_s is None else f", {progress.tokens_per_s:,.0f} tokens/s"
        line = (
            f"step {progress.step}, {progress.share:.1%} done, {_span(progress.left_s)} left, "
            f"{progress.tokens:,} tokens{speed}, loss {progress.loss}"
        )
        if progress.exact:
            mean = sum(progress.exact.values()) / len(progress.exact)
            report(f"{line}\n  exact on fresh tasks: {mean:.0%} over all families")
        else:
            paced(line)

    return tell


def _span(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _tell_end(made: Seedling) -> None:
    for family, share in made.exact.items():
        say(f"  {family}: {share:.0%} exact")
    say(f"{made.tokens:,} tokens in {made.elapsed_s / 60:.1f} min, loss {made.loss}")
    say(f"The weights are in {made.folder}")
    say(f"Breed from them: modelbreeder breed WORKFLOW --set base.model={made.folder}")
    say(f'or for all workflows of a home, in its modelbreeder.toml: [local] base = "{made.folder}"')
