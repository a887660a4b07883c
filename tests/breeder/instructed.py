"""Prompts of the sample workflows in the ways that tools write them, and near misses of their instructions."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from breeder.samples.writer import SAMPLES, sample_lines
from registry.prompting import Prompt

Shape = Callable[[str, str, Random], Prompt]
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PEOPLE = ("Ann", "Bob", "Carol Ng", "Dmitri", "Eve")


def as_shipped(instruction: str, payload: str, rng: Random) -> Prompt:
    """Instruction in the first line: an exact template."""
    return Prompt("", instruction + payload)


def one_line(instruction: str, payload: str, rng: Random) -> Prompt:
    """Instruction and payload in one line, which no fingerprint tells."""
    return Prompt("", f"{instruction} {payload}".replace("\n", " "))


def in_system(instruction: str, payload: str, rng: Random) -> Prompt:
    """The user's text is payload alone."""
    return Prompt(instruction.strip(), payload)


def dated(instruction: str, payload: str, rng: Random) -> Prompt:
    """The system text is another each time."""
    today = f"Today is {rng.choice(_DAYS)}, {rng.randint(1, 28)} November 2026; you help {rng.choice(_PEOPLE)}."
    return Prompt(f"{today}\n{instruction.strip()}", payload)


SHAPES: tuple[Shape, ...] = (as_shipped, one_line, in_system, dated)


def prompts(name: str, shape: Shape, seed: int = 7, instruction: str | None = None) -> list[Prompt]:
    """Return a sample's prompts in one shape, by default with its own instruction."""
    own, rng = SAMPLES[name].instruction, Random(f"{name}:{seed}")
    payloads = [line["prompt"].removeprefix(own) for line in sample_lines(name, seed)]
    return [shape(instruction if instruction is not None else own, payload, rng) for payload in payloads]


def near_misses(name: str) -> list[str]:
    """Return instructions that differ from a sample's in a word or a sentence, and so ask for something else.

    Nothing is put behind the last word: what stands there is payload.
    """
    own = SAMPLES[name].instruction
    words = own.split(" ")
    changed = [
        " ".join([*words[:place], "French", *words[place + kept :]])
        for place in range(1, len(words) - 1)
        for kept in (0, 1)
    ]
    first, rest = own.split("\n", 1)
    return [*changed, f"{first} Then say why.\n{rest}", f"Do not do this yet. {own}"]
