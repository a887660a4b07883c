"""What the right answer of an evaluation task is, and how the cloud scored on it. Pure.

A judged task's reference is what the person accepted or corrected. Any other task's reference is the answer on which
at least two independent cloud samples agree: the recorded one, where the cloud gave it, and the fresh ones. Tasks
without agreement have none and are counted, not scored. Only fresh samples score the cloud, never the one that a
person may have picked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from breeder.gate import PairedOutcome
from breeder.mining import Row, Tier
from breeder.scorers import consensus, score


@dataclass(frozen=True, slots=True)
class LabelledTask:
    """One evaluation task with its reference (None: nobody agrees) and the cloud's mean score."""

    row: Row
    reference: str | None
    cloud_score: float


@dataclass(frozen=True, slots=True)
class LocalAnswer:
    """What a candidate said to one task, through the serving engine; confidence -inf where it failed."""

    text: str
    confidence: float
    prompt_tokens: int
    completion_tokens: int
    seconds: float


def label(row: Row, fresh: Sequence[str], scorer: str) -> LabelledTask:
    """Return the task with its reference and the cloud's score over the fresh samples."""
    recorded = [row.answer] if row.tier is Tier.CLOUD else []
    reference = row.answer if row.judged else consensus([answer for answer in (*recorded, *fresh) if answer], scorer)
    if reference is None or not fresh:
        return LabelledTask(row, reference, math.nan)
    return LabelledTask(row, reference, sum(score(scorer, answer, reference) for answer in fresh) / len(fresh))


def pair(
    tasks: Sequence[LabelledTask], answers: Sequence[LocalAnswer], scorer: str, threshold: float
) -> list[PairedOutcome]:
    """Return the scored pairs of candidate and cloud for the tasks that have a reference."""
    return [
        PairedOutcome(
            task_id=task.row.interaction_id,
            cluster=task.row.session or task.row.interaction_id,
            confidence=answer.confidence,
            served=answer.confidence >= threshold,
            specialist_score=score(scorer, answer.text, task.reference),
            cloud_score=task.cloud_score,
        )
        for task, answer in zip(tasks, answers, strict=True)
        if task.reference is not None
    ]
