"""When a request that failed before its answer began is sent again, and after what pause. Pure: chance is an argument.

No library: tenacity and stamina take neither a clock nor a source of chance, and the pause depends on the answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from registry.entities import Json
from router.failures import FailureKind

_SENT_AGAIN = frozenset({
    FailureKind.UNREACHABLE,
    FailureKind.RATE_LIMITED,
    FailureKind.OVERLOADED,
    FailureKind.SERVER,
})  # fmt: skip
"""Not a timeout: who was silent for all of its time is left for a fallback, while there is some time for that."""
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0


@dataclass(frozen=True, slots=True)
class AttemptNote:
    """One time that a request was sent, for the ledger."""

    target: str
    """UPSTREAM/MODEL."""
    failure: FailureKind | None
    """None where an answer began."""
    status: int | None
    """HTTP status, where there was one."""
    paused_s: float
    """Seconds of pause before it."""
    took_s: float
    """Seconds until the status line, or the failure."""


def fact(note: AttemptNote) -> Json:
    """Return it as the ledger holds it."""
    return {
        "target": note.target,
        "failure": None if note.failure is None else note.failure.value,
        "status": note.status,
        "paused_s": round(note.paused_s, 3),
        "took_s": round(note.took_s, 3),
    }


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to a request: times that it may be sent, seconds of pauses, seconds in all."""

    attempts: int
    pauses_s: float
    time_s: float


def pause_before_next(
    failure: FailureKind, asked_s: float | None, sent: int, left: Allowance, chance: float
) -> float | None:
    """Return the seconds to pause before a request is sent again, None where it is not.

    Args:
        failure: what became of it last.
        asked_s: the pause that the upstream asked for; without one it doubles each time, jittered.
        sent: how many times it has been sent.
        left: what it may still use.
        chance: of 0 to 1, spreads those that failed together over half of the pause.

    """
    if failure not in _SENT_AGAIN or left.attempts < 1:
        return None
    backoff_s = min(_FIRST_PAUSE_S * 2 ** (sent - 1), _LONGEST_PAUSE_S) * (1 - chance / 2)
    pause_s = backoff_s if asked_s is None else asked_s
    return pause_s if pause_s <= left.pauses_s and pause_s < left.time_s else None


def asked_pause_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of pause that an answer asks for, None where it asks for none that can be understood.

    A date counts from the answer's own `Date`, so that no clock of this machine has a say.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    raw = headers.get("retry-after")
    seconds = _number(raw)
    if seconds is not None or raw is None:
        return seconds
    try:
        until, now = parsedate_to_datetime(raw), parsedate_to_datetime(headers["date"])
        return max(0.0, (until - now).total_seconds())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def may_send_again(status: int, headers: Mapping[str, str]) -> bool:
    """Say whether an answer does not call it pointless to send its request again; OpenAI has a header for that."""
    pointless = headers.get("x-should-retry", "").strip().lower() == "false"
    return not pointless and status != HTTPStatus.NOT_IMPLEMENTED


def _number(raw: str | None) -> float | None:
    try:
        number = float(raw or "")
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None
