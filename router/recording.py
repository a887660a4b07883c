"""Makes events durable: submits to the ledger's writer thread and waits for the commit without blocking the loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Protocol

from registry.entities import Event, EvidenceNote, EvidenceType, Json
from registry.ids import Clock


class EventWriter(Protocol):
    """Where events go; `registry.ledger_writer.LedgerWriter` is the real one."""

    def submit(self, *events: Event) -> Future[list[str]]:
        """Queue events behind all earlier ones, to be stored together; the future resolves once they are on disk."""
        ...


class Recorder:
    """Records the events of interactions, in the order in which they are given."""

    def __init__(self, writer: EventWriter, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock

    async def record(self, *events: Event) -> None:
        """Return once all events are durable; they are stored also when the caller is cancelled meanwhile.

        Raises:
            LedgerError: they could not be stored.

        """
        await asyncio.shield(asyncio.wrap_future(self._writer.submit(*events)))

    def note(self, interaction_id: str, kind: EvidenceType, detail: Json) -> EvidenceNote:
        """Return a note of why an interaction matters to breeding."""
        return EvidenceNote(interaction_id, self._clock(), kind, detail)
