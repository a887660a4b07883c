from __future__ import annotations

from datetime import timedelta
from typing import Any

from registry.entities import Outcome, Status
from router.recording import RECENT, Latencies
from tests.router.making import NOON


def outcome(latency_ms: float | None, model: str = "m", at: Any = NOON, status: Status = Status.OK) -> Outcome:
    return Outcome("i", at, status, "r", model, response=None, latency_ms=latency_ms)


def noted(*outcomes: Outcome) -> Latencies:
    held = Latencies()
    for one in outcomes:
        held.note(one)
    return held


def test_the_median_of_three_whole_answers_is_known() -> None:
    held = noted(outcome(30.0), outcome(10.0), outcome(500.0), outcome(7.0, "other"))

    assert held.median_ms("m", NOON) == 30.0
    assert held.median_ms("other", NOON) is None
    assert held.median_ms("nobody", NOON) is None


def test_what_failed_says_nothing_of_speed() -> None:
    failed = [outcome(1.0, status=status) for status in Status if status is not Status.OK]

    assert noted(outcome(5.0), outcome(5.0), outcome(None), *failed).median_ms("m", NOON) is None


def test_only_the_latest_times_of_the_last_hour_count() -> None:
    old = [outcome(1.0, at=NOON - RECENT)] * 5
    slow, fast = [outcome(90.0)] * 40, [outcome(10.0)] * 32

    assert noted(*old).median_ms("m", NOON) is None
    assert noted(*old).median_ms("m", NOON - timedelta(seconds=1)) == 1.0
    assert noted(*slow, *fast).median_ms("m", NOON) == 10.0


def test_the_models_held_are_bounded_and_the_stalest_goes() -> None:
    held = noted(*[outcome(1.0, f"m{number}") for number in range(300) for _ in range(3)])

    assert held.median_ms("m0", NOON) is None
    assert held.median_ms("m299", NOON) == 1.0
