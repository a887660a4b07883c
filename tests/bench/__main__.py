"""`make bench`: speed as ratios in one run; the table goes into docs/benchmarks.md."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from tests.bench.engine_stream import SEEDLING_SHAPE, measure
from tests.bench.envelope import BUDGETS_MS, medians_ms
from tests.bench.ledger_rows import rates
from tests.bench.matching import quantiles_ms
from tests.bench.router_overhead import medians
from tests.pico import write_pico


def main() -> None:
    """Measure engine, ledger and router, and print one table."""
    rows = [*_engine(), *_ledger(), *_envelope(), *_matching(), *_router()]
    sys.stdout.write("| what | measured | against | ratio |\n|---|---|---|---|\n")
    for row in rows:
        sys.stdout.write(f"| {' | '.join(row)} |\n")


def _engine() -> list[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        base = write_pico(Path(folder) / "base.gguf", shape=SEEDLING_SHAPE)
        pairs = asyncio.run(measure(base, tokens=500, rounds=9, threads=1))
    bare, stream = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(mine / theirs for theirs, mine in pairs)
    against = f"{bare:,.0f} tokens/s, a bare llama_decode loop"
    return [
        ("engine, one stream, random base of the seedling's shape", f"{stream:,.0f} tokens/s", against, f"{ratio:.2f}")
    ]


def _ledger() -> list[tuple[str, ...]]:
    single, grouped = rates()
    against = f"{single:,.0f} rows/s, one append at a time"
    return [("ledger, 16 writers, synchronous=FULL", f"{grouped:,.0f} rows/s", against, f"{grouped / single:.1f}")]


def _envelope() -> list[tuple[str, ...]]:
    return [
        (
            f"{name}, {size} prompt",
            f"{spent:.2f} ms",
            f"{BUDGETS_MS[size]:g} ms, the budget of a route decision",
            f"{spent / BUDGETS_MS[size]:.2f}",
        )
        for name, size, spent in medians_ms()
        if name in ("route decision", "envelope")
    ]


def _matching() -> list[tuple[str, ...]]:
    _, p99 = quantiles_ms()
    return [("workflow by likeness, 4 KB prompt, 32 workflows, p99", f"{p99:.2f} ms", "1 ms, its budget", f"{p99:.2f}")]


def _router() -> list[tuple[str, ...]]:
    direct, routed = medians()
    against = f"{direct:.2f} ms, straight to the stand-in cloud"
    return [("router, one client, ledger on, p50", f"{routed:.2f} ms", against, f"{routed / direct:.1f}")]


if __name__ == "__main__":
    main()
