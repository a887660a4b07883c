"""`policy check|replay`: validate a policy; say what the past days would have been under another one."""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.entities import Lane
from registry.errors import ConfigError, NotFoundError
from registry.home import Home
from router.cli.frame import JsonOption, home_of, say, say_json, say_table, settings_of

if TYPE_CHECKING:
    from registry.database import Database
    from registry.settings import Settings
    from router.policy_check import Problem
    from router.replayed import Money, Replay

app = typer.Typer(no_args_is_help=True, help="Check a policy; replay the past days under another one.")

FileArgument = Annotated[Path, typer.Argument(metavar="NEW.toml", help="A whole modelbreeder.toml.")]


@app.command()
def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Else the home's modelbreeder.toml.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a configuration and list its rules in the order in which they are tried; exits with 2 if it is wrong."""
    from registry.ids import utc_now
    from router.explaining import plain
    from router.policy_check import notes, steps
    from router.setting_notes import setting_notes

    where = file or home_of(context).config_file
    try:
        settings, found = _checked(context, file)
    except ConfigError as error:
        if as_json:
            wrong = [{"rule": None, "what": str(error)}]
            say_json({"file": str(where), "ok": False, "problems": wrong, "notes": [], "rules": []})
        raise
    left, rules = [*notes(settings), *setting_notes(settings, utc_now())], steps(settings.policy)
    if as_json:
        say_json(plain({"file": str(where), "ok": not found, "problems": found, "notes": left, "rules": rules}))
    else:
        listed = enumerate(rules, 1)
        say_table(
            ("", "rule", "lane", "when"),
            [(str(number), step.name, step.lane or "-", step.what) for number, step in listed],
        )
        for line in (*(f"wrong: {one.line}" for one in found), *(f"note: {line}" for line in left)):
            say(line)
        if not found:
            say(f"{where}: {_all_well(where, len(left))}")
    if found:
        counted = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise ConfigError(f"{where}: {counted} in its policy; mend or remove what is named")


def _all_well(where: Path, notes: int) -> str:
    if not where.exists():
        return "there is no such file, so the defaults hold; modelbreeder init"
    counted = "1 note" if notes == 1 else f"{notes} notes"
    return f"nothing is wrong; {counted} above" if notes else "nothing is wrong"


def _checked(context: typer.Context, file: Path | None) -> tuple[Settings, list[Problem]]:
    """Return settings that the daemon would load, and what is wrong with them all the same."""
    from registry.retention import unknown_classes
    from router.policy_check import Problem
    from router.reloading import open_rulebook

    settings = _read(file) if file else settings_of(home_of(context))
    problems = asyncio.run(open_rulebook(settings)).problems
    return settings, [*problems, *(Problem(None, line) for line in unknown_classes(settings))]


@app.command()
def replay(
    context: typer.Context,
    file: FileArgument,
    days: Annotated[float, typer.Option(min=0.01, help="How far back.")] = 7,
    examples: Annotated[int, typer.Option(min=0, help="Interactions to name of each kind of change.")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Say what another policy would have done with the tasks of the past days; nothing is sent or changed."""
    from router.explaining import plain

    home = home_of(context)
    new = _read(file)
    found = _replay(home, settings_of(home), new, days, examples)
    if as_json:
        say_json(plain({"file": str(file), "days": days, "specialists": "of today", **_as_dict(found)}))
    else:
        _show(found, file, days)


def _read(file: Path) -> Settings:
    from registry.settings import load_settings

    if not file.is_file():
        raise NotFoundError(f"{file} is not there; name a modelbreeder.toml")
    return load_settings(file)


def _replay(home: Home, present: Settings, new: Settings, days: float, examples: int) -> Replay:
    from registry.catalog import Catalog
    from registry.entities import Purpose
    from registry.ids import new_id, utc_now
    from registry.ledger import Ledger, new_writer_id
    from registry.processes import this_process
    from router.deps import NO_ENGINE
    from router.pricing import Prices
    from router.recording import Latencies
    from router.reloading import open_rulebook
    from router.replaying import Replayer, replay
    from router.standings import Registry

    missing = "" if importlib.util.find_spec("llama_cpp") else NO_ENGINE
    latencies, rulebooks = Latencies(), [asyncio.run(open_rulebook(one)) for one in (present, new)]
    with _opened(home, present) as database:
        registry = Registry(Catalog(database), time.monotonic)
        prices = Prices(new.upstreams)
        now = Replayer(rulebooks[0], registry, Prices(present.upstreams), latencies, missing)
        then = Replayer(rulebooks[1], registry, prices, latencies, missing)
        ledger = Ledger(database, new_writer_id("cli", this_process(), new_id), new_id)
        purposes = {Purpose.USER, present.ledger.purpose}
        rows = ledger.interactions(purposes=purposes, since=utc_now() - timedelta(days=days))
        return replay(rows, now, then, prices, latencies, examples)


@contextmanager
def _opened(home: Home, settings: Settings) -> Iterator[Database]:
    from registry.home_database import open_home_database

    home.prepare()
    database = open_home_database(home, settings.ledger)
    try:
        yield database
    finally:
        database.close()


def _as_dict(found: Replay) -> dict[str, object]:
    from dataclasses import asdict

    lanes = {"lanes_before": found.lanes_before, "lanes_after": found.lanes_after}
    return asdict(found) | {key: {lane.value: n for lane, n in counts.items()} for key, counts in lanes.items()}


def _show(found: Replay, file: Path, days: float) -> None:
    say(f"{found.tasks:,} tasks of the past {days:g} days under {file}, with today's specialists; nothing was sent.")
    lanes = [(lane, f"{found.lanes_before[lane]:,}", f"{found.lanes_after[lane]:,}") for lane in Lane]
    say_table(("lane", "before", "after"), [*lanes, ("cost", _told(found.cost_before), _told(found.cost_after))])
    moves = [
        (
            move.workflow or "-",
            f"{move.lane_before} {move.model_before}",
            f"{move.lane_after} {move.model_after}",
            move.rule_after,
            f"{move.tasks:,}",
            f"{move.by_policy:,}",
            " ".join(move.examples),
        )
        for move in found.moves
    ]
    if moves:
        say("")
        say_table(("workflow", "from", "to", "rule", "tasks", "by policy", "as in"), moves)
        say("(by policy: the others move under the present policy too, as specialists have moved since)")
    refused = [
        (one.client, one.workflow or "-", f"{one.tasks:,}", f"{one.rule}: {one.reason}", " ".join(one.examples))
        for one in found.refused
    ]
    if refused:
        say("")
        say_table(("refused client", "workflow", "tasks", "why", "as in"), refused)
    say("Not played again: budgets, lanes that tool loops kept, failures, and checks of answers.")
    for why, count in found.left_out.items():
        say(f"{count:,} tasks are left out: {why}")


def _told(money: Money) -> str:
    unknown = f", and {money.unknown:,} tasks at a cost that is not known" if money.unknown else ""
    return f"${money.usd:,.4f}{unknown}"
