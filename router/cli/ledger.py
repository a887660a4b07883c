"""`ledger ls|show|verify`: read the record, and check that nobody changed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from registry.entities import Interaction, Lane
from registry.errors import ConfigError, LedgerError, NotFoundError
from registry.home import Home
from router.cli import encrypting
from router.cli.frame import JsonOption, home_of, say, say_json, say_table, settings_of, short

if TYPE_CHECKING:
    from registry.database import Database
    from registry.ledger import Ledger

_SHOWN_IDS = 5

app = typer.Typer(no_args_is_help=True, help="Read the ledger and check its hash chain.")
app.add_typer(encrypting.app)


@app.command()
def ls(
    context: typer.Context,
    workflow: Annotated[str | None, typer.Option(help="Only this workflow.")] = None,
    lane: Annotated[Lane | None, typer.Option(help="Only this lane.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List interactions, newest first."""
    from router.explaining import plain

    with opened(home_of(context)) as ledger:
        found = list(ledger.interactions(workflow=workflow, lane=lane, limit=limit, oldest_first=False))
    if as_json:
        say_json([plain(_summary(one)) for one in found])
    else:
        say_table(
            ("interaction", "at", "workflow", "lane", "model", "status", "ms", "usd", "verdict"), map(_row, found)
        )


@app.command()
def show(
    context: typer.Context,
    interaction: Annotated[str, typer.Argument(metavar="ID", help="The interaction's id, or how it begins.")],
    as_json: JsonOption = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Only the request as it came, where ledger.keep_raw is set.")
    ] = False,
) -> None:
    """Show one interaction whole, masked as it is kept."""
    import json

    from router.explaining import plain

    with _database(home_of(context)) as database:
        ledger, found = _ledger(database), whole_id(database, interaction)
        record = ledger.raw_request(found) if raw else plain(ledger.interaction(found))
    if raw and record is None:
        raise NotFoundError(f"{interaction} is not kept as it came; ledger.keep_raw of an encrypted ledger keeps it")
    if as_json:
        say_json(record)
    else:
        say(json.dumps(record, ensure_ascii=False, indent=2))


@app.command()
def verify(context: typer.Context, as_json: JsonOption = False) -> None:
    """Recompute the hash chain of every writer; exits with 75 where it is broken."""
    from router.explaining import plain

    with opened(home_of(context)) as ledger:
        report = ledger.verify()
    if as_json:
        say_json(plain({"ok": not report.problems, "report": report}))
    else:
        found = "" if report.problems else ": intact"
        say(f"{report.events} events of {report.writers} writers, {report.tombstones} erased{found}")
        for problem in report.problems:
            say(f"broken: {problem}")
    if report.problems:
        raise LedgerError(
            f"the ledger does not verify: {len(report.problems)} problems; restore a backup or ask who changed it"
        )


@contextmanager
def opened(home: Home) -> Iterator[Ledger]:
    """Give the ledger of a home for reading."""
    with _database(home) as database:
        yield _ledger(database)


@contextmanager
def _database(home: Home) -> Iterator[Database]:
    from registry.home_database import open_home_database

    database = open_home_database(home, settings_of(home).ledger)
    try:
        yield database
    finally:
        database.close()


def _ledger(database: Database) -> Ledger:
    from registry.ids import new_id
    from registry.ledger import Ledger, new_writer_id
    from registry.processes import this_process

    return Ledger(database, new_writer_id("cli", this_process(), new_id), new_id)


def whole_id(database: Database, begins: str) -> str:
    """Return the only id that begins so, what was given where none does; ConfigError where several do."""
    from sqlalchemy import select

    from registry.tables import intents

    found = intents.c.interaction_id
    named = select(found).where(found.startswith(begins.lower(), autoescape=True)).order_by(found.desc())
    with database.read() as connection:
        ids = connection.execute(named.limit(_SHOWN_IDS + 1)).scalars().all()
    if len(ids) > 1:
        more = ", …" if len(ids) > _SHOWN_IDS else ""
        raise ConfigError(f"{begins!r} begins several ids, as {', '.join(ids[:_SHOWN_IDS])}{more}; write more of one")
    return ids[0] if ids else begins


def _row(one: Interaction) -> tuple[str, ...]:
    intent, outcome = one.intent, one.outcome
    return (
        intent.interaction_id,
        f"{intent.at_utc:%Y-%m-%d %H:%M:%S}",
        intent.envelope.workflow or "-",
        intent.decision.lane.value,
        intent.decision.selected_model_or_stack,
        _status(one),
        short(outcome.latency_ms if outcome else None),
        short(outcome.cost_usd if outcome else None),
        one.feedback.verdict.value if one.feedback else "-",
    )


def _status(one: Interaction) -> str:
    return f"{one.outcome.status if one.outcome else 'open'}{' (erased)' if one.erased else ''}"


def _summary(one: Interaction) -> dict[str, object]:
    intent, outcome = one.intent, one.outcome
    return {
        "interaction": intent.interaction_id,
        "at_utc": intent.at_utc,
        "parent": intent.parent_id,
        "client": intent.client,
        "session": intent.envelope.session,
        "workflow": intent.envelope.workflow,
        "lane": intent.decision.lane,
        "rule": intent.decision.rule,
        "reason": intent.decision.local_reason,
        "model": intent.decision.selected_model_or_stack,
        "status": outcome.status if outcome else None,
        "erased": one.erased,
        "latency_ms": outcome.latency_ms if outcome else None,
        "cost_usd": outcome.cost_usd if outcome else None,
        "cloud_cost_usd": outcome.cloud_cost_usd if outcome else None,
        "confidence": outcome.confidence if outcome else None,
        "evidence": [note.type for note in one.evidence],
        "verdict": one.feedback.verdict if one.feedback else None,
    }
