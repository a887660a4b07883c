from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from breeder.answering import NO_ANSWER
from breeder.rungs.linear import fit_linear, why_no_labels
from breeder.rungs.rung_file import ask_rung, write_rung
from registry.entities import PromptTrim
from registry.prompting import Prompt

THINGS = {"pump": "water", "valve": "water", "cable": "power", "socket": "power", "window": "frame", "hinge": "frame"}


def tasks(count: int, seed: int, wrong: float = 0.0) -> list[tuple[Prompt, str]]:
    rng = random.Random(seed)
    drawn = [(rng.choice(sorted(THINGS)), rng.randrange(10**6), rng.random() < wrong) for _ in range(count)]
    labels = sorted(set(THINGS.values()))
    return [
        (Prompt("", f"the {thing} in {n}"), rng.choice(labels) if bad else THINGS[thing]) for thing, n, bad in drawn
    ]


def fitted_file(path: Path, rows: list[tuple[Prompt, str]], seed: int = 0) -> Path:
    fitted = fit_linear(rows, seed)
    write_rung(path, fitted.record, fitted.arrays)
    return path


@pytest.mark.parametrize("wrong", [0.0, 0.1])
def test_it_learns_what_tells_the_labels_apart_although_some_rows_are_wrong(tmp_path: Path, wrong: float) -> None:
    path = fitted_file(tmp_path / "l", tasks(150, 1, wrong))
    unseen = tasks(100, 2)
    said = ask_rung(path, PromptTrim(), [prompt for prompt, _ in unseen])

    assert [answer.text for answer in said] == [label for _, label in unseen]


def test_its_confidence_is_what_the_answer_is_worth(tmp_path: Path) -> None:
    """Half the rows are drawn at random, so that two thirds are right; it must not claim more."""
    path = fitted_file(tmp_path / "l", tasks(600, 1, wrong=0.5))
    unseen = tasks(300, 2, wrong=0.5)
    said = ask_rung(path, PromptTrim(), [prompt for prompt, _ in unseen])
    right = sum(answer.text == label for answer, (_, label) in zip(said, unseen, strict=True)) / len(unseen)
    claimed = sum(math.exp(answer.confidence) for answer in said) / len(said)

    assert claimed == pytest.approx(right, abs=0.08)


def test_the_same_rows_and_seed_give_the_same_file(tmp_path: Path) -> None:
    first, again = (fitted_file(tmp_path / name, tasks(60, 1, 0.1), seed=3) for name in "ab")

    assert first.read_bytes() == again.read_bytes()


def test_a_prompt_that_does_not_fit_the_trim_has_no_answer(tmp_path: Path) -> None:
    path = fitted_file(tmp_path / "l", tasks(60, 1))
    (answer,) = ask_rung(path, PromptTrim(prefix="Thing: "), [Prompt("", "the pump")])

    assert (answer.text, answer.confidence) == ("", NO_ANSWER)


def test_two_labels_are_enough(tmp_path: Path) -> None:
    rows = [(Prompt("", f"{word} {n}"), label) for n in range(20) for word, label in (("up", "yes"), ("down", "no"))]
    said = ask_rung(fitted_file(tmp_path / "l", rows), PromptTrim(), [Prompt("", "up 77"), Prompt("", "down 78")])

    assert [answer.text for answer in said] == ["yes", "no"]
    assert all(math.exp(answer.confidence) > 0.8 for answer in said)


def test_a_label_of_a_single_row_does_not_break_it_and_can_still_be_said(tmp_path: Path) -> None:
    rows = [*tasks(60, 1), (Prompt("", "a broken lamp"), "light")]
    (answer,) = ask_rung(fitted_file(tmp_path / "l", rows), PromptTrim(), [Prompt("", "a broken lamp")])

    assert answer.text == "light"


@pytest.mark.parametrize("seed", range(3))
def test_a_second_label_of_a_single_row_does_not_break_it(tmp_path: Path, seed: int) -> None:
    rows = [*((Prompt("", f"the pump in {n}"), "water") for n in range(180)), (Prompt("", "a broken lamp"), "light")]
    said = ask_rung(fitted_file(tmp_path / "l", rows, seed), PromptTrim(), [Prompt("", "the pump in 7")])

    assert why_no_labels([label for _, label in rows]) == ""
    assert [answer.text for answer in said] == ["water"]
    assert math.exp(said[0].confidence) > 0.9


def test_many_labels_of_few_rows_make_a_file_of_a_few_megabytes(tmp_path: Path) -> None:
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=6)) for _ in range(2000)]
    rows = [
        (Prompt("", f"{' '.join(rng.choices(words, k=6))} {words[label]}"), f"label {label}")
        for label in range(120)
        for _ in range(4)
    ]
    path = fitted_file(tmp_path / "l", rows)
    said = ask_rung(path, PromptTrim(), [prompt for prompt, _ in rows])

    assert path.stat().st_size < 5e6
    assert sum(answer.text == label for answer, (_, label) in zip(said, rows, strict=True)) > 0.95 * len(rows)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (["a"] * 9, "the same"),
        (["a", "b", "c"], "3 answers are 3 different ones"),
        ([str(n % 201) for n in range(900)], "900 answers are 201 different ones"),
        (["a", "b" * 201] * 9, "more than 200 characters"),
        (["a", "b"] * 2, ""),
    ],
)
def test_only_a_closed_set_of_short_answers_is_classified(answers: list[str], why: str) -> None:
    found = why_no_labels(answers)

    assert bool(found) == bool(why)
    assert why in found
