"""Durable ledger rows a second: one `append` at a time against the writer's group commit, in one run."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from registry.database import open_database
from registry.ids import new_id
from registry.ledger import Ledger
from registry.ledger_writer import LedgerWriter
from tests.registry.making import intent

TEXT = "x" * 1500


def rates(rows: int = 800, clients: int = 16) -> tuple[float, float]:
    """Return rows a second of single appends and of group commit under `clients` writers, 2 kB rows."""
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(str(Path(folder) / "ledger.db"))
        ledger = Ledger(database, "bench", new_id)
        started = time.perf_counter()
        for number in range(rows):
            ledger.append(intent(new_id(), number, text=TEXT))
        single = rows / (time.perf_counter() - started)
        with LedgerWriter(ledger) as writer, ThreadPoolExecutor(clients) as pool:
            started = time.perf_counter()
            list(pool.map(lambda n: writer.submit(intent(new_id(), n, text=TEXT)).result(), range(rows * 4)))
            grouped = rows * 4 / (time.perf_counter() - started)
        database.close()
    return single, grouped
