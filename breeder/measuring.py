"""Measure candidates on the calibration slice, and judge on the holdout the one that is worth a look at it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from breeder.answering import Stack, answer_all
from breeder.calibration import Threshold, chance_to_pass, choose_threshold, fallback_threshold
from breeder.gate import Gate, GateResult, PairedOutcome, judge
from breeder.labelling import LabelledTask, LocalAnswer, pair
from breeder.margin import look_alpha
from breeder.memorised import repeats
from breeder.progress import Paced, Report
from breeder.rungs.rung_file import ask_rung
from registry.entities import SpecialistKind, Verdict
from registry.settings import LocalSettings
from router.engines import engine_for
from router.rungs import KINDS
from router.rungs.rung import BUILD

HOPE = 0.3
"""The least estimated chance to pass that is worth a look: each one halves what the next may spend.

In simulation (120 tasks to calibrate, 200 to judge, 12 accuracy curves of a simple rung before 6 of a trained one) it
saves one look in six against looking whenever a threshold reaches the margin, and costs 2 of 70 passes.
"""
NOT_JUDGED = "not judged: "


@dataclass(frozen=True, slots=True)
class Bench:
    """What candidates are measured on; `look` counts from 0 the earlier looks at this workflow's holdouts."""

    calibration: Sequence[LabelledTask]
    holdout: Sequence[LabelledTask]
    scorer: str
    gate: Gate
    look: int
    socket_dir: Path
    local: LocalSettings
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    """What looks like a secret in the training rows: no answer may repeat it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A base GGUF and what stands on it; for a simple rung, its own file."""

    name: str
    kind: SpecialistKind
    base: Path
    stack: Stack


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate's numbers: those of the holdout once it was `judged`, else those of the calibration slice.

    `chance` is the estimate, from the calibration slice, that the holdout passes it. `tokens_per_second` is None where
    nothing was decoded.
    """

    candidate: Candidate
    threshold: Threshold
    promising: bool
    chance: float
    result: GateResult
    calibration_score: float
    tokens_per_second: float | None
    engine_build: str
    judged: bool = False

    def metrics(self) -> dict[str, float]:
        """Return the finite numbers, under the names that MLflow shows."""
        slice_ = "" if self.judged else "calibration_"
        numbers = {
            f"{slice_}coverage": self.result.coverage,
            f"{slice_}specialist_score_served": self.result.specialist_score,
            f"{slice_}cloud_score_served": self.result.cloud_score,
            f"{slice_}specialist_score_all": self.result.specialist_score_all,
            f"{slice_}cloud_score_all": self.result.cloud_score_all,
            f"{slice_}mean_difference": self.result.mean_difference,
            f"{slice_}margin_lower": self.result.margin_lower,
            "calibration_score": self.calibration_score,
            "chance_to_pass": self.chance,
            "threshold": self.threshold.value,
            "tokens_per_second": math.nan if self.tokens_per_second is None else self.tokens_per_second,
        }
        return {name: value for name, value in numbers.items() if math.isfinite(value)}


def measure(bench: Bench, candidate: Candidate, report: Report) -> Measured:
    """Answer the calibration slice as it will be served, and choose the threshold; the holdout is not looked at."""
    answers, build = answer_tasks(bench, candidate, bench.calibration, report)
    outcomes = pair(bench.calibration, answers, bench.scorer, -math.inf)
    confidences = [outcome.confidence for outcome in outcomes]
    scores = [outcome.specialist_score for outcome in outcomes]
    clouds = [outcome.cloud_score for outcome in outcomes]
    # A task without a reference counts as not covered, here as on the holdout.
    margin = bench.gate.minimum_margin
    coverage = bench.gate.minimum_coverage * len(bench.calibration) / max(1, len(outcomes))
    chosen = choose_threshold(confidences, scores, clouds, minimum_margin=margin, minimum_coverage=coverage)
    threshold = chosen or _refusing(confidences, scores, clouds, margin, coverage)
    served = pair(bench.calibration, answers, bench.scorer, threshold.value)
    chance = _chance(bench, served) if chosen else 0.0
    measured = Measured(
        candidate=candidate,
        threshold=threshold,
        promising=chosen is not None,
        chance=chance,
        result=_unjudged(bench, served, chance if chosen else None),
        calibration_score=sum(scores) / len(scores) if scores else 0.0,
        tokens_per_second=speed(answers),
        engine_build=build,
    )
    return refused(measured, repeats(bench.secrets, bench.calibration, answers))


def refused(measured: Measured, why: str) -> Measured:
    """Return it with a verdict that no number mends, where there is a reason: it is neither judged nor promoted."""
    if not why:
        return measured
    result = replace(measured.result, verdict=Verdict.FAIL, reason=f"refused: {why}")
    return replace(measured, result=result, promising=False, chance=0.0)


def judge_measured(bench: Bench, measured: Measured, report: Report) -> Measured:
    """Answer the holdout too, and judge it at the threshold of the calibration slice; this is one look."""
    answers, build = answer_tasks(bench, measured.candidate, bench.holdout, report)
    outcomes = pair(bench.holdout, answers, bench.scorer, measured.threshold.value)
    result = judge(outcomes, bench.gate, bench.look, len(bench.holdout) - len(outcomes))
    judged = replace(measured, result=result, judged=True, tokens_per_second=speed(answers), engine_build=build)
    return refused(judged, repeats(bench.secrets, bench.holdout, answers))


def answer_tasks(
    bench: Bench, candidate: Candidate, tasks: Sequence[LabelledTask], report: Report
) -> tuple[list[LocalAnswer], str]:
    """Return a candidate's answers, through an engine of its own where it needs one, and what answered."""
    if candidate.kind in KINDS:
        return ask_rung(candidate.base, candidate.stack.trim, [task.row.prompt for task in tasks]), BUILD
    return asyncio.run(_answers(bench, candidate, tasks, report))


