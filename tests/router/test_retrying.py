"""Whether a failed request is sent again, and when."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.failures import FailureKind
from router.retrying import Allowance, asked_pause_s, may_send_again, pause_before_next

SERVER = FailureKind.SERVER
PLENTY = Allowance(attempts=3, pauses_s=60.0, time_s=600.0)
AGAIN = {FailureKind.UNREACHABLE, FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, SERVER}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_r05_only_what_another_try_may_mend_is_sent_again(kind: FailureKind) -> None:
    assert (pause_before_next(kind, None, 1, PLENTY, 0.5) is not None) is (kind in AGAIN)


def test_r04_pauses_double_up_to_a_limit_and_chance_spreads_them_over_half() -> None:
    longest = [pause_before_next(SERVER, None, sent, PLENTY, 0.0) for sent in range(1, 8)]
    shortest = [pause_before_next(SERVER, None, sent, PLENTY, 1.0) for sent in range(1, 8)]

    assert longest == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert shortest == [pause / 2 for pause in (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0)]


def test_r04_after_the_last_attempt_nothing_is_sent() -> None:
    assert pause_before_next(SERVER, None, 2, Allowance(0, 60.0, 600.0), 0.5) is None


def test_r02_a_pause_that_is_asked_for_is_kept_to_the_second() -> None:
    assert pause_before_next(FailureKind.RATE_LIMITED, 1.0, 1, PLENTY, 0.7) == 1.0


@pytest.mark.parametrize("left", [Allowance(3, 4.9, 600.0), Allowance(3, 60.0, 5.0)], ids=["budget", "deadline"])
def test_r03_a_pause_that_is_longer_than_what_is_left_is_not_made(left: Allowance) -> None:
    assert pause_before_next(FailureKind.RATE_LIMITED, 5.0, 1, left, 0.5) is None


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(FailureKind),
    asked=st.none() | st.floats(0, 1e6),
    sent=st.integers(1, 40),
    left=st.builds(Allowance, st.integers(-1, 10), st.floats(-1, 100), st.floats(-1, 1000)),
    chance=st.floats(0, 1),
)
def test_a_pause_never_goes_beyond_what_is_left(
    kind: FailureKind, asked: float | None, sent: int, left: Allowance, chance: float
) -> None:
    pause = pause_before_next(kind, asked, sent, left, chance)

    assert pause is None or (0 <= pause <= left.pauses_s and pause < left.time_s and left.attempts > 0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, None),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "Sat, 99 Nov 2026 12:00:30 GMT", "date": "Sat, 21 Nov 2026 12:00:00 GMT"}, None),
    ],
)
def test_the_pause_that_an_answer_asks_for(headers: dict[str, str], seconds: Any) -> None:
    assert asked_pause_s(headers) == seconds


@settings(max_examples=200, deadline=None)
@given(raw=st.text(), date=st.text())
def test_no_header_is_too_odd_to_be_read(raw: str, date: str) -> None:
    seconds = asked_pause_s({"retry-after": raw, "date": date})

    assert seconds is None or seconds >= 0


def test_who_says_that_trying_again_is_pointless_is_believed() -> None:
    assert not may_send_again(429, {"x-should-retry": "false"})
    assert not may_send_again(501, {})
    assert may_send_again(429, {"x-should-retry": "true"})
    assert may_send_again(500, {})
