"""`workflows ls|rename`: what repeats, named or not yet, and its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import opened, report
from router.cli.frame import JsonOption, say, say_json, say_table, short

if TYPE_CHECKING:
    from breeder.adoption import Gathered
    from breeder.deps import Deps

app = typer.Typer(no_args_is_help=True, help="Workflows, and candidates: what repeats and nobody has named yet.")
DaysOption = Annotated[float, typer.Option(min=0.01, help="How far back to look for candidates.")]
LimitOption = Annotated[int, typer.Option(min=1, help="Look at so many unnamed interactions, newest first.")]
LeastOption = Annotated[int, typer.Option(min=2, help="Different prompts that make a candidate.")]


@app.command()
def ls(
    context: typer.Context,
    days: DaysOption = 28,
    limit: LimitOption = 20_000,
    least: LeastOption = 10,
    as_json: JsonOption = False,
) -> None:
    """List workflows, then the candidates that gathered from prompts of none."""
    with opened(context) as deps:
        found = _candidates(deps, days, limit, least)
        known = _known(deps, found)
    free = [one for one in found if not one.claimed]
    if as_json:
        say_json({"workflows": known, "candidates": [_told(one) for one in free]})
        return
    say_table(
        ("workflow", "champion", "tasks", "recognised by", "breed again"),
        [
            (str(one["name"]), str(one["champion"] or "-"), str(one["tasks"]), _means(one), str(one["rebreed"] or "-"))
            for one in known
        ],
    )
    if free:
        say("")
        say_table(("candidate", "tasks", "cloud", "usd", "example", "made from"), map(_row, free))
        report(f"`modelbreeder workflows rename {free[0].name} NAME` makes the first a workflow")


@app.command()
def rename(
    context: typer.Context,
    candidate: Annotated[str, typer.Argument(help="Its suggested name, or the id of one of its interactions.")],
    name: Annotated[str, typer.Argument(help="A new workflow's name, or that of one to which it belongs.")],
    days: DaysOption = 28,
    limit: LimitOption = 20_000,
    least: LeastOption = 10,
) -> None:
    """Make a candidate a workflow of your naming: new traffic is matched, and mining finds the old."""
    from breeder.adoption import adopt

    with opened(context) as deps:
        workflow = adopt(deps, _candidates(deps, days, limit, least), candidate, name)
    say(f"{workflow.name} is recognised by {_means(_marks(workflow.fingerprints, workflow.likeness))}")


def _candidates(deps: Deps, days: float, limit: int, least: int) -> list[Gathered]:
    from breeder.adoption import look

    return look(deps, since=deps.now() - timedelta(days=days), limit=limit, least=least)


def _known(deps: Deps, found: Sequence[Gathered]) -> list[dict[str, object]]:
    """Return what is told of each workflow; its tasks are those named so, and older ones that it was given since."""
    given = Counter(sighting.claimed for one in found for sighting in one.sightings if sighting.first)
    champions = {champion.workflow.name: champion.specialist.name for champion in deps.catalog.champions()}
    return [
        {
            "name": one.name,
            "champion": champions.get(one.name),
            "tasks": deps.ledger.count(workflow=one.name) + given[one.name],
            **_marks(one.fingerprints, one.likeness),
            "rebreed": one.rebreed or None,
        }
        for one in deps.catalog.workflows()
    ]


def _marks(fingerprints: tuple[str, ...], likeness: str) -> dict[str, object]:
    return {"fingerprints": len(fingerprints), "by_likeness": bool(likeness)}


def _means(marks: dict[str, object]) -> str:
    count = marks["fingerprints"]
    exact = f"{count} exact template{'' if count == 1 else 's'}" if count else ""
    return " and ".join(filter(None, (exact, "likeness" if marks["by_likeness"] else ""))) or "its name alone"


def _told(one: Gathered) -> dict[str, object]:
    return {
        "name": one.name,
        "tasks": one.tasks,
        "cloud_share": one.cloud_share,
        "cost_usd": one.cost_usd,
        "example": one.example,
        "line": one.line,
    }


def _row(one: Gathered) -> tuple[str, ...]:
    share = f"{one.cloud_share:.0%}"
    return one.name, str(one.tasks), share, short(one.cost_usd), one.example, one.line[:60]
