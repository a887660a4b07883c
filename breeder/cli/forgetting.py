"""`ledger forget|sweep`: erase what interactions said, with every copy of it below the home."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from breeder.cli.opening import opened, report
from registry.errors import ConfigError, ConflictError, DataError, ModelBreederError, NotFoundError
from router.cli.frame import JsonOption, read_source, say, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from breeder.deps import Deps
    from breeder.forgetting import Forgotten, Plan
    from registry.selection import Selection

_SHOWN = 5

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would go, and erase nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(ledger: typer.Typer) -> None:
    """Add the commands to those of the ledger."""
    for command in (forget, sweep):
        ledger.command()(command)


def forget(
    context: typer.Context,
    interactions: Annotated[
        list[str] | None, typer.Argument(metavar="ID", help="Interactions, or how their ids begin.")
    ] = None,
    *,
    session: Annotated[str | None, typer.Option(help="All of this session.")] = None,
    client: Annotated[str | None, typer.Option(help="All of this client.")] = None,
    workflow: Annotated[str | None, typer.Option(help="All of this workflow.")] = None,
    before: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="All before this time, UTC.")
    ] = None,
    older_than: Annotated[float | None, typer.Option(min=0, metavar="DAYS", help="All that are older.")] = None,
    matching: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="All that quote a line of this file, - for standard input; never shown."),
    ] = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Take specialists that descended from them out of service.")
    ] = False,
    delete_specialists: Annotated[
        bool, typer.Option("--delete-specialists", help="Remove the files of these, too.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Erase what interactions said, for good, with every copy; what is given together must all hold."""
    from breeder.descent import Descent
    from breeder.forgetting import chosen, plan_forgetting
    from registry.quotation import quoting
    from registry.retention import LONGEST_DAYS
    from registry.selection import Selection

    if before is not None and older_than is not None:
        raise ConfigError("--before and --older-than say the same; give one of them")
    values = _values(matching) if matching is not None else {}
    pattern = quoting(values.values()) if values else None
    with opened(context, with_ledger=True) as deps:
        until = before.replace(tzinfo=UTC) if before else None
        if older_than is not None:
            until = deps.now() - timedelta(days=min(LONGEST_DAYS, older_than))
        ids = _whole_ids(deps, interactions) if interactions else None
        wanted = Selection(ids, None if session is None else _names_of(deps, session), client, workflow, until, pattern)
        if wanted == Selection():
            raise ConfigError(
                "say what to forget: an ID, --session, --client, --workflow, --before, --older-than or --matching"
            )
        _finish(deps, dry_run)
        descent = Descent(withdraws=quarantine, empties=delete_specialists, quoting=pattern)
        plan = plan_forgetting(deps, chosen(deps, wanted), descent)
        notes = [*_notes(deps, plan, wanted), *_masked(deps, values, found=plan.holds_anything)]
        where = deps.database.file or "the ledger"
        nothing = f"no interaction in {where} is selected, so there is nothing to forget"
        _show_and_do(deps, plan, notes, nothing, dry_run=dry_run, yes=yes, as_json=as_json)


def sweep(context: typer.Context, dry_run: DryRunOption = False, as_json: JsonOption = False) -> None:
    """Erase what `[ledger.retention]` keeps no longer, and every copy of what was erased."""
    from breeder.descent import Descent
    from breeder.forgetting import plan_forgetting, plan_sweep
    from registry.erasing import scrub
    from registry.retention import expired, sweep, unknown_classes
    from registry.settings import RetentionSettings

    with opened(context) as deps:
        for line in unknown_classes(deps.settings):
            report(line)
        waits_for = _finish(deps, dry_run)
        act = expired if dry_run else sweep
        if not dry_run:
            scrub(deps.database)
        kept = deps.settings.ledger.retention
        aged = [one for batch in act(deps.database, kept, deps.now()) for one in batch]
        plan = plan_sweep(deps, aged) or plan_forgetting(deps, (), Descent(spares=True))
        nothing = "[ledger.retention] keeps everything" if kept == RetentionSettings() else "nothing is too old"
        nothing += ", and no copy is left of what was erased"
        _show_and_do(deps, plan, [], nothing, dry_run=dry_run, yes=True, as_json=as_json)
        if waits_for:
            raise _waiting(waits_for)


def _values(source: str) -> dict[int, str]:
    """Return the lines of a file by their numbers; no message quotes them, nor what may be one in a file's place."""
    from registry.quotation import LEAST_CHARACTERS

    expected = "--matching takes a text file with one value a line, or - for standard input"
    try:
        lines = read_source(source).decode("utf-8").splitlines()
    except NotFoundError:
        raise NotFoundError(f"{expected}; there is no such file") from None
    except (DataError, UnicodeDecodeError):
        raise DataError(f"{expected}; what was given cannot be read as that") from None
    values = {number: line.strip() for number, line in enumerate(lines, 1) if line.strip()}
    short = [number for number, value in values.items() if len(value) < LEAST_CHARACTERS]
    if short or not values:
        where = f"; line {short[0]} is shorter" if short else "; it has none"
        raise DataError(f"--matching needs values of at least {LEAST_CHARACTERS} characters, one a line{where}")
    return values


