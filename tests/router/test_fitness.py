from __future__ import annotations

from typing import Any

import pytest

from registry.entities import PromptTrim, SpecialistKind
from registry.prompting import Prompt, prompt_of
from router.fitness import unfit, wants_json_object
from tests.router.making import specialist, task

TRIMMED = specialist(trim=PromptTrim(prefix="Classify this commit.\n"))


def why(body: dict[str, Any], context: int = 2048, served: Any = TRIMMED) -> str:
    return unfit(body, prompt_of(body["messages"]), served, context)


def test_a_single_turn_with_the_constant_part_fits() -> None:
    assert why(task()) == ""
    assert why(task(n=1, tools=[], logprobs=False, response_format={"type": "text"}, modalities=["text"])) == ""
    assert why(task(response_format={"type": "json_object"})) == ""


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"logprobs": True}, "logprobs"),
        ({"n": 2}, "n = 2"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json_schema"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
    ],
)
def test_what_a_specialist_cannot_honour_is_named(field: dict[str, Any], reason: str) -> None:
    assert reason in why(task(**field))


def test_more_than_one_turn_does_not_fit() -> None:
    turns = [{"role": role, "content": "Classify this commit.\nx"} for role in ("user", "assistant", "user")]

    assert "single turn" in why({"messages": turns})


def test_a_prompt_without_the_constant_part_does_not_fit() -> None:
    assert "constant part" in why(task("Something else"))


def test_a_prompt_that_fills_the_context_does_not_fit() -> None:
    assert "tokens" in why(task("Classify this commit.\n" + "word " * 2000), context=1024)


def test_kinds_that_the_engine_does_not_decode_do_not_fit() -> None:
    assert "linear" in unfit(task(), Prompt("", "x"), specialist(kind=SpecialistKind.LINEAR), 2048)


def test_a_json_object_is_recognised_as_wanted() -> None:
    assert wants_json_object({"response_format": {"type": "json_object"}})
    assert not wants_json_object({"response_format": None})
