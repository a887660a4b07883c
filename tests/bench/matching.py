"""What telling a prompt's workflow by likeness costs, with 32 workflows; `python -m tests.bench.matching` prints it."""

from __future__ import annotations

import statistics
import sys
import time
from random import Random

from breeder.samples.writer import SAMPLES
from breeder.templates import likenesses
from registry.prompting import Prompt
from router.likeness import Likenesses
from tests.breeder.instructed import in_system, prompts

WORKFLOWS, CHARACTERS, CALLS = 32, 4_096, 4_000


def quantiles_ms() -> tuple[float, float]:
    """Return the median and the 99th percentile of one match of a 4 KB prompt, half of them a workflow's own."""
    teams = {f"team-{number}": list(SAMPLES)[number % len(SAMPLES)] for number in range(WORKFLOWS)}
    own = {
        team: [_long(team, one, CHARACTERS) for one in prompts(name, in_system)[:90]] for team, name in teams.items()
    }
    known = Likenesses({team: likenesses(each[:50], each[50:80]) for team, each in own.items()})
    asked = [one for each in own.values() for one in each[80:]]
    asked += [_long(f"nobody-{number}", one, CHARACTERS) for number, one in enumerate(asked)]
    Random(1).shuffle(asked)
    spent = []
    for number in range(CALLS):
        prompt = asked[number % len(asked)]
        started = time.perf_counter()
        known.match(prompt)
        spent.append(1000 * (time.perf_counter() - started))
    cuts = statistics.quantiles(spent, n=100)
    return cuts[49], cuts[98]


def _long(team: str, prompt: Prompt, characters: int) -> Prompt:
    """Return a prompt of one team, filled up with words of its own."""
    rng = Random(f"{team}{prompt.user}")
    words = (f"{team}{rng.randrange(40)}x{rng.choice('abcdefgh') * 3}" for _ in range(characters))
    system = f"You work for {team}.\n{prompt.system}"
    return Prompt(system, f"{prompt.user} {' '.join(words)}"[: characters - len(system)])


def main() -> None:
    """Print both as a row of the table of benchmarks."""
    middle, slow = quantiles_ms()
    sys.stdout.write(
        f"| match by likeness, {WORKFLOWS} workflows, 4 KB prompt | {middle:.3f} ms, p99 {slow:.3f} ms |\n"
    )


if __name__ == "__main__":
    main()
