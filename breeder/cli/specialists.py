"""`specialists ls|show|lineage`: read the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import opened
from router.cli.frame import JsonOption, say, say_json, say_table, short

if TYPE_CHECKING:
    from registry.catalog import Catalog
    from registry.entities import Evaluation, Specialist

app = typer.Typer(no_args_is_help=True, help="Specialists, their evaluations and where they come from.")
NameArgument = Annotated[str, typer.Argument(metavar="SPECIALIST", help="As in commit-type@3.")]


@app.command()
def ls(
    context: typer.Context,
    workflow: Annotated[str | None, typer.Option(help="Only this workflow.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List specialists with their latest evaluation; a star marks the champion; what was withdrawn serves nobody."""
    from router.explaining import plain

    with opened(context) as deps:
        champions = {champion.specialist.name for champion in deps.catalog.champions()}
        found = [(one, _latest(deps.catalog, one)) for one in deps.catalog.specialists(workflow)]
    if as_json:
        say_json(
            [
                {
                    "name": one.name,
                    "champion": one.name in champions,
                    "specialist": plain(one),
                    "evaluation": plain(told),
                }
                for one, told in found
            ]
        )
        return
    columns = ("specialist", "champion", "kind", "gen", "verdict", "margin", "coverage", "score", "cloud", "made")
    say_table(columns, [_row(one, told, one.name in champions) for one, told in found])


@app.command()
def show(context: typer.Context, specialist: NameArgument, as_json: JsonOption = False) -> None:
    """Show one specialist whole, with every evaluation."""
    from breeder.grammars import grammar_name
    from router.explaining import plain

    with opened(context) as deps:
        one = deps.catalog.specialist(specialist)
        record = {
            "name": one.name,
            "grammar": grammar_name(one.grammar),
            "specialist": plain(one),
            "evaluations": [plain(evaluation) for evaluation in deps.catalog.evaluations(specialist)],
            "promotions": [
                plain(move) for move in deps.catalog.promotions(one.workflow) if move.specialist == one.name
            ],
        }
    if as_json:
        say_json(record)
        return
    import json

    say(json.dumps(record, ensure_ascii=False, indent=2))


@app.command()
def lineage(context: typer.Context, specialist: NameArgument, as_json: JsonOption = False) -> None:
    """Show a specialist's ancestors, oldest first, down to rows, recipe and base."""
    from router.explaining import plain

    with opened(context) as deps:
        line = deps.catalog.lineage(specialist)
    if as_json:
        say_json([plain(one) for one in line])
        return
    columns = ("specialist", "kind", "generation", "parents", "dataset", "recipe", "base", "adapter", "mlflow run")
    say_table(
        columns,
        [
            (
                one.name,
                one.kind.value,
                str(one.generation),
                ", ".join(one.parents) or "-",
                one.dataset_digest[:12],
                one.recipe_digest[:12],
                one.base_sha256[:12],
                (one.adapter_sha256 or "-")[:12],
                (one.mlflow_run_id or "-")[:12],
            )
            for one in line
        ],
    )


def _latest(catalog: Catalog, one: Specialist) -> Evaluation | None:
    evaluations = catalog.evaluations(one.name)
    return max(evaluations, key=lambda evaluation: evaluation.at_utc, default=None)


def _verdict(told: Evaluation | None) -> str:
    """Return the gate's word; a candidate that spent no alpha on a holdout was not judged, unless it was refused."""
    if told is None:
        return "-"
    return "not judged" if told.verdict == "inconclusive" and told.alpha_spent == 0 else told.verdict.value


def _row(one: Specialist, told: Evaluation | None, champion: bool) -> tuple[str, ...]:
    return (
        one.name,
        "*" if champion else "withdrawn" if one.withdrawn else "",
        one.kind.value,
        str(one.generation),
        _verdict(told),
        f"{told.margin_lower:+.3f}" if told else "-",
        f"{told.coverage:.0%}" if told else "-",
        short(told.specialist_score if told else None, digits=3),
        short(told.cloud_score if told else None, digits=3),
        f"{one.created_at_utc:%Y-%m-%d %H:%M}",
    )
