"""Find secrets in training rows that masking has missed, and answers that repeat one without having been asked it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from breeder.labelling import LabelledTask, LocalAnswer
from breeder.mining import Row
from registry.settings import RedactionSettings
from router.redaction.detectors import DEFAULT_TYPES, default_detectors, find_spans
from router.redaction.placeholders import vocabulary_of

_SECRET = "SECRET"  # noqa: S105 - the name of a type
_SHORTEST = 8


def secrets_in(rows: Iterable[Row], settings: RedactionSettings) -> frozenset[str]:
    """Return what looks like a secret, by today's detectors, in prompts and answers that were masked by older ones.

    What the user lets leave is none, nor what stands for one: `password: SECRET10`.
    """
    detectors, words = default_detectors(off=settings.off, allowed=settings.allow), vocabulary_of(DEFAULT_TYPES)
    texts = (text for row in rows for text in (row.prompt.system, row.prompt.user, row.answer))
    found = ((text, span) for text in texts for span in find_spans(text, detectors) if span.type == _SECRET)
    values = {text[span.start : span.end] for text, span in found}
    return frozenset(value for value in values if len(value) >= _SHORTEST and not words.find(value))


def repeats(secrets: frozenset[str], tasks: Sequence[LabelledTask], answers: Sequence[LocalAnswer]) -> str:
    """Say that an answer has a secret of the training rows that its own prompt has not; empty where none has."""
    for task, answer in zip(tasks, answers, strict=True):
        asked = f"{task.row.prompt.system}\n{task.row.prompt.user}"
        if any(secret in answer.text and secret not in asked for secret in secrets):
            return f"it answers task {task.row.interaction_id} with a secret that stands in its training rows"
    return ""
