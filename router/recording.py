"""Makes events durable: submits to the ledger's writer thread and waits for the commit without blocking the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from registry.entities import Event, EvidenceNote, EvidenceType, Intent, Json, Outcome
from registry.errors import LedgerError
from registry.ids import Clock


class EventWriter(Protocol):
    """Where events go; its future resolves once the event is on disk."""

    def submit(self, event: Event) -> Future[None]:
        """Queue one event behind all earlier ones; its future fails with LedgerError where it cannot be stored."""
        ...


class Recorder:
    """Records the events of interactions, in the order in which they are given."""

    def __init__(self, writer: EventWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    async def record(self, *events: Event) -> None:
        """Return once all events are durable, also when the caller is cancelled meanwhile.

        Raises:
            LedgerError: one of them could not be stored.
        """
        futures = [self._writer.submit(event) for event in events]
        waiting = asyncio.gather(*(asyncio.wrap_future(future) for future in futures), return_exceptions=True)
        _raise_first(await asyncio.shield(waiting))

    async def finish(self, intent: Intent | None, outcome: Outcome, *notes: EvidenceNote) -> None:
        """Record the end of an interaction, with its intent where that was not recorded before."""
        await self.record(*(() if intent is None else (intent,)), outcome, *notes)

    def note(self, interaction_id: str, kind: EvidenceType, detail: Json) -> EvidenceNote:
        """Return a note of why an interaction matters to breeding."""
        return EvidenceNote(interaction_id, self._clock(), kind, detail)


def _raise_first(results: Sequence[object]) -> None:
    for result in results:
        if isinstance(result, LedgerError):
            raise result
        if isinstance(result, BaseException):
            raise LedgerError(f"the ledger could not store an event: {result}; check its disk") from result
