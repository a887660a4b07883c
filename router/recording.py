"""Makes events durable: submits to the ledger's writer thread and waits for the commit without blocking the loop.

What outcomes tell of latency is remembered on their way; the memory ends with the process.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from statistics import median
from typing import Protocol, TypeAlias

from registry.entities import Event, EvidenceNote, EvidenceType, Json, Outcome, Status
from registry.ids import Clock
from router.retrying import AttemptNote
from router.tracing import trace

Observer: TypeAlias = Callable[[Sequence[Event], float, BaseException | None], None]
"""Is told of each write: its events, the seconds that it took, and why it failed, None where they are durable."""
RECENT = timedelta(hours=1)
"""How long a time counts: a lane that was slow once, and is not asked since, gets another chance."""
_TIMES_HELD = 32
_TIMES_NEEDED = 3
_MODELS_HELD = 256


class EventWriter(Protocol):
    """Where events go; `registry.ledger_writer.LedgerWriter` is the real one."""

    def submit(self, *events: Event) -> Future[list[str]]:
        """Queue events behind all earlier ones, to be stored together; the future resolves once they are on disk."""
        ...


class Latencies:
    """How long the latest whole answers of each model took; bounded, since clients name models."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, deque[tuple[datetime, float]]] = OrderedDict()

    def note(self, outcome: Outcome) -> None:
        """Remember the time of a whole answer; what failed says nothing of speed."""
        if outcome.status is not Status.OK or outcome.latency_ms is None:
            return
        self._held.setdefault(outcome.model, deque(maxlen=_TIMES_HELD)).append((outcome.at_utc, outcome.latency_ms))
        self._held.move_to_end(outcome.model)
        if len(self._held) > _MODELS_HELD:
            self._held.popitem(last=False)

    def median_ms(self, model: str, now: datetime) -> float | None:
        """Return the median of a model's recent times in milliseconds, None where there are fewer than three."""
        recent = [latency_ms for at, latency_ms in self._held.get(model, ()) if now - at < RECENT]
        return median(recent) if len(recent) >= _TIMES_NEEDED else None


class Recorder:
    """Records the events of interactions, in the order in which they are given."""

    def __init__(self, writer: EventWriter, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.latencies = Latencies()
        self._writer = writer
        self._clock = clock
        self._monotonic = monotonic
        self._observers: list[Observer] = []
        self._attempt_observers: list[Callable[[AttemptNote], None]] = []

    def watch(self, observer: Observer) -> None:
        """Tell an observer of every write from now on, also of those whose caller is cancelled meanwhile."""
        self._observers.append(observer)

    def watch_attempts(self, observer: Callable[[AttemptNote], None]) -> None:
        """Tell an observer of each time that a request is sent, from now on."""
        self._attempt_observers.append(observer)

    def attempted(self, note: AttemptNote) -> None:
        """Tell of one time that a request was sent to an upstream."""
        for observe in self._attempt_observers:
            observe(note)

    async def record(self, *events: Event) -> None:
        """Return once all events are durable; they are stored also when the caller is cancelled meanwhile.

        Raises:
            LedgerError: they could not be stored.

        """
        trace(events)
        began_s = self._monotonic()
        written = asyncio.wrap_future(self._writer.submit(*events))
        written.add_done_callback(lambda done: self._tell(events, self._monotonic() - began_s, done.exception()))
        await asyncio.shield(written)

    def _tell(self, events: Sequence[Event], took_s: float, error: BaseException | None) -> None:
        for event in events:
            if error is None and isinstance(event, Outcome):
                self.latencies.note(event)
        for observe in self._observers:
            observe(events, took_s, error)

    def note(self, interaction_id: str, kind: EvidenceType, detail: Json) -> EvidenceNote:
        """Return a note of why an interaction matters to breeding."""
        return EvidenceNote(interaction_id, self._clock(), kind, detail)
