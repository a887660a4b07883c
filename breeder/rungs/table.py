"""The table of tasks seen before: what it is made of, and the tasks that show what it is worth.

Mining keeps one row a prompt, so the slices of the other rungs hold no task twice. A table is measured on all tasks of
the same two windows of time, repeats included, and is made of what came before both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from breeder.dataset import Dataset
from breeder.mining import Row, Tier, better
from breeder.recipe import DataPart
from registry.entities import PromptTrim
from registry.prompting import Prompt, fits
from router.rungs.features import seen
from router.rungs.rung import DIGEST_BYTES, TableRecord, prompt_digest
from router.rungs.tensor_file import Tensor

_MOST_OF_ONE = 5
"""Tasks of one prompt in a slice: where a few prompts are most of it, the bound on the margin is less sure."""
_MOST_ANSWER_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class TableTrial:
    """What a table is made of, one row a prompt, and the tasks that calibrate and judge it, oldest first."""

    known: tuple[Row, ...]
    calibration: tuple[Row, ...]
    holdout: tuple[Row, ...]


def table_trial(dataset: Dataset, plan: DataPart) -> TableTrial:
    """Return the trial of a dataset's table."""
    tasks = [*(row for rows in dataset.rows.values() for row in rows), *dataset.repeats]
    calibrates, judges = dataset.rows["calibration"][0].place, dataset.rows["holdout"][0].place
    before = (row for row in tasks if row.place < calibrates and row.tier is not Tier.OPEN)
    between = [row for row in tasks if calibrates <= row.place < judges]
    after = [row for row in tasks if row.place >= judges]
    return TableTrial(
        known=_best(row for row in before if fits(row.prompt, dataset.trim)),
        calibration=judged_tasks(between)[-plan.maximum_calibration :],
        holdout=judged_tasks(after)[-plan.maximum_holdout :],
    )


def judged_tasks(tasks: Sequence[Row]) -> tuple[Row, ...]:
    """Return a window's tasks oldest first, a few of each prompt, those that hang together under one session.

    The tasks of one prompt stand or fall together, and so do those of one session: what either links, through others
    too, is one cluster, named after a prompt of it.
    """
    counts: Counter[Prompt] = Counter()
    kept = []
    for row in sorted(tasks, key=lambda row: row.place, reverse=True):
        counts[row.prompt] += 1
        if counts[row.prompt] <= _MOST_OF_ONE:
            kept.append(row)
    clusters = _clusters(kept)
    return tuple(replace(row, session=prompt_digest(clusters[row.prompt]).hex()) for row in reversed(kept))


def _clusters(tasks: Sequence[Row]) -> dict[Prompt, Prompt]:
    """Return for each prompt the one that stands for all that sessions link it with."""
    parents = {row.prompt: row.prompt for row in tasks}

    def root(prompt: Prompt) -> Prompt:
        while (parent := parents[prompt]) != prompt:
            prompt = parents[prompt] = parents[parent]
        return prompt

    first: dict[str, Prompt] = {}
    for row in tasks:
        if row.session is not None:
            parents[root(row.prompt)] = root(first.setdefault(row.session, row.prompt))
    return {prompt: root(prompt) for prompt in parents}


def why_no_table(dataset: Dataset, trial: TableTrial, minimum_coverage: float) -> str:
    """Say why a table could not serve enough, empty where it could; asks no cloud and looks at no holdout."""
    if not dataset.repeats:
        return "no task has come twice"
    known = {row.prompt for row in trial.known}
    share = sum(row.prompt in known for row in trial.calibration) / max(1, len(trial.calibration))
    if share >= minimum_coverage:
        return ""
    return f"{share:.0%} of the calibration tasks were seen before, {minimum_coverage:.0%} are needed"


def fit_table(rows: Sequence[Row], trim: PromptTrim) -> tuple[TableRecord, dict[str, Tensor]]:
    """Return the table of these rows' answers, without the oldest ones where they would make a large file."""
    answers: dict[str, int] = {}
    places: dict[bytes, int] = {}
    size = 0
    for row in sorted(rows, key=lambda row: row.at_utc, reverse=True):
        size += 0 if row.answer in answers else len(row.answer.encode())
        if size > _MOST_ANSWER_BYTES:
            break
        place = answers.setdefault(row.answer, len(answers))
        places.setdefault(prompt_digest(seen(row.prompt, trim)), place)
    digests = np.frombuffer(b"".join(places), np.uint8).reshape(-1, DIGEST_BYTES)
    arrays: dict[str, Tensor] = {"digests": digests, "answers": np.array(list(places.values()), np.uint32)}
    return TableRecord(answers=tuple(answers)), arrays


def _best(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Return the best row of each prompt, as mining chooses it."""
    best: dict[Prompt, Row] = {}
    for row in rows:
        kept = best.get(row.prompt)
        if kept is None or better(row, kept):
            best[row.prompt] = row
    return tuple(best.values())
