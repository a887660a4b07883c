"""The maskers of recent interactions, in memory only, so that a corrected answer is masked as its request was."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from router.redaction.masking import Masker

CAPACITY = 8192
TTL_S = 3600.0


class MaskerMemory:
    """A bounded map from interaction id to masker; the oldest go first, and all go after an hour."""

    def __init__(self, monotonic: Callable[[], float], capacity: int = CAPACITY, ttl_s: float = TTL_S) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._held: OrderedDict[str, tuple[float, Masker]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def remember(self, interaction_id: str, masker: Masker) -> None:
        """Keep the masker of an interaction, unless it masked nothing: then a new one masks alike."""
        if not masker.counts:
            return
        self._held[interaction_id] = (self._monotonic(), masker)
        self._forget_old()

    def recall(self, interaction_id: str) -> Masker | None:
        """Return the masker of an interaction, None where it is forgotten."""
        self._forget_old()
        held = self._held.get(interaction_id)
        return held[1] if held else None

    def _forget_old(self) -> None:
        horizon = self._monotonic() - self._ttl_s
        while self._held and (len(self._held) > self._capacity or next(iter(self._held.values()))[0] <= horizon):
            self._held.popitem(last=False)
