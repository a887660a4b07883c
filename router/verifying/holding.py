"""How much of a streamed answer is held back until its confidence is known. Pure.

What is released goes out in the order in which it came, and nothing goes before the decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override


class Decision(StrEnum):
    """What is known of an answer so far."""

    OPEN = "open"
    """Not enough has come; an answer that ends so is judged whole."""
    STRONG = "strong"
    WEAK = "weak"
    UNASKED = "unasked"


@dataclass(frozen=True, slots=True)
class Hold:
    """How much is held back: nothing (`tokens` 0), the first so many tokens, or the whole answer (None)."""

    tokens: int | None

    @classmethod
    def of(cls, setting: str | int) -> Hold:
        """Return what `policy.hold` says: "none", "answer", or a number of tokens."""
        return cls(setting if isinstance(setting, int) else 0 if setting == "none" else None)

    @override
    def __str__(self) -> str:
        """Return the value as policy and header spell it."""
        return "answer" if self.tokens is None else str(self.tokens or "none")


class HeldStream:
    """One answer on its way to the client, held back as a `Hold` says."""

    def __init__(self, hold: Hold, threshold: float) -> None:
        """Start; an answer is strong whose mean natural log-probability is at or above the threshold."""
        self._hold = hold
        self._threshold = threshold
        self._held: list[str] = []
        self._tokens = 0
        self._sum = 0.0
        self.decision = Decision.UNASKED if hold.tokens == 0 else Decision.OPEN

    @property
    def confidence(self) -> float | None:
        """The mean log-probability of all tokens so far, None where there is none or one of them is unknown."""
        mean = self._sum / self._tokens if self._tokens else math.nan
        return None if math.isnan(mean) else mean

    def feed(self, text: str, logprob: float) -> str:
        """Take one token's text and natural log-probability (NaN if unknown); return what may be released now."""
        self._tokens += 1
        self._sum += logprob
        self._held.append(text)
        if self.decision is Decision.OPEN and self._tokens == self._hold.tokens:
            self._decide()
        return self._released()

    def take(self) -> str:
        """Return what is held back: of a weak answer that nobody else may give, or for the record."""
        text = "".join(self._held)
        self._held.clear()
        return text

    def _decide(self) -> None:
        confidence = self.confidence
        strong = confidence is not None and confidence >= self._threshold
        self.decision = Decision.STRONG if strong else Decision.WEAK

    def _released(self) -> str:
        return self.take() if self.decision in (Decision.STRONG, Decision.UNASKED) else ""
