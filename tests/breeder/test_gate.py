"""The gate: each verdict, its sentence, and what may never pass."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breeder.gate import Gate, PairedOutcome, judge, served_needed
from breeder.margin import paired_lower_bound
from registry.entities import Verdict
from registry.errors import ConfigError


def _outcomes(*, ties: int = 0, wins: int = 0, losses: int = 0, unserved: int = 0) -> list[PairedOutcome]:
    kinds = [(1.0, 1.0, True)] * ties + [(1.0, 0.0, True)] * wins
    kinds += [(0.0, 1.0, True)] * losses + [(0.0, 1.0, False)] * unserved
    return [
        PairedOutcome(f"task-{index}", None, -0.1, served, specialist, cloud)
        for index, (specialist, cloud, served) in enumerate(kinds)
    ]


def test_a_specialist_as_good_as_the_cloud_passes() -> None:
    """The result carries every number behind the sentence."""
    result = judge(_outcomes(ties=95, wins=3, losses=2, unserved=20), Gate(), 0)

    assert result.verdict is Verdict.PASS
    assert (result.n, result.served, result.wins, result.losses, result.incomplete) == (120, 100, 3, 2, 0)
    assert result.coverage == pytest.approx(100 / 120)
    assert result.mean_difference == pytest.approx(0.01)
    assert (result.specialist_score, result.cloud_score) == (0.98, 0.97)
    assert (result.specialist_score_all, result.cloud_score_all) == (98 / 120, 117 / 120)
    assert result.alpha_spent == 0.025
    assert result.margin_lower == paired_lower_bound([1.0] * 3 + [-1.0] * 2 + [0.0] * 95, None, 0.025)
    assert result.reason == (
        "3 won and 2 lost against the cloud, mean +0.010; margin -0.049 at 97.5% confidence (minimum -0.050); "
        "100 of 120 holdout tasks served, 83%"
    )


def test_low_coverage_fails() -> None:
    """However good the served tasks are."""
    result = judge(_outcomes(ties=100, unserved=300), Gate(), 0)

    assert result.verdict is Verdict.FAIL
    assert result.reason == "coverage too low: 100 of 400 holdout tasks served, 25% (minimum 30%)"


def test_serving_nothing_fails_without_inventing_scores() -> None:
    """There is no mean over no task."""
    result = judge(_outcomes(unserved=50), Gate(), 0)

    assert result.verdict is Verdict.FAIL
    assert (result.margin_lower, result.margin_upper, result.coverage) == (-1, 1, 0)
    assert math.isnan(result.mean_difference)
    assert math.isnan(result.specialist_score)


def test_an_estimate_below_the_minimum_margin_fails() -> None:
    """More tasks would not help it."""
    result = judge(_outcomes(ties=85, losses=15), Gate(), 0)

    assert result.verdict is Verdict.FAIL
    assert "worse than allowed: 0 won and 15 lost" in result.reason


def test_an_estimate_that_more_tasks_could_confirm_is_inconclusive() -> None:
    """The estimate is fine, the bound is not there yet."""
    result = judge(_outcomes(ties=90, wins=5, losses=5), Gate(), 0)

    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.margin_lower < -0.05 <= result.mean_difference
    assert "more tasks may pass it" in result.reason


def test_too_few_served_tasks_are_inconclusive_and_say_how_many_are_needed() -> None:
    """Even flawless they could not pass; nor may three losses fail them yet."""
    for outcomes in (_outcomes(ties=40), _outcomes(ties=38, losses=3)):
        result = judge(outcomes, Gate(), 0)

        assert result.verdict is Verdict.INCONCLUSIVE
        assert "too few: 72 could pass without a loss" in result.reason


def test_a_clearly_worse_specialist_fails_on_few_tasks_too() -> None:
    """The upper bound is below the minimum margin."""
    assert judge(_outcomes(ties=20, losses=25), Gate(), 0).verdict is Verdict.FAIL


def test_a_small_holdout_is_inconclusive() -> None:
    """Whatever it shows: a wide minimum margin would pass a handful."""
    result = judge(_outcomes(ties=20), Gate(minimum_margin=-0.3), 0)

    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason == "20 scored holdout tasks are too few: 10 more are needed"


def test_tasks_of_few_sessions_are_too_few() -> None:
    """200 tasks of 10 sessions are worth 10."""
    outcomes = [replace(each, cluster=f"s{index % 10}") for index, each in enumerate(_outcomes(ties=200))]

    result = judge(outcomes, Gate(), 0)

    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.independent == 10
    assert result.reason.startswith("10 independent served tasks are too few")


@pytest.mark.parametrize(
    "hole",
    [
        PairedOutcome("hole", None, math.nan, served=True, specialist_score=1.0, cloud_score=1.0),
        PairedOutcome("hole", None, -0.1, served=True, specialist_score=math.nan, cloud_score=1.0),
        PairedOutcome("hole", None, -0.1, served=False, specialist_score=1.0, cloud_score=math.nan),
    ],
)
def test_a_missing_measurement_never_passes(hole: PairedOutcome) -> None:
    """It is counted, and the margin is that of the complete outcomes."""
    complete = _outcomes(ties=200)

    result = judge([*complete, hole], Gate(), 0)

    assert result.verdict is Verdict.INCONCLUSIVE
    assert (result.n, result.incomplete) == (200, 1)
    assert result.margin_lower == judge(complete, Gate(), 0).margin_lower
    assert result.reason.endswith("; 1 holdout tasks lack a score or confidence")


def test_a_missing_measurement_does_not_hide_a_failure() -> None:
    """What was measured suffices to refuse."""
    hole = replace(_outcomes(ties=1)[0], cloud_score=math.nan)

    assert judge([*_outcomes(ties=60, losses=40), hole], Gate(), 0).verdict is Verdict.FAIL


def test_each_look_asks_for_more() -> None:
    """The same outcomes pass at the first look and not at a later one."""
    outcomes = _outcomes(ties=80)

    verdicts = [judge(outcomes, Gate(), look).verdict for look in range(3)]

    assert verdicts == [Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE]


@pytest.mark.parametrize("margin", [-1.0, -0.3, -0.05, -0.01, 0.0, 0.2])
@pytest.mark.parametrize("look", [0, 4])
def test_the_served_tasks_needed_are_just_enough(margin: float, look: int) -> None:
    """Ties below a minimum margin of 0, wins from there on."""
    gate = Gate(minimum_margin=margin, minimum_holdout=1)
    needed = served_needed(gate, look)

    def verdict(n: int) -> Verdict:
        return judge(_outcomes(ties=n) if margin < 0 else _outcomes(wins=n), gate, look).verdict

    assert verdict(needed) is Verdict.PASS
    assert needed == 1 or verdict(needed - 1) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("wrong", [{"minimum_margin": 1.0}, {"minimum_margin": -1.5}, {"alpha": 0.0}, {"alpha": 0.5}])
def test_a_gate_that_means_nothing_is_refused(wrong: dict[str, float]) -> None:
    """It would pass everything or nothing."""
    with pytest.raises(ConfigError, match="choose a margin"):
        Gate(**wrong)  # type: ignore[arg-type]  # the cases vary only float fields


scores = st.sampled_from([0.0, 0.5, 1.0, math.nan])
outcome_lists = st.lists(
    st.builds(
        PairedOutcome,
        st.just("task"),
        st.sampled_from([None, "a", "b"]),
        st.sampled_from([-1.0, -math.inf, math.nan]),
        st.booleans(),
        scores,
        scores,
    ),
    max_size=60,
)


@given(outcome_lists, st.integers(0, 70), st.integers(0, 3))
@settings(max_examples=60)
def test_only_the_bound_and_the_coverage_pass(outcomes: list[PairedOutcome], ties: int, look: int) -> None:
    """Any outcomes get a verdict and one sentence; a pass has the numbers for it."""
    gate = Gate(minimum_margin=-0.2)

    result = judge([*outcomes, *_outcomes(ties=ties)], gate, look)

    assert result.reason
    assert result.n + result.incomplete == len(outcomes) + ties
    if result.verdict is Verdict.PASS:
        assert result.margin_lower >= gate.minimum_margin
        assert result.coverage >= gate.minimum_coverage
        assert result.n >= gate.minimum_holdout
        assert result.incomplete == 0
