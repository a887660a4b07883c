"""Rests of models that asked for a pause, or failed several times in a row."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.cooldown import FAILURES_IN_A_ROW, LONGEST_REST_S, Cooldowns, Rest
from router.failures import PASSING, FailureKind

LIMITED, SERVER = FailureKind.RATE_LIMITED, FailureKind.SERVER
REST_S = 10.0


@dataclass
class Now:
    """A monotonic clock that a test moves."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


def fail(cooldowns: Cooldowns, times: int, kind: FailureKind = SERVER, rest_s: float = REST_S) -> None:
    for _ in range(times):
        cooldowns.failed("a/m", kind, None, rest_s)


def test_r02_who_asked_for_a_pause_rests_for_it_and_others_do_not() -> None:
    now = Now()
    cooldowns = Cooldowns(now)
    cooldowns.failed("a/m", LIMITED, 1.0, REST_S)

    assert cooldowns.resting("a/m") == Rest(1.0, LIMITED)
    assert cooldowns.resting("a/n") is None
    assert cooldowns.resting("b/m") is None
    now.seconds += 1.0
    assert cooldowns.resting("a/m") is None


def test_several_failures_in_a_row_are_a_reason_to_rest() -> None:
    now = Now()
    cooldowns = Cooldowns(now)
    fail(cooldowns, FAILURES_IN_A_ROW - 1)
    assert cooldowns.resting("a/m") is None

    fail(cooldowns, 1)
    assert cooldowns.resting("a/m") == Rest(REST_S, SERVER)


def test_failures_that_ask_for_no_pause_at_all_count_as_well() -> None:
    cooldowns = Cooldowns(Now())
    for _ in range(FAILURES_IN_A_ROW):
        cooldowns.failed("a/m", LIMITED, 0.0, REST_S)

    assert cooldowns.resting("a/m") == Rest(REST_S, LIMITED)


def test_an_answer_between_failures_ends_their_row() -> None:
    cooldowns = Cooldowns(Now())
    fail(cooldowns, FAILURES_IN_A_ROW - 1)
    cooldowns.answered("a/m")
    fail(cooldowns, FAILURES_IN_A_ROW - 1)

    assert cooldowns.resting("a/m") is None


def test_an_answer_ends_the_rest_of_who_failed_but_not_of_who_asked_for_it() -> None:
    cooldowns = Cooldowns(Now())
    fail(cooldowns, FAILURES_IN_A_ROW)
    cooldowns.failed("b/m", LIMITED, 60.0, REST_S)
    for name in ("a/m", "b/m"):
        cooldowns.answered(name)

    assert cooldowns.resting("a/m") is None
    assert cooldowns.resting("b/m") == Rest(60.0, LIMITED)


def test_after_its_rest_one_more_failure_sends_it_back() -> None:
    now = Now()
    cooldowns = Cooldowns(now)
    fail(cooldowns, FAILURES_IN_A_ROW)
    now.seconds += REST_S
    assert cooldowns.resting("a/m") is None

    fail(cooldowns, 1)
    assert cooldowns.resting("a/m") == Rest(REST_S, SERVER)


@pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind not in PASSING])
def test_a_refused_request_is_an_answer(kind: FailureKind) -> None:
    cooldowns = Cooldowns(Now())
    fail(cooldowns, FAILURES_IN_A_ROW - 1)
    fail(cooldowns, FAILURES_IN_A_ROW, kind)
    fail(cooldowns, 1)

    assert cooldowns.resting("a/m") is None


def test_a_shorter_pause_does_not_cut_a_longer_one() -> None:
    cooldowns = Cooldowns(Now())
    cooldowns.failed("a/m", LIMITED, 60.0, REST_S)
    cooldowns.failed("a/m", LIMITED, 1.0, REST_S)

    assert cooldowns.resting("a/m") == Rest(60.0, LIMITED)


def test_nobody_rests_for_more_than_an_hour() -> None:
    cooldowns = Cooldowns(Now())
    cooldowns.failed("a/m", LIMITED, 1e9, REST_S)

    assert cooldowns.resting("a/m") == Rest(LONGEST_REST_S, LIMITED)


def test_a_rest_of_no_seconds_is_none() -> None:
    cooldowns = Cooldowns(Now())
    fail(cooldowns, FAILURES_IN_A_ROW, rest_s=0.0)

    assert cooldowns.resting("a/m") is None


def test_models_that_clients_make_up_do_not_fill_the_memory() -> None:
    cooldowns = Cooldowns(Now())
    for number in range(2000):
        cooldowns.failed(f"a/{number}", LIMITED, 60.0, REST_S)

    assert sum(cooldowns.resting(f"a/{number}") is not None for number in range(2000)) == 256
    assert cooldowns.resting("a/1999") is not None


class Machine(RuleBasedStateMachine):
    """Rests against a model that keeps every event."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Now()
        self.cooldowns = Cooldowns(self.now)
        self.row = 0
        self.asked_until = 0.0
        self.failed_until = 0.0

    @rule(kind=st.sampled_from(FailureKind), asked_s=st.none() | st.floats(0, 7200))
    def fails(self, kind: FailureKind, asked_s: float | None) -> None:
        self.cooldowns.failed("a/m", kind, asked_s, REST_S)
        if kind not in PASSING:
            self.row, self.failed_until = 0, 0.0
            return
        self.row += 1
        if asked_s:
            self.asked_until = max(self.asked_until, self.now() + min(asked_s, 3600.0))
        elif self.row >= FAILURES_IN_A_ROW:
            self.failed_until = self.now() + REST_S

    @rule()
    def answers(self) -> None:
        self.cooldowns.answered("a/m")
        self.row, self.failed_until = 0, 0.0

    @rule(seconds=st.floats(0, 4000))
    def passes(self, seconds: float) -> None:
        self.now.seconds += seconds

    @invariant()
    def it_rests_for_as_long_as_it_must(self) -> None:
        rest = self.cooldowns.resting("a/m")
        assert (rest.left_s if rest else 0.0) == max(0.0, max(self.asked_until, self.failed_until) - self.now())


Machine.TestCase.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
TestCooldowns = Machine.TestCase
