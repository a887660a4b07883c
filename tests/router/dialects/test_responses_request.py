from __future__ import annotations

import json
from typing import Any

import pytest

from router.dialects.responses.dialect import Responses
from router.problems import InvalidRequestError

DIALECT = Responses()


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-5.4", "input": "hello", **fields}


def read(**fields: Any) -> Any:
    return DIALECT.read(json.dumps(body(**fields)).encode())


def refused(**fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        read(**fields)
    return caught.value


def test_a_plain_request_is_read() -> None:
    request = read(stream=True, vendor={"x": 1}, store=False, include=["reasoning.encrypted_content"])

    assert (request.model, request.stream, request.wants_usage) == ("gpt-5.4", True, True)
    assert request.body["vendor"] == {"x": 1}


def test_items_that_chat_lacks_are_read_and_kept() -> None:
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "abc="},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "local_shell_call", "call_id": "c1", "action": {"type": "exec", "command": ["ls"]}},
        {"role": "user", "content": "hi"},
    ]

    assert read(input=items).body["input"] == items


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
    ],
)
def test_what_refers_to_state_is_refused_with_the_reason(fields: dict[str, Any], param: str) -> None:
    error = refused(**fields)

    assert error.param == param
    assert "router keeps" in str(error)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": " "}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"content": "x"}]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": {}}]}, "input[0].input"),
        ({"instructions": ["x"]}, "instructions"),
        ({"stream": "yes"}, "stream"),
        ({"text": "json"}, "text"),
        ({"reasoning": "high"}, "reasoning"),
        ({"metadata": []}, "metadata"),
        ({"tools": {}}, "tools"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0]"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}, "tools[0].tools[0]"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param


def test_what_is_no_json_object_is_refused() -> None:
    for raw in (b"{", b"[]"):
        with pytest.raises(InvalidRequestError):
            DIALECT.read(raw)


def test_the_outgoing_request_names_the_model_and_carries_no_hints_nor_telemetry() -> None:
    sent = DIALECT.outgoing(
        body(
            metadata={"workflow": "commit-type", "team": "a"},
            client_metadata={"x-codex-installation-id": "i1"},
            stream=True,
            prompt_cache_key="k",
        ),
        "gpt-5.4-mini",
    )

    assert sent == body(model="gpt-5.4-mini", metadata={"team": "a"}, stream=True, prompt_cache_key="k")


def test_metadata_of_hints_alone_is_not_sent() -> None:
    assert DIALECT.outgoing(body(metadata={"workflow": "x"}), "m") == body(model="m")


def test_reasoning_of_the_routers_own_answers_is_not_sent_to_a_vendor() -> None:
    summary = [{"type": "summary_text", "text": "so"}]
    theirs = [
        {"type": "reasoning", "id": "rs_68af", "summary": summary},
        {"type": "reasoning", "summary": summary, "encrypted_content": "gAAA"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]},
    ]
    own = [{"type": "reasoning", "id": "rs_own_1_0", "summary": summary}, {"type": "reasoning", "summary": summary}]

    assert DIALECT.outgoing(body(input=[*theirs, *own]), "m")["input"] == theirs


def test_only_the_beta_header_goes_upstream() -> None:
    client = {
        "openai-beta": "responses=experimental",
        "originator": "codex_exec",
        "session_id": "s",
        "x-codex-turn-metadata": "{}",
        "authorization": "Bearer key",
    }

    assert DIALECT.upstream_headers(client) == {"openai-beta": "responses=experimental"}
    assert (DIALECT.surface, DIALECT.path) == ("openai.responses", "/responses")
