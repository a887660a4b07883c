from __future__ import annotations

from typing import Any

import pytest

from registry.entities import PromptTrim, SpecialistKind
from registry.prompting import prompt_of
from registry.settings import UpstreamSettings
from router.fitness import unfit, unfit_for_base, wants_json_object
from tests.router.making import envelope, specialist, task

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


@pytest.mark.parametrize("kind", [SpecialistKind.TABLE, SpecialistKind.LINEAR])
def test_a_simple_rung_asks_for_the_constant_part_but_for_no_context(kind: SpecialistKind) -> None:
    served = specialist(kind=kind, trim=TRIMMED.trim)

    assert why(task("Classify this commit.\n" + "word " * 2000), context=1024, served=served) == ""
    assert "constant part" in why(task("Something else"), served=served)
    assert "tools" in why(task(tools=[{"type": "function"}]), served=served)


def test_a_json_object_is_recognised_as_wanted() -> None:
    assert wants_json_object({"response_format": {"type": "json_object"}})
    assert not wants_json_object({"response_format": None})


def why_not_base(body: dict[str, Any], features: dict[str, Any], **upstream: Any) -> str:
    asked = UpstreamSettings(base_url="http://127.0.0.1:9/v1", trust="private", **upstream)
    return unfit_for_base(body, envelope(**features), asked)


def test_a_general_base_takes_text_inside_its_context() -> None:
    assert why_not_base(task(n=2, logprobs=True), {"estimated_tokens": 10**6}) == ""
    assert why_not_base(task(), {"estimated_tokens": 1000}, context=2024) == ""
    assert why_not_base(task(), {"estimated_tokens": 1001}, context=2024) == (
        "it needs about 2,025 tokens with its answer, the context has 2,024"
    )


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_answer_that_the_client_allows_counts_into_the_context_of_a_general_base(name: str) -> None:
    assert why_not_base(task(**{name: 3000}), {"estimated_tokens": 1000}, context=4000) == ""
    assert "4,001 tokens" in why_not_base(task(**{name: 3001}), {"estimated_tokens": 1000}, context=4000)
    assert why_not_base(task(**{name: 10}), {"estimated_tokens": 1000}, context=1010) == ""


def test_tools_count_into_the_context_of_a_general_base() -> None:
    tools = task(tools=[{"type": "function", "function": {"name": "f", "description": "d" * 4000}}])

    assert why_not_base(tools, {"estimated_tokens": 10, "has_tools": True}, tools=True, context=3000) == ""
    assert "context" in why_not_base(tools, {"estimated_tokens": 10, "has_tools": True}, tools=True, context=2000)


@pytest.mark.parametrize("features", [{"has_tools": True}, {"in_tool_loop": True}])
def test_tools_need_an_upstream_that_is_listed_as_able(features: dict[str, Any]) -> None:
    assert "not listed as able" in why_not_base(task(), features)
    assert why_not_base(task(), features, tools=True) == ""


def test_a_general_base_takes_nothing_but_text() -> None:
    assert "more than text" in why_not_base(task(), {"multimodal": True})
    assert "more than text" in why_not_base(task(modalities=["text", "audio"]), {})
