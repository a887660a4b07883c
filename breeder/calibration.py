"""The confidence threshold, fixed on the calibration slice alone, before the holdout is looked at.

Pure. Confidence is the mean token log-probability of an answer; a task is served when its confidence >= the threshold.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isnan, sqrt
from statistics import NormalDist

from breeder.margin import independent_tasks
from registry.errors import DataError

_NORMAL = NormalDist()
_CAUTION = _NORMAL.inv_cdf(0.975)
_DREAD = 3
"""A refusal costs a whole breeding and its alpha, so the chance to pass weighs more than coverage.

In simulation (120 tasks to calibrate, 200 to judge, six accuracy curves) passes rise from 85-92 % to 90-97 % against
weight 1, and coverage falls by 0 to 5 points.
"""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A confidence threshold and what it did on the calibration slice; coverage is a share of all its scored tasks.

    `prospect` is coverage times a power of the chance to pass: it compares candidates before the holdout is seen.
    """

    value: float
    coverage: float
    mean_difference: float
    served: int
    prospect: float


def choose_threshold(
    confidences: Sequence[float],
    specialist_scores: Sequence[float],
    cloud_scores: Sequence[float],
    *,
    minimum_margin: float,
    minimum_coverage: float,
) -> Threshold | None:
    """Choose the threshold with the best prospect, or None where none of enough coverage reaches the minimum margin.

    The prospect is coverage times the cubed chance (normal approximation, one loss added) that a fresh slice of this
    size puts the lower bound on the mean difference above the minimum margin.

    A confidence that is not finite is never served; tasks with a NaN score are left out.
    """
    thresholds = _thresholds(confidences, specialist_scores, cloud_scores, minimum_margin, minimum_coverage)
    able = [each for each in thresholds if each.mean_difference >= minimum_margin]
    return max(able, key=lambda each: (each.prospect, each.coverage), default=None)


def fallback_threshold(
    confidences: Sequence[float],
    specialist_scores: Sequence[float],
    cloud_scores: Sequence[float],
    *,
    minimum_margin: float,
    minimum_coverage: float,
) -> Threshold:
    """Return the strictest threshold that reaches the minimum coverage, so that a refusal has its numbers.

    Where too few confidences are finite for that, it serves all that are; where none is, DataError.
    """
    thresholds = list(_thresholds(confidences, specialist_scores, cloud_scores, minimum_margin, 0.0))
    if not thresholds:
        raise DataError(
            f"none of the {len(confidences)} calibration tasks has a confidence and both scores; evaluate them again"
        )
    return next((each for each in thresholds if each.coverage >= minimum_coverage), thresholds[-1])


def chance_to_pass(
    differences: Sequence[float], clusters: Sequence[Hashable], *, judged: float, minimum_margin: float, alpha: float
) -> float:
    """Estimate the chance that a holdout puts the lower bound on the mean difference above the minimum margin.

    Normal approximation with one loss added, for the tasks that a threshold serves on the calibration slice; `judged`
    says how many it will serve on the holdout. Both count for what their clusters are worth. The threshold was chosen
    on the same tasks, so that the estimate is about 0.1 too high; it falls with alpha as the chance itself does.
    """
    if not differences:
        return 0.0
    worth = independent_tasks(clusters) / len(differences)
    known, fresh = len(differences) * worth + 1, judged * worth + 1
    mean = (sum(differences) - 1) / (len(differences) + 1)
    variance = max((sum(each**2 for each in differences) + 1) / (len(differences) + 1) - mean**2, 1e-12)
    bound = mean - _NORMAL.inv_cdf(1 - alpha) * sqrt(variance / fresh)
    return _NORMAL.cdf((bound - minimum_margin) / sqrt(variance * (1 / known + 1 / fresh)))


def _thresholds(
    confidences: Sequence[float],
    specialist_scores: Sequence[float],
    cloud_scores: Sequence[float],
    minimum_margin: float,
    minimum_coverage: float,
) -> Iterator[Threshold]:
    """Yield the thresholds that reach the minimum coverage, strictest first."""
    pairs = zip(confidences, specialist_scores, cloud_scores, strict=True)
    scored = [(each, mine - theirs) for each, mine, theirs in pairs if not isnan(mine - theirs)]
    ranked = sorted((pair for pair in scored if isfinite(pair[0])), reverse=True)
    total = squares = 0.0
    for served, (confidence, difference) in enumerate(ranked, start=1):
        total += difference
        squares += difference**2
        following = ranked[served][0] if served < len(ranked) else None
        coverage = served / len(scored)
        if following == confidence or coverage < minimum_coverage:
            continue
        prospect = coverage * _chance(total, squares, served, minimum_margin) ** _DREAD
        yield Threshold(_between(confidence, following), coverage, total / served, served, prospect)


def _between(confidence: float, following: float | None) -> float:
    """Split two confidences; below the weakest one measured nothing is served."""
    if following is None:
        return confidence
    middle = (confidence + following) / 2
    return middle if middle > following else confidence


def _chance(total: float, squares: float, served: int, minimum_margin: float) -> float:
    """Estimate the chance that as many fresh tasks put the lower bound above the minimum margin."""
    mean = (total - 1) / (served + 1)
    variance = max((squares + 1) / (served + 1) - mean**2, 1e-12)
    error = sqrt(variance / (served + 1))
    return _NORMAL.cdf(((mean - minimum_margin) / error - _CAUTION) / sqrt(2))
