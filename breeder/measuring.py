"""Measure one candidate: threshold from the calibration slice, then the paired comparison on the holdout."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from breeder.answering import Stack, answer_all
from breeder.calibration import Threshold, choose_threshold, fallback_threshold
from breeder.gate import Gate, GateResult, judge
from breeder.labelling import LabelledTask, LocalAnswer, pair
from breeder.progress import Paced, Report
from registry.entities import SpecialistKind, Verdict
from registry.settings import LocalSettings
from router.engines import engine_for


@dataclass(frozen=True, slots=True)
class Bench:
    """What every candidate of a breeding is measured on."""

    calibration: Sequence[LabelledTask]
    holdout: Sequence[LabelledTask]
    scorer: str
    gate: Gate
    look: int
    socket_dir: Path
    local: LocalSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A base GGUF and what stands on it."""

    name: str
    kind: SpecialistKind
    base: Path
    stack: Stack


@dataclass(frozen=True, slots=True)
class Told:
    """What an evaluation record says of a holdout; a candidate that was not `judged` has numbers but no verdict."""

    result: GateResult
    holdout_digest: str
    engine_build: str
    tokens_per_second: float
    judged: bool
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate's numbers: `promising` when the calibration slice lets it hope to pass the gate."""

    candidate: Candidate
    threshold: Threshold
    promising: bool
    result: GateResult
    calibration_score: float
    tokens_per_second: float
    engine_build: str

    def told(self, holdout_digest: str, *, judged: bool, cost_usd: float | None) -> Told:
        """Return these numbers for the record."""
        return Told(self.result, holdout_digest, self.engine_build, self.tokens_per_second, judged, cost_usd)

    def metrics(self) -> dict[str, float]:
        """Return the finite numbers, under the names that MLflow shows."""
        numbers = {
            "coverage": self.result.coverage,
            "specialist_score_served": self.result.specialist_score,
            "cloud_score_served": self.result.cloud_score,
            "specialist_score_all": self.result.specialist_score_all,
            "cloud_score_all": self.result.cloud_score_all,
            "mean_difference": self.result.mean_difference,
            "margin_lower": self.result.margin_lower,
            "calibration_score": self.calibration_score,
            "threshold": self.threshold.value,
            "tokens_per_second": self.tokens_per_second,
        }
        return {name: value for name, value in numbers.items() if math.isfinite(value)}


def measure(bench: Bench, candidate: Candidate, report: Report) -> Measured:
    """Answer both slices through the serving engine and judge the holdout at the threshold of the calibration slice."""
    tasks = [*bench.calibration, *bench.holdout]
    answers, build = answer_tasks(bench, candidate, tasks, report)
    first = len(bench.calibration)
    calibrated = pair(bench.calibration, answers[:first], bench.scorer, -math.inf)
    confidences = [outcome.confidence for outcome in calibrated]
    scores = [outcome.specialist_score for outcome in calibrated]
    clouds = [outcome.cloud_score for outcome in calibrated]
    # A task without a reference counts as not covered, here as on the holdout.
    margin = bench.gate.minimum_margin
    coverage = bench.gate.minimum_coverage * len(bench.calibration) / max(1, len(calibrated))
    chosen = choose_threshold(confidences, scores, clouds, minimum_margin=margin, minimum_coverage=coverage)
    threshold = chosen or _refusing(confidences, scores, clouds, margin, coverage)
    outcomes = pair(bench.holdout, answers[first:], bench.scorer, threshold.value)
    result = judge(outcomes, bench.gate, bench.look, len(bench.holdout) - len(outcomes))
    return Measured(
        candidate=candidate,
        threshold=threshold,
        promising=chosen is not None,
        result=result if chosen else _hopeless(result, margin),
        calibration_score=sum(scores) / len(scores) if scores else 0.0,
        tokens_per_second=speed(answers),
        engine_build=build,
    )


def answer_tasks(
    bench: Bench, candidate: Candidate, tasks: Sequence[LabelledTask], report: Report
) -> tuple[list[LocalAnswer], str]:
    """Return a candidate's answers through an engine of its own, and that engine's build."""
    return asyncio.run(_answers(bench, candidate, tasks, report))


async def _answers(
    bench: Bench, candidate: Candidate, tasks: Sequence[LabelledTask], report: Report
) -> tuple[list[LocalAnswer], str]:
    async with engine_for(candidate.base, bench.local, bench.socket_dir) as engine:
        health = await engine.health()
        prompts = [task.row.prompt for task in tasks]
        return await answer_all(engine, candidate.stack, prompts, Paced(report)), health.build


def speed(answers: Sequence[LocalAnswer]) -> float:
    """Return decoded tokens a second over all answers, prompts included in the time."""
    seconds = sum(answer.seconds for answer in answers)
    return sum(answer.completion_tokens for answer in answers) / seconds if seconds else 0.0


def _hopeless(result: GateResult, margin: float) -> GateResult:
    """Refuse without a look at the holdout what no threshold on the calibration slice lets hope."""
    reason = (
        f"no threshold on the calibration slice reaches the margin {margin:+.3f}; at the strictest, {result.reason}"
    )
    return replace(result, verdict=Verdict.FAIL, reason=reason, alpha_spent=0.0)


def _refusing(
    confidences: Sequence[float], scores: Sequence[float], clouds: Sequence[float], margin: float, coverage: float
) -> Threshold:
    """Return a threshold for a candidate that is going to be refused, so that the refusal has numbers."""
    if not any(map(math.isfinite, confidences)):
        return Threshold(math.inf, 0.0, math.nan, 0, 0.0)
    return fallback_threshold(confidences, scores, clouds, minimum_margin=margin, minimum_coverage=coverage)


def finalist(measured: Sequence[Measured]) -> Measured:
    """Return the candidate that the calibration slice favours; only it is judged, so only it spends alpha.

    Promising candidates go before others, by their prospect; the simpler (earlier) one wins ties.
    """
    return max(
        measured, key=lambda one: (one.promising, one.threshold.prospect if one.promising else one.calibration_score)
    )