async def _answers(
    bench: Bench, candidate: Candidate, tasks: Sequence[LabelledTask], report: Report
) -> tuple[list[LocalAnswer], str]:
    async with engine_for(candidate.base, bench.local, bench.socket_dir) as engine:
        health = await engine.health()
        prompts = [task.row.prompt for task in tasks]
        return await answer_all(engine, candidate.stack, prompts, Paced(report)), health.build


def speed(answers: Sequence[LocalAnswer]) -> float | None:
    """Return decoded tokens a second over all answers, prompts included in the time; None where none was decoded."""
    tokens, seconds = sum(answer.completion_tokens for answer in answers), sum(answer.seconds for answer in answers)
    return tokens / seconds if tokens and seconds else None


def _chance(bench: Bench, outcomes: Sequence[PairedOutcome]) -> float:
    """Estimate the chance that the holdout passes what was served of the calibration slice."""
    served = [outcome for outcome in outcomes if outcome.served and outcome.complete]
    return chance_to_pass(
        [outcome.difference for outcome in served],
        [outcome.cluster for outcome in served],
        judged=len(served) * len(bench.holdout) / len(bench.calibration),
        minimum_margin=bench.gate.minimum_margin,
        alpha=look_alpha(bench.gate.alpha, bench.look),
    )


def _unjudged(bench: Bench, outcomes: Sequence[PairedOutcome], chance: float | None) -> GateResult:
    """Return the numbers of the calibration slice; without a chance (no threshold reaches the margin) it has failed."""
    result = judge(outcomes, bench.gate, bench.look, len(bench.calibration) - len(outcomes))
    share = f"serving {result.coverage:.0%} of the calibration slice"
    told = f"{share}, {result.wins} won and {result.losses} lost against the cloud, mean {result.mean_difference:+.3f}"
    if not result.served:
        told = "it answers no task of the calibration slice"
    if chance is None:
        reason = f"no threshold reaches the margin {bench.gate.minimum_margin:+.3f}: {told}"
        return replace(result, verdict=Verdict.FAIL, reason=reason, alpha_spent=0.0)
    reason = f"{NOT_JUDGED}its chance to pass is {chance:.0%}, {told}"
    return replace(result, verdict=Verdict.INCONCLUSIVE, reason=reason, alpha_spent=0.0)


def _refusing(
    confidences: Sequence[float], scores: Sequence[float], clouds: Sequence[float], margin: float, coverage: float
) -> Threshold:
    """Return a threshold for a candidate that is going to be refused, so that the refusal has numbers."""
    if not any(map(math.isfinite, confidences)):
        return Threshold(math.inf, 0.0, math.nan, 0, 0.0)
    return fallback_threshold(confidences, scores, clouds, minimum_margin=margin, minimum_coverage=coverage)


def finalist(measured: Sequence[Measured]) -> Measured:
    """Return the candidate that the calibration slice favours; of one rung only it is judged, so only it spends alpha.

    Promising candidates go before others, by their prospect; the simpler (earlier) one wins ties.
    """
    return max(
        measured, key=lambda one: (one.promising, one.threshold.prospect if one.promising else one.calibration_score)
    )
