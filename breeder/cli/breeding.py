"""`mine`, `breed`, `evaluate`: from the ledger to a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import RecipeOption, RungOption, SetOption, chosen_recipe, opened, report
from breeder.rung import Rung
from router.cli.frame import JsonOption, say, say_json, say_table, short

if TYPE_CHECKING:
    from breeder.dataset import Dataset

WorkflowArgument = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(mine)
    app.command()(breed)
    app.command()(evaluate)


def mine(
    context: typer.Context,
    workflow: WorkflowArgument,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    show_quarantined: Annotated[
        bool, typer.Option("--show-quarantined", help="List what is held back by its interaction, and why.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Freeze a dataset from the ledger and say what was kept, what was left out, and why."""
    from breeder.breeding import freeze_workflow

    chosen = chosen_recipe(context, recipe, overrides)
    with opened(context) as deps:
        dataset = freeze_workflow(deps, workflow, chosen)
    told = _told(dataset)
    if as_json:
        say_json(told)
        return
    say(f"dataset {dataset.digest[:16]} of {workflow}, scored as {dataset.scorer}, in {dataset.folder}")
    for name, rows in dataset.rows.items():
        say(f"  {name}: {len(rows)} rows, {sum(row.judged for row in rows)} of them judged by a person")
    for reason, count in dataset.dropped.items():
        if count:
            say(f"  left out: {count}, {reason}")
    if show_quarantined:
        say_table(("interaction", "held back as"), dataset.quarantined.items())
    if dataset.quarantined:
        report("`modelbreeder feedback ID --accept` lets one in quarantine train; --show-quarantined lists them")


def _told(dataset: Dataset) -> dict[str, object]:
    return {
        "workflow": dataset.workflow,
        "digest": dataset.digest,
        "folder": str(dataset.folder),
        "scorer": dataset.scorer,
        "rows": {name: len(rows) for name, rows in dataset.rows.items()},
        "dropped": dict(dataset.dropped),
        "quarantined": dict(dataset.quarantined),
    }


def breed(
    context: typer.Context,
    workflow: WorkflowArgument,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    generations: Annotated[int, typer.Option(min=1, max=20, help="Each goes on from the best so far.")] = 1,
    rung: RungOption = Rung.TABLE,
    promote: Annotated[bool, typer.Option("--promote", help="Promote the winner if it passes.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be bred, and stop.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Breed a specialist: mine, climb the ladder from simple to trained, judge against the cloud, until one passes.

    Interrupted, it goes on when repeated.
    """
    from breeder.breeding import breed as breed_workflow
    from breeder.breeding import freeze_workflow, table_or_why_not, tasks_to_label

    chosen = chosen_recipe(context, recipe, overrides)
    with opened(context) as deps:
        if dry_run:
            dataset = freeze_workflow(deps, workflow, chosen)
            tasks = tasks_to_label(dataset, table_or_why_not(dataset, chosen, rung))
            calls = chosen.evaluation.cloud_samples * len(tasks)
            say_json({**_told(dataset), "recipe": chosen.model_dump(mode="json"), "cloud_calls": calls})
            return
        result = breed_workflow(deps, workflow, chosen, generations=generations, start=rung, promote=promote)
    if as_json:
        from dataclasses import asdict

        say_json(asdict(result))
        return
    say(f"{workflow}: {result.verdict}: {result.reason}")
    say(f"{result.specialist} ({result.kind}), margin {result.margin_lower:+.3f}, coverage {result.coverage:.0%}")
    say(f"baseline cost ${short(result.baseline_cost_usd)}, {result.seconds:.0f} s")
    if result.verdict == "pass" and result.kind != "lora" and result.coverage < 1:
        report(f"a later rung may serve more; `modelbreeder breed {workflow} --rung lora` tries it")
    if result.promoted:
        report(f"promoted; `modelbreeder rollback {workflow} --reason …` takes it back")
    elif result.verdict == "pass":
        report(f"not promoted; `modelbreeder promote {result.specialist} --reason …` does it")


def evaluate(
    context: typer.Context,
    specialist: Annotated[str, typer.Argument(metavar="SPECIALIST", help="As in commit-type@3.")],
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a specialist against the cloud again, on tasks that it was not bred on."""
    from breeder.reevaluation import evaluate as evaluate_specialist
    from router.explaining import plain

    chosen = chosen_recipe(context, recipe, overrides)
    with opened(context) as deps:
        evaluation = evaluate_specialist(deps, specialist, chosen)
    if as_json:
        say_json(plain(evaluation))
    else:
        say(f"{specialist}: {evaluation.verdict}: {evaluation.reason}")
