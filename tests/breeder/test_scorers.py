"""Scorers: equality of texts and of JSON values, fences, the choice of a scorer, and consensus."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from breeder.scorers import SCORERS, choose_scorer, consensus, score, strip_fence
from registry.errors import ConfigError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("feat", "feat", 1.0),
        (" feat\n", "feat", 1.0),
        ("Feat", "feat", 0.0),
        ("a  b", "a b", 0.0),
        ("```\nls -l\n```", "ls -l", 1.0),
        ("```bash\nls -l\n```\n", "ls -l", 1.0),
        ("Sure!\n```\nls -l\n```", "ls -l", 0.0),
        ("", "feat", 0.0),
    ],
)
def test_text_is_equality_after_trimming_and_one_fence(answer: str, reference: str, expected: float) -> None:
    """Nothing else is forgiven."""
    assert score("text", answer, reference) == expected


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ('{"b": 1, "a": [2]}', '{"a":[2],"b":1}', 1.0),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 1.0),
        ('{"a": 1.0}', '{"a": 1}', 1.0),
        ('{"a": true}', '{"a": 1}', 0.0),
        ('{"a": "1"}', '{"a": 1}', 0.0),
        ('{"a": 9007199254740993}', '{"a": 9007199254740992}', 0.0),
        ("[1, 2]", "[2, 1]", 0.0),
        ('{"a": 1} and more', '{"a": 1}', 0.0),
        ('{"a": NaN}', '{"a": NaN}', 0.0),
        ("not json", "not json", 0.0),
        ("[" * 100_000, "[]", 0.0),
        ("1e99999999999999999999", "1", 0.0),
    ],
)
def test_json_is_equality_of_values(answer: str, reference: str, expected: float) -> None:
    """Order of keys and spelling of numbers do not matter; what is not JSON scores 0, even against itself."""
    assert score("json", answer, reference) == expected


def test_only_one_surrounding_fence_is_stripped() -> None:
    """Two blocks are not one, an unclosed one is none."""
    assert strip_fence("```\na\n```\nand\n```\nb\n```").startswith("```")
    assert strip_fence("```\na") == "```\na"
    assert strip_fence("```\n```") == ""


@given(st.text(), st.text())
def test_any_text_scores_within_bounds_and_the_same_both_ways(answer: str, reference: str) -> None:
    """And a text equals itself."""
    for name in SCORERS:
        assert score(name, answer, reference) in {0.0, 1.0}
        assert score(name, answer, reference) == score(name, reference, answer)
    assert score("text", answer, answer) == 1.0


@given(json_values)
def test_json_survives_layout(value: object) -> None:
    """Indented, fenced and compact spellings of one value are equal."""
    fenced = f"```json\n{json.dumps(value, indent=2)}\n```"

    assert score("json", fenced, json.dumps(value, separators=(",", ":"))) == 1.0


@pytest.mark.parametrize(
    ("references", "expected"),
    [
        (['{"a": 1}', "[1]"], "json"),
        (['{"a": 1}', "plain"], "text"),
        (["1", "2"], "text"),
        (['{"a": 1}', "true"], "text"),
        ([], "text"),
    ],
)
def test_json_is_chosen_for_objects_and_arrays_only(references: list[str], expected: str) -> None:
    """A bare number or word is text."""
    assert choose_scorer(references) == expected


def test_an_unknown_scorer_names_the_known_ones() -> None:
    """The next step is in the message."""
    with pytest.raises(ConfigError, match="unknown scorer 'bleu'; choose one of json, text"):
        score("bleu", "a", "a")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["a", "b", "a "], "a"),
        (["b", "a", "a"], "a"),
        (["a", "b"], None),
        (["a"], None),
        ([], None),
        (["a", "a", "b", "b"], None),
        (["a", "a", "b", "b", "b"], "b"),
    ],
)
def test_consensus_is_a_strict_plurality_of_at_least_two(answers: list[str], expected: str | None) -> None:
    """The first spelling of the agreed answer is returned."""
    assert consensus(answers, "text") == expected


def test_consensus_compares_by_the_scorer() -> None:
    """Unreadable JSON agrees with nothing, not even its own copy."""
    assert consensus(['{"a":1}', "[]", '{"a": 1.0}'], "json") == '{"a":1}'
    assert consensus(["oops", "oops"], "json") is None


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=9))
def test_consensus_is_more_common_than_any_other(answers: list[str]) -> None:
    """Or there is none."""
    agreed = consensus(answers, "text")

    counts = sorted((answers.count(each) for each in set(answers)), reverse=True)
    clear = bool(counts) and counts[0] > 1 and (len(counts) == 1 or counts[0] > counts[1])
    assert (agreed is not None) == clear
    assert agreed is None or answers.count(agreed) == counts[0]
