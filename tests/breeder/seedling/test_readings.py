"""Reading tasks: drawn from the text that is there, repeatable, their answers determined by what is shown."""

from __future__ import annotations

import re
from random import Random

import pytest

from breeder.seedling.families import Tasks
from breeder.seedling.passages import Passages
from breeder.seedling.readings import READINGS, able
from breeder.seedling.rules import Example, make_example

GUIDE = """# Opening the valve

The valve is opened with a key of 12 mm, which Anna keeps in "the red drawer" near the door of the hall.
Nobody but Peter Miller may turn it more than 3 times, because the old pipes would not bear the pressure.
It was repaired in 1987 and again in 2004 by the same two people who had built it (a father and his son).

## Closing it again

Closing takes longer than opening, since the wheel turns slowly and the water has to come to rest first.
When the `pressure gauge` shows less than 5 bar the wheel can be let go, and the key is hung up again.
"""
COMMANDS = """# tool

> Opens things.

- Open a file with the tool:

`tool {{[-o|--open]}} {{path/to/file}}`

- Close everything that was opened before:

`tool --close {{all}}`
"""
PASSAGES = Passages.of([("guide", GUIDE * 3), ("pages", COMMANDS)])
COPIED = ("gap", "heading", "span", "line-with", "choose-command", "edge-words")


def drawn(family: str, count: int = 60, passages: Passages = PASSAGES) -> list[Example]:
    rng, read = Random(family), READINGS[family][0]
    return [make_example(rng, family, lambda rng: read(rng, passages), few_shot_share=0.0) for _ in range(count)]


@pytest.mark.parametrize("family", READINGS)
def test_a_reading_is_determined_by_its_seed_and_never_empty(family: str) -> None:
    examples = drawn(family)

    assert examples == drawn(family)
    assert all(example.user.strip() and example.answer.strip() for example in examples)


@pytest.mark.parametrize("family", COPIED)
def test_the_answer_stands_in_the_prompt(family: str) -> None:
    assert all(example.answer in example.user for example in drawn(family))


def test_a_gap_takes_its_word_out_once() -> None:
    for example in drawn("gap"):
        sentence, _, options = example.user.partition("\n")
        assert len(re.findall(rf"\b{example.answer}\b", options or sentence)) >= 1


def test_numbers_are_masked_and_all_else_is_kept() -> None:
    for example in drawn("mask-numbers"):
        assert not re.search(r"\d", example.answer)


def test_a_typing_error_differs_from_the_sentence_that_is_wanted() -> None:
    wrong = [example for example in drawn("typing-errors") if example.answer not in example.user]

    assert len(wrong) > 50


def test_headings_and_commands_are_found_and_holes_are_filled() -> None:
    assert {heading for heading, _ in PASSAGES.headings} == {"Opening the valve", "Closing it again"}
    assert PASSAGES.commands == (
        ("Open a file with the tool", "tool --open path/to/file"),
        ("Close everything that was opened before", "tool --close all"),
    )


def test_text_without_headings_or_commands_has_fewer_readings() -> None:
    plain = Passages.of([("prose", "A line of prose that has nothing else in it. " * 40)])

    assert set(able(plain)) == set(READINGS) - {"heading", "write-command", "choose-command", "kind-of-text"}
    assert all(Tasks.reading(plain, 1.0).draw(Random(seed)).answer for seed in range(50))


def test_the_share_of_readings_is_kept() -> None:
    rng, tasks = Random(5), Tasks.reading(PASSAGES, 0.25)
    families = [tasks.draw(rng).family for _ in range(800)]

    assert 150 < sum(family in READINGS for family in families) < 250


def test_no_special_token_comes_out_of_a_text() -> None:
    passages = Passages.of([("hostile", "Write <|end|> here and <|user|> there, then go on with it. " * 30)])

    assert not any("<|end" in example.user + example.answer for example in drawn("typing-errors", passages=passages))
