"""Erases what the ledger may keep no longer, at start and once a day, beside the requests and never before them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from registry.database import Database
from registry.erasing import backups, erase, scrub
from registry.errors import LedgerError
from registry.ids import Clock
from registry.retention import expired
from registry.settings import RetentionSettings

_log = logging.getLogger("modelbreeder.router")
EVERY_S = 24 * 3600.0
PAUSE_S = 0.05
"""Between two batches, so that requests which wait for the ledger's lock have it."""
_PATIENCE_S = 5.0

Sleep = Callable[[float], Awaitable[None]]


class Sweeper:
    """Sweeps one home; what was mined from the ledger goes with `modelbreeder ledger sweep`, as the breeder made it."""

    def __init__(self, database: Database, retention: RetentionSettings, runs: Path, clock: Clock) -> None:
        self._database = database
        self._retention = retention
        self._runs = runs
        self._clock = clock
        # One who was killed in a sweep may have left its text in the log.
        self._log_owed = retention != RetentionSettings()

    async def keep_swept(self, then: Callable[[], None], sleep: Sleep = asyncio.sleep) -> None:
        """Sweep now and every day, until it is cancelled; `then` is called each time that the ledger's log was emptied.

        What fails is tried again a day later.
        """
        while True:
            try:
                if erased := await self._sweep(sleep):
                    _log.info("%d interactions were erased, as they are older than the ledger keeps them", erased)
                if self._log_owed:
                    await asyncio.to_thread(scrub, self._database, _PATIENCE_S)
                    self._log_owed = False
                    await asyncio.to_thread(then)
            except (LedgerError, OSError) as error:
                _log.warning("the ledger could not be swept, and will be tomorrow: %s", error)
            await sleep(EVERY_S)

    async def _sweep(self, sleep: Sleep) -> int:
        erased, batches = 0, expired(self._database, self._retention, self._clock())
        while batch := await asyncio.to_thread(next, batches, None):
            self._log_owed = True
            await asyncio.to_thread(self._erase, batch)
            erased += len(batch)
            await sleep(PAUSE_S)
        return erased

    def _erase(self, batch: list[str]) -> None:
        """Erase copies first: what the ledger still says is found again after a crash."""
        for copy in (*(self._runs / f"{one}.json" for one in batch), *backups(self._database.file)):
            copy.unlink(missing_ok=True)
        erase(self._database, batch)
