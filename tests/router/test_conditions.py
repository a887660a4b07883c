from __future__ import annotations

import pytest

from registry.entities import Lane
from registry.errors import ConfigError
from registry.settings import PolicyRule
from router.conditions import compile_rule
from tests.router.making import envelope


def holds(when: dict[str, str | int | float | bool], **features: object) -> bool:
    return compile_rule(PolicyRule(name="r", when=when, lane=Lane.NO_OP))(envelope(**features))


@pytest.mark.parametrize(
    ("condition", "value", "expected"),
    [
        ("> 8", 9, True),
        ("> 8", 8, False),
        (">= 8", 8, True),
        ("<2", 1, True),
        ("<= 2", 3, False),
        ("== 3", 3, True),
        ("!= 3", 3, False),
        (3, 3, True),
        (3, 4, False),
    ],
)
def test_numbers_are_compared(condition: str | int, value: int, expected: bool) -> None:
    assert holds({"changed_files": condition}, changed_files=value) is expected


def test_texts_and_truth_values_are_compared() -> None:
    assert holds({"data_class": "source_code"}, data_class="source_code")
    assert holds({"data_class": "!= public"}, data_class="secret")
    assert holds({"has_tools": True}, has_tools=True)
    assert holds({"has_tools": "== true"}, has_tools=True)
    assert not holds({"multimodal": True})


def test_all_conditions_must_hold() -> None:
    when: dict[str, str | int | float | bool] = {"changed_files": "> 1", "retry_count": 0}

    assert holds(when, changed_files=2)
    assert not holds(when, changed_files=2, retry_count=1)


def test_a_feature_that_is_not_given_fulfils_no_comparison() -> None:
    assert not holds({"deadline_ms": "< 1000"})


def test_an_unknown_feature_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"changed_fles.*changed_files"):
        holds({"changed_fles": "> 8"})


def test_a_task_type_is_compared_and_a_misspelt_one_is_an_error_that_names_the_near_one() -> None:
    assert holds({"task_type": "plan"}, task_type="plan")
    assert holds({"task_type": "!= plan"}, task_type=None)
    with pytest.raises(ConfigError, match="'sumarize', which there is not; did you mean 'summarize'"):
        holds({"task_type": "== sumarize"})


def test_a_comparison_with_a_word_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'many'"):
        holds({"changed_files": "> many"})
