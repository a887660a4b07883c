"""Writes the sample workloads as JSON lines: 800 training lines, then 200 test lines, no prompt twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from breeder.samples import logs, orders, routing, totals

TRAIN_LINES: Final = 800
TEST_LINES: Final = 200
SHIPPED_SEED: Final = 2027
"""The seed of the files in `data/samples/`."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample workflow: its constant instruction and the draw of (input, reference)."""

    instruction: str
    draw: Callable[[Random], tuple[str, str]]
    is_learnable: bool = True


SAMPLES: Final[dict[str, Sample]] = {
    "order-fields": Sample(orders.INSTRUCTION, orders.draw),
    "log-template": Sample(logs.INSTRUCTION, logs.draw),
    "ticket-route": Sample(routing.INSTRUCTION, routing.draw),
    "invoice-total": Sample(totals.INSTRUCTION, totals.draw, is_learnable=False),
}


def sample_lines(name: str, seed: int) -> Iterator[dict[str, str]]:
    """The lines of one sample, training lines first."""
    sample = SAMPLES[name]
    rng = Random(f"{name}:{seed}")
    seen: set[str] = set()
    while len(seen) < TRAIN_LINES + TEST_LINES:
        given, wanted = sample.draw(rng)
        if given in seen:
            continue
        split = "train" if len(seen) < TRAIN_LINES else "test"
        seen.add(given)
        yield {
            "workload": name,
            "id": f"{name}-{len(seen):04d}",
            "prompt": sample.instruction + given,
            "reference": wanted,
            "split": split,
        }


def write_samples(folder: Path, seed: int) -> list[Path]:
    """Write every sample into `folder`; the same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in SAMPLES:
        path = folder / f"{name}.jsonl"
        partial = path.with_suffix(".partial")
        partial.write_text("".join(json.dumps(line) + "\n" for line in sample_lines(name, seed)), encoding="utf-8")
        partial.replace(path)
        written.append(path)
    return written
