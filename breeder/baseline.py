"""Measure the cloud on a dataset's calibration and holdout tasks: fresh, independent answers for each.

Answers are kept as they come in, so an interrupted measurement pays for nothing twice. Calls leave through the
router's one egress, so they are redacted and recorded (purpose `evaluation`) like any other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from breeder.cloud_calls import CloudAnswer, ask_cloud
from breeder.dataset import Dataset, write_atomically
from breeder.deps import Deps
from breeder.labelling import LabelledTask, label
from breeder.mining import Row
from breeder.progress import Paced


@dataclass(frozen=True, slots=True)
class SliceLabels:
    """Both slices with references and cloud scores; `cost_usd` is None if any call has no known price."""

    calibration: tuple[LabelledTask, ...]
    holdout: tuple[LabelledTask, ...]
    cost_usd: float | None


def label_slices(deps: Deps, dataset: Dataset, samples: int, cache: Path) -> SliceLabels:
    """Return the labelled slices, asking the cloud only for the answers that `cache` does not hold yet.

    Raises:
        ConfigError: no cloud is configured; UpstreamError: it failed.
    """
    rows = [*dataset.rows["calibration"], *dataset.rows["holdout"]]
    known = _read(cache)
    wanted = [row for row in rows for _ in range(samples - len(known[row.interaction_id]))]
    if wanted:
        deps.report(f"{dataset.workflow}: asking the cloud {len(wanted)} times for its baseline on {len(rows)} tasks")
        asyncio.run(_ask(deps, wanted, cache))
        known = _read(cache)
    labels = {row.interaction_id: _labelled(row, known, dataset.scorer) for row in rows}
    costs = [answer.cost_usd for answers in known.values() for answer in answers]
    priced = [cost for cost in costs if cost is not None]
    unlabelled = sum(task.reference is None for task in labels.values())
    if unlabelled:
        deps.report(f"  {unlabelled} tasks have no reference: the cloud's answers disagree and nobody judged them")
    return SliceLabels(
        calibration=tuple(labels[row.interaction_id] for row in dataset.rows["calibration"]),
        holdout=tuple(labels[row.interaction_id] for row in dataset.rows["holdout"]),
        cost_usd=sum(priced) if len(priced) == len(costs) else None,
    )


def _labelled(row: Row, known: dict[str, list[CloudAnswer]], scorer: str) -> LabelledTask:
    return label(row, [answer.text for answer in known[row.interaction_id]], scorer)


async def _ask(deps: Deps, rows: Sequence[Row], cache: Path) -> None:
    paced, done = Paced(deps.report), 0
    write_atomically(cache, b"".join(_whole_lines(cache)))
    with open(cache, "ab") as file:
        async for row, answer in ask_cloud(deps, rows):
            record = {"task": row.interaction_id, "text": answer.text, "cost_usd": answer.cost_usd}
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            done += 1
            paced(f"  {done}/{len(rows)} cloud answers")


def _read(cache: Path) -> dict[str, list[CloudAnswer]]:
    """Return the answers kept so far."""
    known: dict[str, list[CloudAnswer]] = defaultdict(list)
    for line in _whole_lines(cache):
        record = orjson.loads(line)
        known[record["task"]].append(CloudAnswer(record["text"], record["cost_usd"]))
    return known


def _whole_lines(cache: Path) -> list[bytes]:
    """Return the cache's lines without a last one that a crash cut off."""
    lines = cache.read_bytes().splitlines(keepends=True) if cache.exists() else []
    return [line for line in lines if line.endswith(b"\n")]
