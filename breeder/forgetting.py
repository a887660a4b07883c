"""Forget interactions: what the ledger says of them, every copy below the home, and on request their descendants.

What is to go is written down first, in ids, digests and paths that quote nobody, and struck off last: after a crash the
next forgetting finishes it. The registry comes first, so that nothing serves what is about to lose its files. While
one of the workflows is being bred, the ledger is erased at once, and the copies wait for the next forgetting.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from breeder.copies import (
    FrozenRows,
    breeding_copies,
    bury,
    datasets,
    exports,
    files_of_rows,
    ids_in,
    quoted_ids,
    remove,
)
from breeder.dataset import write_atomically
from breeder.deps import Deps
from breeder.descent import Descent, breeder_calls
from breeder.run_folder import exclusive
from breeder.tracked_copies import remove_files, tracked_copies
from registry.entities import Promotion
from registry.erasing import backups, erase, scrub
from registry.errors import ConflictError
from registry.home import Home
from registry.selection import Selection, erased_among, select_interactions, unfinished_among, workflows_of
from registry.withdrawing import erase_quotations, mark_for_rebreeding, withdraw

REASON = "bred from interactions that were forgotten"
_PENDING = "forgetting"
_SPARING = Descent(spares=True)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a forgetting takes; paths are relative to the home's data folder.

    `specialists` are all that descended; of these `withdrawn` may not serve any more, and `emptied` lose their files
    and what their records quote. `workflows` are to be bred again.
    """

    at: datetime
    interactions: tuple[str, ...]
    datasets: tuple[str, ...]
    files: tuple[str, ...]
    backups: tuple[str, ...]
    tracked: tuple[str, ...]
    specialists: tuple[str, ...]
    withdrawn: tuple[str, ...]
    emptied: tuple[str, ...]
    artifacts: tuple[str, ...]
    workflows: tuple[str, ...]
    breedings: tuple[str, ...]
    """Workflows that nobody may breed meanwhile."""
    descent: Descent = _SPARING
    """What becomes of specialists that descend from it and are enrolled only later."""

    @property
    def holds_anything(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.interactions or self.files or self.datasets or self.withdrawn)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What a forgetting did; `elsewhere` are MLflow's runs whose files are not below this home.

    `waits_for` says who breeds one of its workflows, so that all copies are left yet; empty where it is done.
    """

    contents: int
    moves: tuple[Promotion, ...]
    elsewhere: tuple[str, ...]
    waits_for: str = ""


def plan_forgetting(deps: Deps, chosen: Collection[str], descent: Descent) -> Plan:
    """Return what is to go with the chosen interactions.

    Args:
        deps: the parts of the home.
        chosen: ids of interactions, with their families; those that are erased already count, as copies may be left.
        descent: what becomes of what descended from them.

    """
    home, ids = deps.home, set(chosen)
    made = [each for each in datasets(home) if not each.ids.isdisjoint(ids)]
    ids |= breeder_calls(deps, ids, made)
    own, left = [each.folder.name for each in made], [each for each in made if not each.forgotten]
    family = descent.among(deps.catalog.specialists(), made, ids)
    runs = [one.mlflow_run_id for one in family.specialists if one.mlflow_run_id]
    paths = [*breeding_copies(home, ids, own), *exports(home, ids)]
    touched = {each.workflow for each in left} | {one.workflow for one in family.withdrawn if not one.withdrawn}
    return Plan(
        at=deps.now(),
        interactions=tuple(sorted(ids)),
        datasets=tuple(each.folder.name for each in left),
        files=tuple(str(path.relative_to(home.data)) for path in paths),
        backups=tuple(str(path) for path in backups(deps.database.file) if ids),
        tracked=tuple(copy.run_id for copy in tracked_copies(home, own, runs) if copy.holds_files),
        specialists=tuple(one.name for one in family.specialists),
        withdrawn=tuple(one.name for one in family.withdrawn),
        emptied=tuple(one.name for one in family.emptied),
        artifacts=tuple(sorted(family.artifacts)),
        workflows=tuple(sorted(filter(None, touched))),
        breedings=tuple(sorted(_breedings(deps, ids, made))),
        # A value that was looked for is to be in no file.
        descent=replace(descent, quoting=None),
    )


def chosen(deps: Deps, wanted: Selection) -> set[str]:
    """Return the interactions that are meant, with their families, and those that only a copy quotes still."""
    found = set(select_interactions(deps.database, wanted))
    if wanted.quoting is None:
        return found
    copied = quoted_ids(deps.home, wanted.quoting)
    narrowed = replace(wanted, quoting=None)
    if narrowed != Selection():
        copied &= set(select_interactions(deps.database, narrowed))
    return found | copied


def forget(deps: Deps, plan: Plan) -> Forgotten:
    """Do what a plan says; killed at any point, `finish_pending` does the rest, and so it does after a breeding.

    Raises:
        LedgerError: the ledger cannot be written, or its log not emptied, as somebody reads it all the time.
    """
    journal = deps.home.data / _PENDING / f"{deps.new_id()}.json"
    journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return _attempt(deps, plan, journal)


def finish_pending(deps: Deps) -> list[Forgotten]:
    """Finish what was interrupted, or waited for answers or breedings under way, as far as these have ended."""
    journals = sorted((deps.home.data / _PENDING).glob("*.json"))
    return [done for journal in journals if (done := _finish(deps, journal)) is not None]


def _finish(deps: Deps, journal: Path) -> Forgotten | None:
    """Do what is left of a forgetting; None where another process finished it meanwhile."""
    try:
        plan = TypeAdapter(Plan).validate_json(journal.read_bytes())
    except FileNotFoundError:
        return None
    return _attempt(deps, _with_later_copies(deps, plan), journal)


def _with_later_copies(deps: Deps, plan: Plan) -> Plan:
    """Return a plan that was written down with what was copied since, such as the exports of late answers."""
    later = plan_forgetting(deps, plan.interactions, plan.descent)
    had = {name: getattr(plan, name) for name in _lists(plan)}
    both = {name: tuple(sorted({*some, *getattr(later, name)})) for name, some in had.items()}
    return replace(plan, at=plan.at, descent=plan.descent, **both)


def _lists(plan: Plan) -> list[str]:
    return [each.name for each in fields(Plan) if isinstance(getattr(plan, each.name), tuple)]


def _attempt(deps: Deps, plan: Plan, journal: Path) -> Forgotten:
    """Carry a plan out, or where one of its workflows is being bred, what can be done beside that."""
    with ExitStack() as held:
        try:
            held.enter_context(_undisturbed(deps.home, plan.breedings))
        except ConflictError as error:
            write_atomically(journal, orjson.dumps(plan))
            moves, contents = _withdraw(deps, plan), erase(deps.database, plan.interactions)
            scrub(deps.database)
            return Forgotten(contents, moves, (), str(error))
        if plan.breedings:
            # One may have ended since the plan was made, and left a specialist.
            plan = _with_later_copies(deps, plan)
        write_atomically(journal, orjson.dumps(replace(plan, descent=_SPARING)))
        return _carry_out(deps, plan, journal)


def plan_sweep(deps: Deps, aged: Collection[str]) -> Plan | None:
    """Return what is to go with interactions that grew too old, and with all that were erased before them.

    None where there is nothing. Specialists stay: they outlive their rows.
    """
    home = deps.home
    held = {one for each in datasets(home) if not each.forgotten for one in each.ids}
    gone = erased_among(deps.database, held.union(*map(ids_in, [*files_of_rows(home), *home.runs.glob("*.json")])))
    return plan_forgetting(deps, gone | set(aged), _SPARING) if gone or aged else None


def _withdraw(deps: Deps, plan: Plan) -> tuple[Promotion, ...]:
    reason = f"{REASON} on {plan.at:%Y-%m-%d}"
    return tuple(withdraw(deps.database, plan.withdrawn, by="forget", reason=reason, at=plan.at))


def _carry_out(deps: Deps, plan: Plan, journal: Path) -> Forgotten:
    moves = _withdraw(deps, plan)
    mark_for_rebreeding(deps.database, plan.workflows, f"rows were forgotten on {plan.at:%Y-%m-%d}")
    elsewhere = _remove_copies(deps, plan)
    erase_quotations(deps.database, plan.emptied)
    contents = erase(deps.database, plan.interactions)
    scrub(deps.database)
    _strike_off(deps, plan, journal)
    return Forgotten(contents, moves, tuple(elsewhere))


def _strike_off(deps: Deps, plan: Plan, journal: Path) -> None:
    """End a forgetting, but for interactions under way: their answers are recorded yet, and go the next time."""
    under_way = unfinished_among(deps.database, plan.interactions)
    if under_way:
        nothing: dict[str, tuple[str, ...]] = dict.fromkeys(_lists(plan), ())
        left = nothing | {"interactions": tuple(sorted(under_way))}
        write_atomically(journal, orjson.dumps(replace(plan, at=plan.at, descent=_SPARING, **left)))
    else:
        journal.unlink(missing_ok=True)


def _remove_copies(deps: Deps, plan: Plan) -> list[str]:
    for dataset in datasets(deps.home):
        if dataset.folder.name in plan.datasets:
            bury(dataset, plan.at)
    for path in (*(deps.home.data / name for name in plan.files), *map(Path, plan.backups)):
        remove(path)
    for sha256 in plan.artifacts:
        deps.store.remove(sha256)
    return remove_files(deps.home, plan.tracked, f"{plan.at:%Y-%m-%d}")


def _breedings(deps: Deps, ids: Collection[str], made: Iterable[FrozenRows]) -> set[str]:
    """Return the workflows whose breeding could make new copies meanwhile."""
    concerned = {each.workflow for each in made} | workflows_of(deps.database, ids)
    return {name for name in concerned if name and (deps.home.runs / f"breed-{name}").is_dir()}


@contextmanager
def _undisturbed(home: Home, workflows: Collection[str]) -> Iterator[None]:
    """Keep anybody from breeding some workflows while the block runs."""
    with ExitStack() as held:
        for workflow in workflows:
            held.enter_context(exclusive(home.runs, workflow))
        yield
