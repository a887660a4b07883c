"""The confidence threshold: what it serves, what it refuses, and that it pays on tasks it has not seen."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from breeder.calibration import Threshold, chance_to_pass, choose_threshold, fallback_threshold
from breeder.gate import Gate, PairedOutcome, judge
from breeder.margin import look_alpha
from breeder.measuring import HOPE
from registry.entities import Verdict
from registry.errors import DataError

Column: TypeAlias = list[float]
Floats: TypeAlias = NDArray[np.float64]
tasks = st.lists(
    st.tuples(
        st.sampled_from([-3.0, -1.0, -0.5, -0.25, 0.0, math.nan, -math.inf]),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from([0.0, 0.5, 1.0, math.nan]),
    ),
    max_size=60,
)


def _choose(
    confidences: Column, specialist: Column, cloud: Column, *, margin: float = -0.05, coverage: float = 0.3
) -> Threshold | None:
    return choose_threshold(confidences, specialist, cloud, minimum_margin=margin, minimum_coverage=coverage)


def _fall_back(confidences: Column, specialist: Column, cloud: Column, *, coverage: float = 0.3) -> Threshold:
    return fallback_threshold(confidences, specialist, cloud, minimum_margin=-0.05, minimum_coverage=coverage)


def _ranked(right: int, wrong: int) -> tuple[Column, Column, Column]:
    """Return tasks of falling confidence, the right ones first, against a cloud that is always right."""
    n = right + wrong
    return [-0.01 * index for index in range(n)], [1.0] * right + [0.0] * wrong, [1.0] * n


def test_a_specialist_that_never_loses_serves_everything() -> None:
    """Its weakest confidence is the threshold: what is weaker was never measured."""
    confidences, specialist, cloud = _ranked(80, 0)

    chosen = _choose(confidences, specialist, cloud)

    assert chosen is not None
    assert (chosen.value, chosen.coverage, chosen.served) == (min(confidences), 1.0, 80)


def test_confident_and_right_tasks_are_served_and_the_rest_handed_on() -> None:
    """The threshold lies between the last task worth serving and the next."""
    confidences, specialist, cloud = _ranked(60, 40)

    chosen = _choose(confidences, specialist, cloud)

    assert chosen is not None
    assert -0.60 < chosen.value < -0.59
    assert (chosen.coverage, chosen.mean_difference, chosen.served) == (0.6, 0.0, 60)


def test_a_hopeless_specialist_gets_no_threshold_but_a_fallback() -> None:
    """The fallback is the strictest that reaches the minimum coverage."""
    confidences, _, cloud = _ranked(100, 0)
    specialist = [0.0] * 100

    assert _choose(confidences, specialist, cloud) is None
    assert _fall_back(confidences, specialist, cloud).served == 30


def test_enough_quality_below_the_minimum_coverage_is_not_enough() -> None:
    """20 of 100 tasks are answered well, 30 must be."""
    assert _choose(*_ranked(20, 80)) is None


def test_equal_confidences_are_served_together() -> None:
    """No threshold can split a tie."""
    confidences = [-0.1] * 50 + [-0.2] * 50
    specialist, cloud = [1.0] * 50 + [0.0] * 50, [1.0] * 100

    chosen = _choose(confidences, specialist, cloud)

    assert chosen is not None
    assert chosen.served == 50
    assert chosen.value == pytest.approx(-0.15)
    assert _fall_back(confidences, specialist, cloud, coverage=0.1).served == 50


@pytest.mark.parametrize("high", [-0.1, -0.2, -0.3, math.nextafter(-0.1, 0)])
def test_adjacent_floats_are_still_split(high: float) -> None:
    """Their middle rounds to one of them; the weaker one stays out."""
    low = math.nextafter(high, -1)
    confidences, specialist = [high] * 50 + [low] * 50, [1.0] * 50 + [0.0] * 50

    chosen = _choose(confidences, specialist, [1.0] * 100)

    assert chosen is not None
    assert low < chosen.value <= high


def test_one_loss_among_many_is_not_worth_a_fifth_of_the_coverage() -> None:
    """Stopping before the loss would be a little safer and much smaller."""
    confidences, specialist, cloud = _ranked(300, 0)
    specialist[240] = 0.0

    chosen = _choose(confidences, specialist, cloud)

    assert chosen is not None
    assert chosen.coverage == 1.0
    assert 0.99 < chosen.prospect <= 1.0


def test_an_answer_without_confidence_is_never_served_but_counts() -> None:
    """NaN and -inf lower the coverage and never the threshold."""
    confidences, specialist, cloud = _ranked(60, 0)

    chosen = _choose([*confidences, math.nan, -math.inf], [*specialist, 1, 1], [*cloud, 1, 1])

    assert chosen is not None
    assert (chosen.served, chosen.coverage) == (60, 60 / 62)
    assert math.isfinite(chosen.value)


def test_a_task_without_scores_is_left_out() -> None:
    """It neither wins nor loses nor counts."""
    confidences, specialist, cloud = _ranked(60, 0)

    assert _choose([*confidences, -0.001], [*specialist, 1.0], [*cloud, math.nan]) == _choose(
        confidences, specialist, cloud
    )


def test_too_few_confidences_fall_back_to_all_of_them() -> None:
    """Two of ten tasks have one; three would be needed."""
    confidences = [-0.1, -0.2] + [math.nan] * 8

    assert _fall_back(confidences, [1.0] * 10, [1.0] * 10).served == 2


def test_a_slice_without_any_measured_task_is_an_error() -> None:
    """There is no number to fall back to."""
    assert _choose([], [], []) is None
    with pytest.raises(DataError, match="none of the 1 calibration tasks"):
        _fall_back([math.nan], [1.0], [1.0])


@given(tasks, st.sampled_from([-0.2, -0.05, 0.0]), st.sampled_from([0.1, 0.3, 0.9]))
@settings(max_examples=80)
def test_a_threshold_says_what_it_serves(
    rows: list[tuple[float, float, float]], margin: float, coverage: float
) -> None:
    """Serving `confidence >= value` gives the served tasks, coverage and mean that the threshold states."""
    confidences, specialist, cloud = ([row[column] for row in rows] for column in range(3))

    chosen = _choose(confidences, specialist, cloud, margin=margin, coverage=coverage)

    if chosen is None:
        return
    scored = [row for row in rows if not math.isnan(row[2])]
    served = [row[1] - row[2] for row in scored if row[0] >= chosen.value]
    assert chosen.served == len(served)
    assert chosen.coverage == len(served) / len(scored) >= coverage
    assert chosen.mean_difference == pytest.approx(np.mean(served))
    assert chosen.mean_difference >= margin


def test_the_prospect_outserves_one_standard_error_above_the_margin() -> None:
    """Share served on passing holdouts of 300 tasks, 60 % of them easy; long runs give about 0.54 and 0.27."""
    rng = default_rng(6)
    ours = plain = 0.0
    for _ in range(80):
        confidences, specialist, cloud = _slice(rng, 150)
        holdout = _slice(rng, 300)
        chosen = _choose(confidences.tolist(), specialist.tolist(), cloud.tolist())
        ours += _served_if_passed(holdout, chosen.value if chosen else 0.0)
        plain += _served_if_passed(holdout, _one_standard_error(confidences, specialist - cloud))

    assert ours / 80 > 0.45
    assert ours > 1.3 * plain


def _slice(rng: Generator, n: int) -> tuple[Floats, Floats, Floats]:
    confidences = rng.random(n) - 1
    specialist = rng.random(n) < np.where(confidences > -0.6, 0.99, 0.6)
    return confidences, specialist.astype(float), (rng.random(n) < 0.95).astype(float)


def _served_if_passed(holdout: tuple[Floats, Floats, Floats], threshold: float) -> float:
    rows = zip(*(column.tolist() for column in holdout), strict=True)
    outcomes = [
        PairedOutcome(str(index), None, confidence, confidence >= threshold, specialist, cloud)
        for index, (confidence, specialist, cloud) in enumerate(rows)
    ]
    result = judge(outcomes, Gate(), 0)
    return result.coverage if result.verdict is Verdict.PASS else 0.0


def _one_standard_error(confidences: Floats, differences: Floats) -> float:
    """The simpler rule: the largest coverage whose estimate, one standard error off, reaches the minimum margin."""
    order = np.argsort(-confidences)
    served = np.arange(1, len(order) + 1)
    mean = (differences[order].cumsum() - 1) / (served + 1)
    square = ((differences[order] ** 2).cumsum() + 1) / (served + 1)
    able = np.flatnonzero((mean - np.sqrt((square - mean**2) / (served + 1)) >= -0.05) & (served >= 45))
    return float(confidences[order][able[-1]]) if len(able) else 0.0


def test_the_chance_to_pass_falls_with_alpha_and_rises_with_tasks_and_wins() -> None:
    """More looks, fewer tasks or dependent ones make a pass less likely; without a served task it is impossible."""
    clean, one_loss, wins = [0.0] * 80, [0.0] * 79 + [-1.0], [0.0] * 70 + [0.5] * 10

    assert _hope(wins) > _hope(clean) > _hope(one_loss)
    assert _hope(one_loss) > _hope(one_loss, alpha=0.0125) > _hope(one_loss, alpha=0.0125 / 4)
    assert _hope(one_loss, judged=200) > _hope(one_loss, judged=60)
    assert _hope(one_loss) > _hope(one_loss, clusters=[index // 4 for index in range(80)])
    assert _hope([]) == 0.0


def _hope(
    differences: Column, *, judged: float = 130, alpha: float = 0.025, clusters: list[int] | None = None
) -> float:
    given = list(range(len(differences))) if clusters is None else clusters
    return chance_to_pass(differences, given, judged=judged, minimum_margin=-0.05, alpha=alpha)


def test_asking_for_hope_saves_looks_and_costs_few_passes() -> None:
    """A rung of any quality, then a good one; long runs: 1.40 and 1.17 looks, 0.70 and 0.67 of breedings pass."""
    bold, careful = ([_two_rungs(bar, number) for number in range(250)] for bar in (0.0, HOPE))
    looks, passes = ([sum(each[index] for each in runs) for runs in (bold, careful)] for index in (0, 1))

    assert looks[1] < 0.92 * looks[0]
    assert passes[1] > 0.9 * passes[0]


def _two_rungs(bar: float, number: int) -> tuple[int, int]:
    """Return how many looks a ladder of two rungs took, and whether one of them passed."""
    rng = default_rng(number)
    simple, good = rng.choice([0, 1, 2, 3]), rng.choice([2, 3, 4])
    steepness = rng.choice([0, 4, 8], size=2)
    looks = 0
    for level, steep in ((simple, steepness[0]), (good, steepness[1])):
        slices = [_curve(rng, n, level, steep) for n in (120, 200)]
        if _hope_of(slices[0], looks) < bar:
            continue
        threshold = _choose(*(column.tolist() for column in slices[0]))
        if threshold is None:
            continue
        rows = zip(*(column.tolist() for column in slices[1]), strict=True)
        outcomes = [PairedOutcome(str(at), None, c, c >= threshold.value, s, t) for at, (c, s, t) in enumerate(rows)]
        looks += 1
        if judge(outcomes, Gate(), looks - 1).verdict is Verdict.PASS:
            return looks, 1
    return looks, 0


def _hope_of(calibration: tuple[Floats, Floats, Floats], look: int) -> float:
    confidences, specialist, cloud = calibration
    threshold = _choose(confidences.tolist(), specialist.tolist(), cloud.tolist())
    if threshold is None:
        return 0.0
    served = (specialist - cloud)[confidences >= threshold.value].tolist()
    return _hope(served, judged=200 * threshold.coverage, alpha=look_alpha(0.05, look))


def _curve(rng: Generator, n: int, level: float, steep: float) -> tuple[Floats, Floats, Floats]:
    """Return confidences, and answers that are right the more often the more confident they are."""
    confidences = rng.random(n)
    right = rng.random(n) < 1 / (1 + np.exp(-(level + steep * (confidences - 0.5))))
    return confidences, right.astype(float), (rng.random((n, 2)) < 0.95).mean(axis=1)
