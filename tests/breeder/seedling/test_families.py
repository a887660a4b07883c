"""Every family draws valid, repeatable examples whose answer the prompt determines."""

from __future__ import annotations

import json
from random import Random

import pytest

from breeder.seedling import quantities, records, sentences, textforms
from breeder.seedling.families import FAMILIES, draw_example
from breeder.seedling.rules import Family


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_determined_by_its_seed(family: str) -> None:
    first = [draw_example(Random(7), family) for _ in range(30)]
    assert first == [draw_example(Random(7), family) for _ in range(30)]


@pytest.mark.parametrize("family", FAMILIES)
def test_examples_are_varied_and_never_empty(family: str) -> None:
    rng = Random(3)
    examples = [draw_example(rng, family) for _ in range(200)]
    assert all(example.user.strip() and example.answer.strip() for example in examples)
    assert len({example.user for example in examples}) > 190


@pytest.mark.parametrize("family", FAMILIES)
def test_no_special_token_occurs_in_an_example(family: str) -> None:
    rng = Random(4)
    assert not any("<|" in example.user + example.answer for example in (draw_example(rng, family) for _ in range(100)))


@pytest.mark.parametrize("make", [records.csv_to_json, records.lines_to_json])
def test_records_come_out_as_json_objects(make: Family) -> None:
    rng = Random(5)
    for _ in range(50):
        given, wanted = make(rng).draw(rng)
        assert all(str(value) in given for value in json.loads(wanted).values())


def test_extracted_values_are_copied_from_the_sentence() -> None:
    rng = Random(6)
    for _ in range(100):
        given, wanted = sentences.slot(rng).draw(rng)
        assert wanted in given


def test_a_log_template_keeps_the_words_of_the_line() -> None:
    rng = Random(8)
    for _ in range(100):
        rule = textforms.log_template(rng)
        given, wanted = rule.draw(rng)
        assert len(given.split(" ")) == len(wanted.split(" "))


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "zero"), (14, "fourteen"), (40, "forty"), (65, "sixty-five"), (307, "three hundred and seven")],
)
def test_numbers_are_spelled(number: int, words: str) -> None:
    assert words == quantities.spell(number)
