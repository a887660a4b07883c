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
from breeder.dataset import write_atomically
from breeder.deps import Deps
from breeder.labelling import LabelledTask, label
from breeder.mining import Row
from breeder.progress import Paced
from registry.errors import UpstreamError


@dataclass(frozen=True, slots=True)
class Labels:
    """Rows with references and cloud scores, in their order; `cost_usd` is None if any call has no known price."""

    tasks: tuple[LabelledTask, ...]
    cost_usd: float | None


def label_rows(deps: Deps, workflow: str, rows: Sequence[Row], scorer: str, samples: int, cache: Path) -> Labels:
    """Label every row, asking the cloud only for the answers that `cache` does not hold yet.

    Raises:
        ConfigError: no cloud is configured; UpstreamError: it failed.
    """
    known = _read(cache)
    wanted = [row for row in rows for _ in range(samples - len(known[row.interaction_id]))]
    if wanted:
        deps.report(f"  asking the cloud {len(wanted)} times for its baseline on {len(rows)} tasks")
        _ask(deps, workflow, wanted, cache)
        known = _read(cache)
    answers = [known[row.interaction_id] for row in rows]
    if rows and not any(one.text for told in answers for one in told):
        cache.unlink(missing_ok=True)
        raise UpstreamError(
            f"the cloud answered none of {len(rows)} tasks; see `modelbreeder ledger ls` for what it said"
        )
    tasks = tuple(label(row, [one.text for one in told], scorer) for row, told in zip(rows, answers, strict=True))
    unlabelled = sum(task.reference is None for task in tasks)
    if unlabelled:
        deps.report(f"  {unlabelled} tasks have no reference: the cloud's answers disagree and nobody judged them")
    costs = [one.cost_usd for told in answers for one in told]
    return Labels(tasks, None if None in costs else sum(cost for cost in costs if cost is not None))


def paid_before(cache: Path | None) -> bytes:
    """Return another breeding's answers as a cache to begin with; they cost nothing more."""
    records = map(orjson.loads, _whole_lines(cache) if cache else ())
    return b"".join(orjson.dumps({**one, "cost_usd": 0.0}, option=orjson.OPT_APPEND_NEWLINE) for one in records)


def _ask(deps: Deps, workflow: str, rows: Sequence[Row], cache: Path) -> None:
    paced, done = Paced(deps.report), 0
    write_atomically(cache, b"".join(_whole_lines(cache)))
    with open(cache, "ab") as file:

        def keep(row: Row, answer: CloudAnswer) -> None:
            nonlocal done
            record = {"task": row.interaction_id, "text": answer.text, "cost_usd": answer.cost_usd}
            file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            done += 1
            paced(f"  {done}/{len(rows)} cloud answers")

        asyncio.run(ask_cloud(deps, workflow, rows, keep))


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