def _masked(deps: Deps, values: Mapping[int, str], *, found: bool) -> list[str]:
    """Return what is to be said of values that the ledger cannot hold, by their lines."""
    from router.cli.masking import redactor_here, told_when_slow

    if not values:
        return []
    choose = "choose interactions by --session, --client, --workflow, --before or --older-than"
    try:
        with told_when_slow("looking which of these values are masked before anything is recorded …"):
            redactor = redactor_here(deps.settings.redaction)
            lines = [str(number) for number, value in values.items() if redactor.redact({"text": value}).counts]
    except ModelBreederError as error:
        return [f"which of these values are masked before anything is recorded cannot be told: {error}"]
    if lines:
        which = f"line {lines[0]} is" if len(lines) == 1 else f"lines {', '.join(lines)} are"
        never = "the ledger never held what stands there, but under other rules or ledger.keep_raw"
        return [f"{which} masked before anything is recorded: {never}; {choose}"]
    return [] if found else [f"what is masked as it is recorded, such as a password, is not found so; {choose}"]


def _names_of(deps: Deps, session: str) -> list[str]:
    """Return what the ledger may call a session: its name, or the digest for it where rules of its time masked it."""
    from registry.own_secrets import secret_in
    from router.given_names import NAMES_FILE, digest_of

    file = deps.home.data / NAMES_FILE
    return [session, digest_of(session, secret_in(file).encode()[:64])] if file.exists() else [session]


def _whole_ids(deps: Deps, given: Sequence[str]) -> list[str]:
    from router.cli.ledger import whole_id

    ids = [whole_id(deps.database, begins) for begins in given]
    for one in ids:
        deps.ledger.interaction(one)
    return ids


def _finish(deps: Deps, dry_run: bool) -> str:
    """Finish what earlier forgettings left, and return what one waits for still, an empty text where none does."""
    from breeder.forgetting import finish_pending

    pending = [] if dry_run else finish_pending(deps)
    waiting = [one.waits_for for one in pending if one.waits_for]
    if finished := len(pending) - len(waiting):
        report(f"first finished {finished} earlier forgettings that were interrupted, or waited")
    for waits_for in waiting:
        report(f"an earlier forgetting is not finished yet: {waits_for}")
    return next(iter(waiting), "")


def _waiting(waits_for: str) -> ConflictError:
    return ConflictError(
        f"the ledger's contents are erased, and copies and specialists are left: {waits_for}, "
        "then run `modelbreeder ledger sweep`, which finishes this"
    )


def _notes(deps: Deps, plan: Plan, wanted: Selection) -> list[str]:
    from breeder.descent import keeps_what_it_learnt
    from registry.selection import named_so, unfinished_among

    notes = []
    if under_way := len(unfinished_among(deps.database, plan.interactions)):
        notes.append(f"{under_way} of them have not ended: what they are answered goes with the next forget or sweep")
    if wanted.quoting is not None and (named := named_so(deps.database, wanted.quoting)):
        notes.append(f"{named} interactions have it in the name of a client, workflow, model or class, which stays")
    left = [deps.catalog.specialist(name) for name in sorted(set(plan.specialists) - set(plan.emptied))]
    if keeping := sum(keeps_what_it_learnt(one, deps.store) for one in left):
        notes.append(f"{keeping} specialists keep what they learnt; --delete-specialists removes that, too")
    return notes


def _show_and_do(
    deps: Deps,
    plan: Plan,
    notes: Sequence[str],
    nothing: str,
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    from breeder.forgetting import forget
    from router.explaining import plain

    if not as_json:
        _show(plan, notes, nothing)
    done: Forgotten | None = None
    if not dry_run and _is_meant(plan, yes):
        done = forget(deps, plan)
    if as_json:
        say_json({"plan": plain(plan), "notes": list(notes), "done": plain(done)})
    elif done is not None:
        _tell(done)
    if done is not None and done.waits_for:
        raise _waiting(done.waits_for)


def _is_meant(plan: Plan, yes: bool) -> bool:
    """Say whether to go on; what cannot be undone is asked for, or was confirmed beforehand."""
    if yes or not plan.holds_anything:
        return plan.holds_anything
    if not sys.stdin.isatty():
        raise ConfigError("this cannot be undone, and nobody can be asked here; look at it with --dry-run, give --yes")
    return typer.confirm("Erase all of this for good?", err=True)


def _show(plan: Plan, notes: Sequence[str], nothing: str) -> None:
    if plan.holds_anything:
        _list(plan)
    else:
        say(nothing)
    for note in notes:
        report(note)


def _list(plan: Plan) -> None:
    rows: tuple[tuple[str, Collection[str]], ...] = (
        ("interactions", plan.interactions),
        ("datasets", plan.datasets),
        ("breedings, measured answers, exports", plan.files),
        ("files of MLflow runs", plan.tracked),
        ("copies of the ledger before migrations", plan.backups),
        ("specialists that descended", plan.specialists),
        ("of these out of service", plan.withdrawn),
        ("of these emptied", plan.emptied),
        ("their adapters and GGUF files", plan.artifacts),
        ("workflows to breed again", plan.workflows),
    )
    say_table(("what", "count", "which"), [(what, str(len(some)), _some(some)) for what, some in rows])


def _some(names: Collection[str]) -> str:
    shown = [name if len(name) < 64 else name[:12] for name in list(names)[:_SHOWN]]
    return ", ".join(shown) + (", …" if len(names) > _SHOWN else "") or "-"


def _tell(done: Forgotten) -> None:
    say(f"{done.contents} contents erased; `modelbreeder ledger verify` still holds")
    for move in done.moves:
        say(f"{move.workflow}: {move.previous} gave way to {move.specialist or 'the cloud'}")
    for run_id in done.elsewhere:
        say(f"MLflow run {run_id} keeps its files elsewhere: remove them there")
