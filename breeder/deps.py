"""The breeder's composition root: everything that a command of the factory needs, opened once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from breeder.progress import Report
from breeder.tracking import MlflowTracker, Tracker
from registry.artifacts import ArtifactStore
from registry.catalog import Catalog
from registry.database import Database
from registry.home import Home
from registry.home_database import open_home_database
from registry.ids import Clock, NewId, new_id, utc_now
from registry.ledger import Ledger, new_writer_id
from registry.processes import this_process
from registry.settings import Settings


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts of one home, and the clock, ids and voice of one command."""

    home: Home
    settings: Settings
    database: Database
    catalog: Catalog
    ledger: Ledger
    store: ArtifactStore
    tracker: Tracker
    socket_dir: Path
    report: Report
    now: Clock = utc_now
    new_id: NewId = new_id


@contextmanager
def open_deps(home: Home, settings: Settings, socket_dir: Path, report: Report) -> Iterator[Deps]:
    """Open ledger, registry, artifacts and tracker of a home while the block runs."""
    home.prepare()
    database = open_home_database(home, settings.ledger)
    try:
        yield Deps(
            home=home,
            settings=settings,
            database=database,
            catalog=Catalog(database),
            ledger=Ledger(database, new_writer_id("breeder", this_process(), new_id), new_id),
            store=ArtifactStore(home.artifacts),
            tracker=MlflowTracker(home.mlruns),
            socket_dir=socket_dir,
            report=report,
        )
    finally:
        database.close()
