"""Who is left alone for a while: a model that asked for a pause, or that failed several times in a row.

Memory of one process, by the monotonic clock, bounded, since clients name models.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from router.failures import PASSING, FailureKind

FAILURES_IN_A_ROW = 5
LONGEST_REST_S = 3600.0
"""Whoever asks for a longer pause gets one request an hour that asks whether it still holds."""
_MODELS_HELD = 256


@dataclass(frozen=True, slots=True)
class Rest:
    """A rest under way: how long it still lasts, and the failure that it followed."""

    left_s: float
    failure: FailureKind


@dataclass(slots=True)
class _Record:
    """What is known of one model; times are seconds on the monotonic clock."""

    latest: FailureKind
    failures: int = 0
    asked_until: float = 0.0
    failed_until: float = 0.0


class Cooldowns:
    """The rests of all models, each by its name UPSTREAM/MODEL."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def resting(self, name: str) -> Rest | None:
        """Return the rest that a model is at, None where it may be asked."""
        record = self._records.get(name)
        if record is None:
            return None
        left_s = max(record.asked_until, record.failed_until) - self._monotonic()
        return Rest(left_s, record.latest) if left_s > 0 else None

    def answered(self, name: str) -> None:
        """Note that a model answered, if only to refuse: its failures are forgotten, not a pause that it asked for."""
        record = self._records.get(name)
        if record is not None:
            record.failures, record.failed_until = 0, 0.0

    def failed(self, name: str, kind: FailureKind, asked_s: float | None, rest_s: float) -> None:
        """Note how a request to a model failed.

        Args:
            name: the model.
            kind: what kind of failure it was.
            asked_s: the pause that the upstream asked for, if it did.
            rest_s: how long it rests after several failures in a row; 0 is not at all.

        """
        if kind not in PASSING:
            self.answered(name)
            return
        now, record = self._monotonic(), self._record(name, kind)
        record.failures += 1
        if asked_s:
            record.asked_until = max(record.asked_until, now + min(asked_s, LONGEST_REST_S))
        elif record.failures >= FAILURES_IN_A_ROW:
            # The count stays, so that after its rest one more failure sends it back.
            record.failed_until = now + rest_s

    def _record(self, name: str, latest: FailureKind) -> _Record:
        record = self._records.setdefault(name, _Record(latest))
        record.latest = latest
        self._records.move_to_end(name)
        if len(self._records) > _MODELS_HELD:
            self._records.popitem(last=False)
        return record
