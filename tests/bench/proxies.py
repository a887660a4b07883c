"""`make bench-proxies`: the router beside LiteLLM's proxy, a bare pass-through and the upstream itself, in one run."""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from tests.bench.contenders import Contender, bare, litellm, router, upstream
from tests.bench.load import Measured, has_wrk, load

KINDS = ("plain", "streamed")
CLIENTS = (1, 16, 64)
_TRIES = 20
Cell: TypeAlias = tuple[str, int, str]
"""Kind of answer, clients at once, contender."""


def main() -> None:
    """Measure and print one table."""
    asked = _arguments()
    without = {"litellm", "bare"} if asked.memory else set(asked.without)
    with tempfile.TemporaryDirectory(prefix="mb-") as folder, contenders(Path(folder), without) as found:
        _warm(found)
        if asked.memory:
            sys.stdout.write(f"{memory_row(found[0], asked.memory)}\n")
            return
        cells = measured(found, asked.rounds, asked.seconds, asked.clients)
        sys.stdout.write(f"Load by {'wrk' if has_wrk() else 'a client of ours'}; {asked.rounds} rounds of ")
        sys.stdout.write(f"{asked.seconds} s a cell, the contenders in turn.\n\n")
        for line in table(cells):
            sys.stdout.write(f"{line}\n")
        if asked.processor:
            for one in found:
                sys.stdout.write(f"{processor_row(one, asked.seconds)}\n")
        sys.exit(any(failures(runs) for runs in cells.values()))


def _arguments() -> argparse.Namespace:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--rounds", type=int, default=5)
    reader.add_argument("--seconds", type=int, default=4, help="of each cell in each round")
    reader.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    reader.add_argument("--without", nargs="+", choices=("litellm", "bare"), default=())
    about = "only how the daemon's memory grows over so many requests, 100,000 by default"
    reader.add_argument("--memory", type=int, nargs="?", const=100_000, metavar="REQUESTS", help=about)
    reader.add_argument("--processor", action="store_true", help="add processor time, which noise hurts less")
    return reader.parse_args()


@contextmanager
def contenders(folder: Path, without: set[str]) -> Iterator[list[Contender]]:
    """Give all contenders running, the router first and the upstream last."""
    with ExitStack() as stack:
        last = stack.enter_context(upstream())
        found = [stack.enter_context(router(last.url, folder / "home"))]
        if "litellm" not in without:
            found.append(stack.enter_context(litellm(last.url, folder)))
        if "bare" not in without:
            found.append(stack.enter_context(bare(last.url)))
        yield [*found, last]


def _warm(found: Sequence[Contender]) -> None:
    """See that each answers as the upstream does; some load half of themselves for the first answer."""
    for one in found:
        for kind in KINDS:
            runs = [load(one.url, kind, 4, 1)]
            while not runs[-1].requests and len(runs) < _TRIES:
                runs.append(load(one.url, kind, 4, 2))
            if failures(runs) or not runs[-1].requests:
                raise SystemExit(f"{one.name} does not answer {kind} requests as the upstream does: {runs[-1]}")


def measured(
    found: Sequence[Contender], rounds: int, seconds: int, clients: Sequence[int]
) -> Mapping[Cell, list[Measured]]:
    """Return what each cell came to in each round; in a cell's round the contenders follow one another."""
    cells = defaultdict(list)
    for number in range(rounds):
        sys.stderr.write(f"round {number + 1} of {rounds}\n")
        for kind in KINDS:
            for many in clients:
                for one in found:
                    cells[kind, many, one.name].append(load(one.url, kind, many, seconds))
    return cells


def table(cells: Mapping[Cell, list[Measured]]) -> Iterator[str]:
    """Yield the table's lines; each number is the median of its rounds, a ratio the median of the rounds' ratios."""
    numbers = "requests/s | p50 ms | p99 ms | router's rate ÷ its | p50 it adds, ms | errors"
    yield f"| answers, clients | contender | {numbers} |"
    yield "|---|---|---|---|---|---|---|---|"
    for (kind, many, name), runs in cells.items():
        own, direct = cells[kind, many, "router"], cells[kind, many, "upstream itself"]
        ratio = statistics.median(mine.rate / (its.rate or math.nan) for mine, its in zip(own, runs, strict=True))
        added = statistics.median(its.p50_ms - bottom.p50_ms for its, bottom in zip(runs, direct, strict=True))
        rate, p50, p99 = (statistics.median(column) for column in zip(*map(_figures, runs), strict=True))
        numbers = f"{rate:,.0f} | {p50:.2f} | {p99:.2f} | {ratio:.2f} | {added:+.2f} | {failures(runs)}"
        yield f"| {kind}, {many} | {name} | {numbers} |"


def _figures(run: Measured) -> tuple[float, float, float]:
    return run.rate, run.p50_ms, run.p99_ms


def failures(runs: Sequence[Measured]) -> int:
    """Return how many requests got no answer, or not the upstream's."""
    return sum(run.broken + run.wrong for run in runs)


def memory_row(daemon: Contender, requests: int) -> str:
    """Ask the daemon so often, plain and streamed by turns, and say what its memory was at the quarters."""
    held, done, spell_s = [daemon.resident_mb], 0, 5 if requests >= 10_000 else 1
    for quarter in range(1, 5):
        while done < requests * quarter // 4:
            done += sum(load(daemon.url, kind, 16, spell_s).requests for kind in KINDS)
        held.append(daemon.resident_mb)
    steps = ", ".join(f"{each:.0f}" for each in held)
    grown = f"grown by {held[-1] - held[0]:.1f} MB, in the second half by {held[-1] - held[2]:.1f} MB"
    return f"memory of the daemon over {done:,} requests, at the quarters: {steps} MB; {grown}"


def processor_row(one: Contender, seconds: int) -> str:
    """Say how much processor a contender takes for a request of each kind, 16 clients."""
    told = []
    for kind in KINDS:
        before = one.processor_s
        requests = load(one.url, kind, 16, seconds).requests
        told.append(f"{kind} {1e3 * (one.processor_s - before) / (requests or math.nan):.3f} ms")
    return f"processor a request, {one.name}: {', '.join(told)}"


if __name__ == "__main__":
    main()
