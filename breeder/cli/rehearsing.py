"""`rehearse` and `demo`: the whole loop with a stand-in cloud and a stand-in user."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import RecipeOption, RungOption, SetOption, chosen_recipe, report, sockets
from breeder.rung import Rung
from router.cli.frame import JsonOption, home_of, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from breeder.recipe import Recipe
    from breeder.rehearsal.outcome import RehearsalOutcome
    from breeder.rehearsal.rehearse import Plan

AccuracyOption = Annotated[float, typer.Option(min=0, max=1, help="How often the stand-in cloud is right.")]
FeedbackOption = Annotated[float, typer.Option(min=0, max=1, help="Share of answers that the stand-in user judges.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the stand-ins.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(rehearse)
    app.command()(demo)


def rehearse(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="JSON lines of tasks, gzipped or not.")],
    cloud_accuracy: AccuracyOption = 0.95,
    feedback: FeedbackOption = 0.3,
    days: Annotated[int, typer.Option(min=1, max=365, help="Days of traffic, with breeding after each.")] = 1,
    generations: Annotated[int, typer.Option(min=1, max=20, help="Generations of each breeding.")] = 1,
    rung: RungOption = Rung.TABLE,
    limit: Annotated[int | None, typer.Option(min=1, help="First so many lines of each split.")] = None,
    seed: SeedOption = 0,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play tasks with known answers through the real router, breed on them, and show what moved."""
    from breeder.rehearsal.rehearse import Plan

    root = home_of(context).data / "rehearsals" / "-".join(file.name.split(".")[0] for file in files)[:60]
    plan = Plan(cloud_accuracy, feedback, days, generations, rung, seed)
    outcome = _play(root, files, limit, plan, chosen_recipe(context, recipe, overrides))
    _tell(outcome, root, as_json)


def demo(context: typer.Context, seed: SeedOption = 0, as_json: JsonOption = False) -> None:
    """Rehearse the shipped sample in the folder that --home names, else in one of its own."""
    from breeder.rehearsal.rehearse import Plan
    from breeder.shipped import shipped

    home = home_of(context)
    own_folder = home.config_file.parent == home.data.parent
    root = home.config_file.parent if own_folder else home.data / "rehearsals" / "demo"
    files = sorted(shipped("data/samples").glob("*.jsonl"))
    outcome = _play(root, files, None, Plan(seed=seed), chosen_recipe(context, None, None))
    _tell(outcome, root, as_json)


def _play(root: Path, files: Sequence[Path], limit: int | None, plan: Plan, recipe: Recipe) -> RehearsalOutcome:
    from breeder.rehearsal.rehearse import rehearse as play
    from breeder.rehearsal.staging import staged
    from breeder.rehearsal.tasks import read_tasks

    reading = read_tasks(files, limit)
    if reading.invalid:
        report(f"{len(reading.invalid)} lines are not valid tasks and are left out:")
        for told in reading.invalid[:10]:
            report(f"  {told}")
    with staged(root, reading.workloads, plan, sockets(), report) as stage:
        return play(stage.deps, reading.workloads, plan, recipe, stage.router_url, stage.cloud_url)


def _tell(outcome: RehearsalOutcome, root: Path, as_json: bool) -> None:
    if as_json:
        say_json(outcome.to_json())
        return
    from rich.console import Console

    from breeder.rehearsal.outcome import as_table

    Console(width=None if sys.stdout.isatty() else 160).print(as_table(outcome))
    for one in outcome.workloads:
        say(f"{one.workload}: {one.verdict}: {one.reason}")
    home = "." if root == Path.cwd() else root
    say(f"\nlook around:  modelbreeder --home {home} specialists ls")
    say(f"              modelbreeder --home {home} ledger ls")
    say(f"              modelbreeder --home {home} ui")
    say(f"              modelbreeder --home {home} serve     (local lanes only: the stand-in cloud has ended)")
