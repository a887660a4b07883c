"""What a generated task is: a rule with instructions and a draw, and how it is worded as one training example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One concrete transformation: an instruction that determines it, and a draw of (input, output)."""

    instruction: str
    draw: Callable[[Random], Pair]
    examples_suffice: bool = True
    """Whether two examples may stand in for the instruction."""


Family = Callable[[Random], Rule]


@dataclass(frozen=True, slots=True)
class Example:
    """One chat example: an optional system message, the user message and the answer."""

    family: str
    system: str | None
    user: str
    answer: str


_LEADS = ["", "", "", "", "Please ", "Task: ", "Your job: ", "You are a converter. ", "Now ", "Careful: ", "- "]
_TAILS = [
    "",
    "",
    "",
    "",
    " Answer only.",
    " Reply with the result only.",
    " No explanation.",
    " Nothing else.",
    " Output only that.",
]
_TAGS = ["", "", "", "", "Input: ", "Input:\n", "Text: ", "Line: ", "> ", "Data:\n", "Message: ", "Here it is: "]
_GAPS = ["\n", "\n", "\n\n", "\n\n", " ", "\n---\n", ":\n", "\n\n\n"]
_SHOTS = [("{i}\n{o}", "{i}"), ("{i} -> {o}", "{i} ->"), ("Input: {i}\nOutput: {o}", "Input: {i}\nOutput:"),
          ("in: {i}\nout: {o}", "in: {i}\nout:"), ("Q: {i}\nA: {o}", "Q: {i}\nA:"), ("{i}\n=> {o}", "{i}\n=>"),
          ("Example: {i}\nResult: {o}", "Now: {i}\nResult:"),
          ('"{i}" becomes "{o}"', '"{i}" becomes')]  # fmt: skip


def word_instruction(rng: Random, instruction: str) -> str:
    """Vary the dressing of an instruction, never its meaning."""
    lead, tail = rng.choice(_LEADS), rng.choice(_TAILS)
    body = (
        instruction[0].lower() + instruction[1:] if lead in {"Please ", "Now "} or rng.random() < 0.15 else instruction
    )
    end = "" if body.endswith((".", ":", "?")) else rng.choice([".", ".", ":", ""])
    if tail and not end:
        end = "."
    return lead + body + end + tail


def zero_shot(rng: Random, family: str, rule: Rule) -> Example:
    """Instruction and input, the instruction sometimes as the system message or after the input."""
    given, wanted = rule.draw(rng)
    told, roll = word_instruction(rng, rule.instruction), rng.random()
    tagged = rng.choice(_TAGS) + given
    if roll < 0.25:
        return Example(family, told, tagged, wanted)
    if roll < 0.35:
        return Example(family, None, tagged + rng.choice(["\n", "\n\n"]) + told, wanted)
    return Example(family, None, told + rng.choice(_GAPS) + tagged, wanted)


def few_shot(rng: Random, family: str, rule: Rule) -> Example:
    """One to three worked examples, then the input; the instruction is often left out."""
    shown, asked = rng.choice(_SHOTS)
    pairs = [rule.draw(rng) for _ in range(rng.choice([1, 2, 2, 3]))]
    given, wanted = rule.draw(rng)
    blocks = [shown.format(i=i, o=o) for i, o in pairs] + [asked.format(i=given)]
    text = rng.choice(["\n", "\n\n"]).join(blocks)
    if rule.examples_suffice and rng.random() < 0.6:
        return Example(family, None, text, wanted)
    told = word_instruction(rng, rule.instruction)
    return (
        Example(family, told, text, wanted)
        if rng.random() < 0.3
        else Example(family, None, f"{told}\n\n{text}", wanted)
    )


def make_example(rng: Random, family: str, make: Family, few_shot_share: float = 0.15) -> Example:
    """Draw a rule of the family and word one example of it."""
    rule = make(rng)
    if rng.random() < few_shot_share:
        return few_shot(rng, f"{family}", rule)
    return zero_shot(rng, family, rule)
