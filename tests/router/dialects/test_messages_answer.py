from __future__ import annotations

from typing import Any

import pytest

from registry.errors import UpstreamError
from router.dialects.messages.dialect import Messages
from router.dialects.messages.request import UNSIGNED
from router.dialects.protocol import AnswerFacts
from tests.router.making import NOON

FACTS = AnswerFacts("0190-1", "claude-opus-5-5", NOON)
USAGE = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 20,
    "cache_read_input_tokens": 70,
    "output_tokens": 5,
    "output_tokens_details": {"thinking_tokens": 3},
}
ANSWER: dict[str, Any] = {
    "id": "msg_01Aq9w938a90dw8q",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [
        {"type": "thinking", "thinking": "They want the weather.", "signature": "EqQB"},
        {"type": "text", "text": "I'll check the current weather in San Francisco for you."},
        {"type": "tool_use", "id": "toolu_01", "name": "get_weather", "input": {"location": "SF", "unit": "c"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": USAGE,
}


def whole(**message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "4", **message}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "model": "m", "choices": [choice], "usage": None}


def shown(completion: dict[str, Any], **request: Any) -> Any:
    return Messages().answer_from_chat(completion, FACTS, {"thinking": {"type": "adaptive"}, **request})


def test_an_answer_as_a_completion() -> None:
    assert Messages().answer_to_chat(ANSWER) == {
        "id": "msg_01Aq9w938a90dw8q",
        "object": "chat.completion",
        "model": "claude-opus-5-5",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "I'll check the current weather in San Francisco for you.",
                    "refusal": None,
                    "reasoning_content": "They want the weather.",
                    "thinking_blocks": [ANSWER["content"][0]],
                    "tool_calls": [
                        {
                            "id": "toolu_01",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"location":"SF","unit":"c"}'},
                        }
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 5,
            "total_tokens": 105,
            "prompt_tokens_details": {"cached_tokens": 70, "cache_write_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


def test_an_answer_comes_back_from_a_completion() -> None:
    assert shown(Messages().answer_to_chat(ANSWER)) == {**ANSWER, "id": "msg_0190-1"}


def test_no_input_is_invented() -> None:
    def arguments(**block: Any) -> Any:
        content = [{"type": "tool_use", "id": "t", "name": "now", **block}]
        completion: Any = Messages().answer_to_chat({**ANSWER, "content": content})
        return completion["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]

    assert arguments(input={}) == "{}"
    assert arguments() == ""


def test_an_answer_without_text_has_no_content() -> None:
    completion: Any = Messages().answer_to_chat({**ANSWER, "content": ANSWER["content"][2:]})

    assert completion["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
        ("a reason of next year", "stop"),
    ],
)
def test_reasons_to_stop(stop: str, finish: str) -> None:
    completion: Any = Messages().answer_to_chat({**ANSWER, "stop_reason": stop})

    assert completion["choices"][0]["finish_reason"] == finish


CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}}


@pytest.mark.parametrize(
    ("finish", "message", "stop"),
    [
        ("stop", {}, "end_turn"),
        ("length", {}, "max_tokens"),
        ("length", {"tool_calls": [CALL]}, "max_tokens"),
        ("tool_calls", {"tool_calls": [CALL]}, "tool_use"),
        ("stop", {"tool_calls": [CALL]}, "tool_use"),
        ("stop", {"tool_calls": []}, "end_turn"),
        ("content_filter", {}, "refusal"),
        ("stop", {"content": None, "refusal": "I will not."}, "refusal"),
    ],
)
def test_reasons_to_finish(finish: str, message: dict[str, Any], stop: str) -> None:
    completion = whole(**message)
    completion["choices"][0]["finish_reason"] = finish

    assert shown(completion)["stop_reason"] == stop


def test_reasoning_is_thinking_for_who_asked() -> None:
    completion = whole(reasoning_content="2 and 2")

    assert shown(completion)["content"] == [
        {"type": "thinking", "thinking": "2 and 2", "signature": UNSIGNED},
        {"type": "text", "text": "4"},
    ]
    assert shown(completion, thinking=None)["content"] == [{"type": "text", "text": "4"}]


def test_a_call_without_arguments_has_an_empty_input() -> None:
    assert shown(whole(content=None, tool_calls=[CALL]))["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "now", "input": {}}
    ]


def test_arguments_that_are_no_json_are_the_upstreams_failure() -> None:
    broken = {"id": "c", "type": "function", "function": {"name": "now", "arguments": '{"a":'}}

    with pytest.raises(UpstreamError, match="now"):
        shown(whole(tool_calls=[broken]))


def test_tokens_that_nobody_counted_are_estimated() -> None:
    usage = shown(whole(content="four" * 4), messages=[{"role": "user", "content": "x" * 40}])["usage"]

    assert usage["input_tokens"] >= 10
    assert usage["output_tokens"] >= 4


@pytest.mark.parametrize("answer", [{}, {"type": "error", "error": {"message": "x"}}, {"choices": []}])
def test_what_is_no_message_is_the_upstreams_failure(answer: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError):
        Messages().answer_to_chat(answer)
