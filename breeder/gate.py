"""The gate: judges a specialist's paired outcomes on the holdout and says why in one sentence.

Pure. It never passes what it could not measure: missing scores and small samples end as `inconclusive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, isnan, log, nan
from statistics import fmean

from breeder.margin import (
    independent_tasks,
    look_alpha,
    paired_lower_bound,
    paired_upper_bound,
)
from registry.entities import Verdict
from registry.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Gate:
    """What a specialist must show; alpha is shared by all looks at an overlapping holdout."""

    minimum_margin: float = -0.05
    minimum_coverage: float = 0.3
    alpha: float = 0.05
    minimum_holdout: int = 30

    def __post_init__(self) -> None:
        """Refuse what could pass everything or nothing."""
        if not -1 <= self.minimum_margin < 1 or not 0 < 2 * self.alpha < 1:
            raise ConfigError(
                f"gate with minimum margin {self.minimum_margin} and alpha {self.alpha}: "
                "choose a margin in [-1, 1) and an alpha in (0, 0.5)"
            )


@dataclass(frozen=True, slots=True)
class PairedOutcome:
    """One holdout task, answered by specialist and cloud; scores in [0, 1], NaN where there is none."""

    task_id: str
    cluster: str | None
    confidence: float
    served: bool
    specialist_score: float
    cloud_score: float

    @property
    def complete(self) -> bool:
        """Say whether nothing is missing."""
        return not isnan(self.confidence + self.specialist_score + self.cloud_score)

    @property
    def difference(self) -> float:
        """Return specialist - cloud."""
        return self.specialist_score - self.cloud_score


@dataclass(frozen=True, slots=True)
class GateResult:
    """A verdict and its numbers over the complete outcomes; scores and differences over no task are NaN.

    Margins, mean difference, wins, losses and the first two scores are over the served tasks. `independent` is what
    these are worth once tasks of one cluster count as dependent.
    """

    verdict: Verdict
    reason: str
    margin_lower: float
    margin_upper: float
    mean_difference: float
    coverage: float
    specialist_score: float
    cloud_score: float
    specialist_score_all: float
    cloud_score_all: float
    n: int
    served: int
    independent: float
    incomplete: int
    wins: int
    losses: int
    alpha_spent: float


def judge(outcomes: Sequence[PairedOutcome], gate: Gate, look: int, unlabelled: int = 0) -> GateResult:
    """Judge the outcomes; look counts from 0 the earlier verdicts on an overlapping holdout of this workflow.

    `unlabelled` tasks have no reference: nobody knows what is right, so they count as not covered.
    """
    measured = _measure(outcomes, look_alpha(gate.alpha, look), unlabelled)
    verdict, reason = _decide(measured, gate, served_needed(gate, look))
    if measured.incomplete:
        reason += f"; {measured.incomplete} holdout tasks lack a score or confidence"
    return replace(measured, verdict=verdict, reason=reason)


def served_needed(gate: Gate, look: int) -> int:
    """Return how many independent served tasks could pass at least, if the specialist never lost.

    Below a minimum margin of 0 it need not win either; from 0 on it would have to win all of them.
    """
    share = 1 + gate.minimum_margin if gate.minimum_margin < 0 else (1 + gate.minimum_margin) / 2
    return ceil(log(look_alpha(gate.alpha, look)) / log(share)) if share > 0 else 1


def _measure(outcomes: Sequence[PairedOutcome], alpha: float, unlabelled: int) -> GateResult:
    complete = [outcome for outcome in outcomes if outcome.complete]
    served = [outcome for outcome in complete if outcome.served]
    differences = [outcome.difference for outcome in served]
    clusters = [outcome.cluster for outcome in served]
    return GateResult(
        verdict=Verdict.INCONCLUSIVE,
        reason="",
        margin_lower=paired_lower_bound(differences, clusters, alpha),
        margin_upper=paired_upper_bound(differences, clusters, alpha),
        mean_difference=_mean(differences),
        coverage=len(served) / (len(complete) + unlabelled) if complete else 0.0,
        specialist_score=_mean([outcome.specialist_score for outcome in served]),
        cloud_score=_mean([outcome.cloud_score for outcome in served]),
        specialist_score_all=_mean([outcome.specialist_score for outcome in complete]),
        cloud_score_all=_mean([outcome.cloud_score for outcome in complete]),
        n=len(complete),
        served=len(served),
        independent=independent_tasks(clusters),
        incomplete=len(outcomes) - len(complete),
        wins=sum(difference > 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        alpha_spent=alpha,
    )


def _decide(measured: GateResult, gate: Gate, needed: int) -> tuple[Verdict, str]:
    """Return the verdict and its sentence; the order of the questions matters."""
    confidence = f"at {100 * (1 - measured.alpha_spent):.4g}% confidence"
    margin = f"margin {measured.margin_lower:+.3f} {confidence} (minimum {gate.minimum_margin:+.3f})"
    share = f"{measured.served} of {measured.n} holdout tasks served, {measured.coverage:.0%}"
    score = f"{measured.wins} won and {measured.losses} lost against the cloud, mean {measured.mean_difference:+.3f}"
    if measured.n < gate.minimum_holdout:
        missing = gate.minimum_holdout - measured.n
        return Verdict.INCONCLUSIVE, f"{measured.n} scored holdout tasks are too few: {missing} more are needed"
    if measured.coverage < gate.minimum_coverage:
        return Verdict.FAIL, f"coverage too low: {share} (minimum {gate.minimum_coverage:.0%})"
    if measured.margin_lower >= gate.minimum_margin:
        verdict = Verdict.INCONCLUSIVE if measured.incomplete else Verdict.PASS
        return verdict, f"{score}; {margin}; {share}"
    if measured.independent < needed and measured.margin_upper >= gate.minimum_margin:
        few = f"{measured.independent:.0f} independent served tasks"
        return Verdict.INCONCLUSIVE, f"{few} are too few: {needed} could pass without a loss; {margin}"
    if measured.mean_difference < gate.minimum_margin:
        return Verdict.FAIL, f"worse than allowed: {score}; {margin}; {share}"
    return Verdict.INCONCLUSIVE, f"more tasks may pass it: {score}; {margin}; {share}"


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else nan
