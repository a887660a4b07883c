from __future__ import annotations

from random import Random

import pytest

from breeder.samples.writer import SAMPLES
from registry.prompting import Prompt
from router.gathering import candidates, templates, unused
from tests.breeder.instructed import SHAPES, Shape, in_system, one_line, prompts


def shuffled(shape: Shape, each: int = 60) -> tuple[list[Prompt], list[str]]:
    """Return prompts of all samples in one shape as they come, and the sample of each."""
    mixed = [(prompt, name) for name in SAMPLES for prompt in prompts(name, shape)[:each]]
    Random(2).shuffle(mixed)
    return [prompt for prompt, _ in mixed], [name for _, name in mixed]


@pytest.mark.parametrize("shape", SHAPES)
def test_mixed_traffic_falls_into_the_workflows_that_it_came_from(shape: Shape) -> None:
    asked, samples = shuffled(shape)
    found = candidates(asked)
    assert sorted({samples[place] for place in one.places}.pop() for one in found) == sorted(SAMPLES)
    assert all(len({samples[place] for place in one.places}) == 1 for one in found)
    assert sum(len(one.places) for one in found) == len(asked)


def test_names_are_the_first_words_that_say_something() -> None:
    asked, _ = shuffled(in_system)
    assert sorted(one.name for one in candidates(asked)) == [
        "desk-housing-office",
        "read-order-message",
        "turn-controller-log",
        "work-out-invoice",
    ]
    banking = [Prompt("", f"Classify this customer message.\n{chr(97 + n)} is lost") for n in range(12)]
    assert [one.name for one in candidates(banking)] == ["classify-customer-message"]


def test_the_order_of_traffic_decides_neither_groups_nor_names() -> None:
    asked, _ = shuffled(one_line)
    backwards = candidates(asked[::-1])
    assert [(one.name, one.line) for one in candidates(asked)] == [(one.name, one.line) for one in backwards]
    last = len(asked) - 1
    assert [one.places for one in candidates(asked)] == [
        tuple(sorted(last - place for place in one.places)) for one in backwards
    ]


def test_templates_that_differ_in_a_word_are_one_candidate_and_the_word_is_not_in_its_name() -> None:
    kinds = ("Hadoop", "Spark", "Zookeeper")
    line = "Turn this {} log message into its template: replace every variable part with a star."
    asked = [Prompt("", f"{line.format(kind)}\nLog: {chr(97 + n)} went wrong") for kind in kinds for n in range(12)]
    assert [(one.name, len(one.places)) for one in candidates(asked)] == [("turn-log-message", 36)]


def test_two_tasks_on_the_same_payload_are_two_candidates() -> None:
    asks = ("Classify the sentiment of this review.", "Classify the topic of this review.")
    asked = [Prompt("", f"{ask} The {chr(97 + n)}-side was dull.") for ask in asks for n in range(12)]
    found = candidates(asked)
    assert [one.name for one in found] == ["classify-sentiment-review", "classify-topic-review"]
    assert [{asked[place].user.split()[2] for place in one.places} for one in found] == [{"sentiment"}, {"topic"}]


def test_candidates_with_the_same_words_have_a_number() -> None:
    shorter = [Prompt("", f"Sort this mail.\n{chr(97 + n)}") for n in range(12)]
    longer = [
        Prompt("You sort mail for a small harbour office in the north.", f"Sort this mail.\n{n}x{chr(97 + n)}")
        for n in range(11)
    ]
    assert [one.name for one in candidates([*shorter, *longer])] == ["sort-mail", "sort-mail-2"]
    assert unused("a", {"a", "a-2"}) == "a-3"


def test_an_instruction_behind_the_payload_is_found() -> None:
    asked = [
        Prompt("", f"{chr(97 + n)} is a thing\nof some size\n\nSummarise the above in a sentence.") for n in range(12)
    ]
    assert [one.name for one in candidates(asked)] == ["summarise-sentence"]


@pytest.mark.parametrize(
    "asked",
    [
        [Prompt("", f"{chr(97 + n) * 5} something else altogether") for n in range(20)],
        [Prompt("", "Classify this customer message.\nthe same each time")] * 20,
        [Prompt("You are a helpful assistant.", f"{chr(97 + n) * 5} and so on") for n in range(20)],
        [Prompt("", f"Hi,\nwhat is {chr(97 + n)}?") for n in range(20)],
        [Prompt("", f"Classify this customer message.\n{chr(97 + n)}") for n in range(9)],
        [],
    ],
    ids=["free text", "one prompt again and again", "a system text that says nothing", "greetings", "too few", "none"],
)
def test_what_does_not_repeat_is_no_candidate(asked: list[Prompt]) -> None:
    assert candidates(asked) == []


def test_a_workflow_without_latin_words_has_a_name_too() -> None:
    asked = [Prompt("", f"请把下面的句子 翻译成英文 谢谢你的帮助。\n{chr(97 + n)}") for n in range(12)]
    assert [one.name for one in candidates(asked)] == ["unnamed"]


def test_a_name_holds_no_placeholder() -> None:
    asked = [Prompt("", f"Sort mail for PIIEMAIL1 and PIINAME2.\n{chr(97 + n)}") for n in range(12)]
    assert [one.name for one in candidates(asked)] == ["sort-mail"]


def test_a_day_that_many_prompts_share_is_no_part_of_their_template() -> None:
    system = "It is November {}{}.\nYou sort mail for a small harbour office in the north."
    asked = [
        Prompt(system.format(chr(97 + n % 15), n % 15), f"letter {chr(97 + n // 15)}{n % 15 * 'x'}") for n in range(300)
    ]
    assert [(one.system, len(one.places)) for one in templates(asked)] == [
        ("You sort mail for a small harbour office in the north.", 300)
    ]


def test_a_prompt_is_in_one_template_at_most() -> None:
    asked, _ = shuffled(in_system)
    places = [place for one in templates(asked) for place in one.places]
    assert len(places) == len(set(places))
