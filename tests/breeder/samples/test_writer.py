"""The shipped samples are what the generator writes, and are hard enough to need a specialist."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from breeder.samples.writer import SAMPLES, SHIPPED_SEED, TEST_LINES, TRAIN_LINES, sample_lines, write_samples

_SHIPPED = Path(__file__).parents[3] / "data" / "samples"


def test_the_shipped_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    for path in write_samples(tmp_path, SHIPPED_SEED):
        assert path.read_bytes() == (_SHIPPED / path.name).read_bytes()


def test_the_shipped_files_are_small() -> None:
    assert sum(path.stat().st_size for path in _SHIPPED.glob("*.jsonl")) < 1_500_000


@pytest.mark.parametrize("name", SAMPLES)
def test_train_lines_come_first_and_no_prompt_comes_twice(name: str) -> None:
    lines = list(sample_lines(name, 5))
    splits = [line["split"] for line in lines]
    assert splits == ["train"] * TRAIN_LINES + ["test"] * TEST_LINES
    assert len(lines) == len({line["prompt"] for line in lines})


@pytest.mark.parametrize("name", SAMPLES)
def test_no_answer_is_a_majority(name: str) -> None:
    answers = Counter(line["reference"] for line in sample_lines(name, 5))
    assert answers.most_common(1)[0][1] < 0.5 * answers.total()


def _ngrams(text: str) -> set[str]:
    return {text[start : start + 4] for start in range(len(text) - 3)}


@pytest.mark.parametrize("name", [name for name, sample in SAMPLES.items() if sample.is_learnable])
def test_the_nearest_training_line_rarely_has_the_answer(name: str) -> None:
    lines = list(sample_lines(name, 5))
    known = [(_ngrams(line["prompt"]), line["reference"]) for line in lines[:TRAIN_LINES]]
    tested = lines[TRAIN_LINES::4]
    right = 0
    for line in tested:
        grams = _ngrams(line["prompt"])
        right += max(known, key=lambda row: len(grams & row[0]) / len(grams | row[0]))[1] == line["reference"]
    assert right / len(tested) < 0.8


def test_an_order_reference_is_sorted_compact_json() -> None:
    for line in sample_lines("order-fields", 5):
        fields = json.loads(line["reference"])
        assert json.dumps(fields, sort_keys=True, separators=(",", ":")) == line["reference"]
        assert all(str(value) in line["prompt"] for value in fields.values())


def test_a_log_template_has_a_mark_for_every_variable() -> None:
    for line in sample_lines("log-template", 5):
        assert "<*>" in line["reference"]
        literals = line["reference"].split("<*>")
        assert all(part in line["prompt"] for part in literals)
