from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from registry.prompting import Prompt
from router.rungs.loading import load_rung
from router.rungs.rung import RungAnswer, log_chances
from tests.router.rungs.making import write_linear, write_table

CLUES = {"water": "pump", "power": "cable", "frame": "window"}


def ask(path: Path, text: str, system: str = "") -> RungAnswer:
    return load_rung(path).answer(Prompt(system, text))


def test_a_table_answers_what_was_seen_and_nothing_else(tmp_path: Path) -> None:
    path = write_table(tmp_path / "t", {"how late": "noon", "how far": "a mile", "how long": "noon"})

    assert ask(path, "how long") == RungAnswer("noon", 0.0)
    assert ask(path, "how far") == RungAnswer("a mile", 0.0)
    assert ask(path, "How far") == RungAnswer("", -math.inf)
    assert ask(path, "far", system="how ") == RungAnswer("", -math.inf)


def test_a_table_s_file_does_not_tell_its_prompts(tmp_path: Path) -> None:
    content = write_table(tmp_path / "t", {"a secret question": "yes"}).read_bytes()

    assert b"secret" not in content


@pytest.mark.parametrize(("text", "label"), [("my pump", "water"), ("this CABLE", "power"), ("windows", "frame")])
def test_a_classifier_names_the_label_that_the_text_is_like(tmp_path: Path, text: str, label: str) -> None:
    answer = ask(write_linear(tmp_path / "l", CLUES), text)

    assert answer.text == label
    assert math.log(0.5) < answer.confidence < 0


def test_a_classifier_is_unsure_of_what_it_has_never_seen(tmp_path: Path) -> None:
    assert math.exp(ask(write_linear(tmp_path / "l", CLUES), "zyx").confidence) == pytest.approx(1 / 3, abs=0.01)


def test_a_higher_temperature_makes_it_less_sure(tmp_path: Path) -> None:
    cold, warm = (write_linear(tmp_path / f"{t}", CLUES, temperature=t) for t in (1.0, 3.0))

    assert ask(warm, "my pump").confidence < ask(cold, "my pump").confidence


def test_chances_add_up_to_one_however_large_the_scores() -> None:
    scores = np.array([[0, 1, -2], [-1e4, -1e4, -1e4], [1e4, -1e4, 3]], np.float32)
    chances = log_chances(scores, 0.5)

    assert np.exp(chances).sum(axis=1) == pytest.approx(np.ones(3))
    assert np.isfinite(chances[:, 0]).all()
