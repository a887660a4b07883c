from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from registry.errors import UpstreamError
from router.dialects.responses.dialect import Responses
from tests.router.dialects.test_responses_encoding import FACTS, REQUEST, USAGE

DIALECT = Responses()


def completion(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m", "choices": [choice], **more}


def answered(message: dict[str, Any], finish: str = "stop", **more: Any) -> Any:
    answer = DIALECT.answer_from_chat(completion(message, finish, **more), FACTS, REQUEST)
    Response.model_validate(answer)
    return answer


def in_chat(*output: dict[str, Any], **more: Any) -> Any:
    made = DIALECT.answer_to_chat({"id": "resp_1", "created_at": 5.0, "model": "m", "output": [*output], **more})
    ChatCompletion.model_validate(made)
    return made


def call(name: str, arguments: str, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_completion_as_a_response() -> None:
    answer = answered(
        {"content": "Hi", "reasoning_content": "Hm", "tool_calls": [call("f", "{}", "c1"), call("f", "", "c2")]},
        "tool_calls",
        usage=USAGE,
    )

    assert (answer["id"], answer["created_at"], answer["model"]) == ("resp_019a", 1795262400, "gpt-5.4")
    assert [item["type"] for item in answer["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert [item.get("call_id") for item in answer["output"]] == [None, None, "c1", "c2"]
    assert answer["status"] == "completed"
    assert answer["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}


def test_a_cut_completion_is_an_incomplete_response() -> None:
    answer = answered({"content": "So"}, "length")

    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_a_free_text_call_comes_back_as_one() -> None:
    answer = answered({"tool_calls": [call("apply_patch", '{"input":"*** Begin"}', "c1")]}, "tool_calls")

    (item,) = answer["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin")


def test_a_response_as_a_completion() -> None:
    made = in_chat(
        {"type": "reasoning", "id": "rs", "summary": [{"text": "A", "type": "summary_text"}] * 2},
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": " you"}]},
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "custom_tool_call", "id": "ctc", "call_id": "c2", "name": "p", "input": 'a"b\n'},
        {"type": "function_call", "id": "fc", "call_id": "c3", "name": "find", "namespace": "crm", "arguments": ""},
        status="completed",
        usage={"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 4}},
    )

    choice = made["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hi you",
        "reasoning_content": "A\n\nA",
        "tool_calls": [
            call("f", '{"a": 1}', "c1"),
            call("p", '{"input":"a\\"b\\n"}', "c2"),
            call("crm__find", "", "c3"),
        ],
    }
    assert (made["id"], made["created"], made["model"]) == ("resp_1", 5, "m")
    assert (made["usage"]["prompt_tokens"], made["usage"]["total_tokens"]) == (7, 10)
    assert made["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("steered", "length")]
)
def test_an_incomplete_response_is_a_cut_completion(reason: str, finish: str) -> None:
    made = in_chat(status="incomplete", incomplete_details={"reason": reason})

    assert made["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"choices": []}, "no response"),
        ({"output": [], "status": "failed", "error": {"code": "server_error", "message": "boom"}}, "boom"),
        ({"output": [], "status": "in_progress"}, "in_progress"),
    ],
)
def test_what_is_no_whole_response_is_an_upstream_error(answer: dict[str, Any], said: str) -> None:
    with pytest.raises(UpstreamError, match=said):
        DIALECT.answer_to_chat(answer)


words = st.text(max_size=12)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": words},
    optional={
        "reasoning_content": words.filter(bool),
        "refusal": words.filter(bool),
        "tool_calls": st.lists(
            st.builds(call, st.sampled_from(["f", "crm__find"]), words, words.filter(bool)), min_size=1
        ),
    },
)


@settings(max_examples=200)
@given(messages, st.booleans())
def test_whole_answers_survive_the_way_there_and_back(message: dict[str, Any], cut: bool) -> None:
    finish = "length" if cut else "tool_calls" if "tool_calls" in message else "stop"

    made: Any = DIALECT.answer_to_chat(answered(message, finish, usage=USAGE))

    (choice,) = made["choices"]
    assert choice["finish_reason"] == finish
    assert {field: said for field, said in choice["message"].items() if said} == {
        field: said for field, said in message.items() if said
    }
    assert {**made["usage"], "prompt_tokens_details": USAGE["prompt_tokens_details"]} == USAGE
