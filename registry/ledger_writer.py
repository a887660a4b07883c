"""One thread that writes what many submit: a commit costs a flush of the disk, so those who wait share it.

With `Durability.NORMAL` only what is about to leave the machine and what a person said are flushed before their future
is done. The rest then survives the death of the process, and a power cut once the next flush has come, at the latest
50 ms after it was written.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Self, TypeAlias

from registry.entities import Durability, Event, Feedback, Intent, Lane
from registry.errors import ConflictError, DataError, LedgerError, ModelBreederError, NotFoundError
from registry.ledger import Ledger

_log = logging.getLogger("modelbreeder.registry")
_BATCH = 256
_FLUSH_AFTER_S = 0.05


@dataclass(frozen=True, slots=True)
class _Submission:
    events: Sequence[Event]
    future: Future[list[str]]


_Queue: TypeAlias = "queue.SimpleQueue[_Submission | None]"


class LedgerWriter:
    """The only writer of a process's chain; close it to drain it.

    What was submitted is written even if nobody waits for its future any more: a client that left early must not
    take its intent with it.
    """

    def __init__(
        self,
        ledger: Ledger,
        durability: Durability = Durability.FULL,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._durability = durability
        self._monotonic = monotonic
        self._queue: _Queue = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._flush_at_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, *events: Event) -> Future[list[str]]:
        """Queue events to be recorded in one transaction; the future gives their ids once they are durable.

        The future fails as `Ledger.append` does, and with LedgerError after `close`.
        """
        future: Future[list[str]] = Future()
        future.set_running_or_notify_cancel()
        with self._gate:
            if self._closed:
                future.set_exception(LedgerError("the ledger is closed; nothing is recorded while the daemon stops"))
            else:
                self._queue.put(_Submission(events, future))
        return future

    def close(self) -> None:
        """Write what is queued and stop."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._next()) is not None:
            batch, ends = self._gather(first)
            self._write(batch)
            if ends:
                break
        self._flush()

    def _next(self) -> _Submission | None:
        """Return what is queued next; flush what was written without when it is time, however much is queued."""
        if self._flush_at_s is not None:
            left_s = self._flush_at_s - self._monotonic()
            if left_s > 0:
                with suppress(queue.Empty):
                    return self._queue.get(timeout=left_s)
            self._flush()
        return self._queue.get()

    def _flush(self) -> None:
        if self._flush_at_s is not None:
            try:
                self._ledger.flush()
            except LedgerError as error:
                _log.error("%s", error)
        self._flush_at_s = None

    def _gather(self, first: _Submission) -> tuple[list[_Submission], bool]:
        """Return what is queued by now, and whether the queue ends with it."""
        batch = [first]
        while len(batch) < _BATCH:
            try:
                following = self._queue.get_nowait()
            except queue.Empty:
                break
            if following is None:
                return batch, True
            batch.append(following)
        return batch, False

    def _write(self, batch: Sequence[_Submission]) -> None:
        events = [event for each in batch for event in each.events]
        durability = Durability.FULL if any(map(_waits_for_disk, events)) else self._durability
        try:
            ids = iter(self._ledger.append(*events, durability=durability))
        except (ConflictError, DataError, NotFoundError) as error:
            # One submission is at fault: each then stands alone, so that it fails by itself.
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for each in batch:
                    self._write([each])
        except Exception as error:  # noqa: BLE001  the ledger recorder: whatever fails is told, and the next is tried
            self._fail(batch, error)
        else:
            if durability is Durability.FULL:
                self._flush_at_s = None
            elif self._flush_at_s is None:
                self._flush_at_s = self._monotonic() + _FLUSH_AFTER_S
            for each in batch:
                each.future.set_result(list(islice(ids, len(each.events))))

    def _fail(self, batch: Sequence[_Submission], error: Exception) -> None:
        _log.error("%d submissions to the ledger failed: %s", len(batch), error)
        if not isinstance(error, ModelBreederError):
            # Its own words may quote what was to be recorded, and a LedgerError's are logged and told to clients.
            error = LedgerError(f"the ledger could not record: {type(error).__name__}; see the daemon's log")
        for each in batch:
            each.future.set_exception(error)


def _waits_for_disk(event: Event) -> bool:
    """Say whether an event must be on the disk before anybody hears of it: a request about to leave, a verdict."""
    if isinstance(event, Intent):
        return event.decision.lane is Lane.CLOUD_ESCALATION
    return isinstance(event, Feedback)
