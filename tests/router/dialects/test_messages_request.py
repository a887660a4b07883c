from __future__ import annotations

import json
from typing import Any

import pytest

from router.dialects.messages.dialect import Messages
from router.dialects.messages.request import UNSIGNED, asks_for_thinking, count_request, token_count
from router.problems import InvalidRequestError

ASKED: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 1024,
    "messages": [{"role": "user", "content": "Hello, Claude"}],
}


def read(**changes: Any) -> Any:
    return Messages().read(json.dumps({**ASKED, **changes}).encode())


def test_a_request_is_read_with_its_unknown_fields() -> None:
    request = read(stream=True, context_management={"edits": []}, speed="fast", temperature=1)

    assert (request.model, request.stream, request.wants_usage) == ("claude-opus-5-5", True, True)
    assert request.body["context_management"] == {"edits": []}
    assert request.body["temperature"] == 1


def test_every_documented_block_is_read() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    user = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "15 degrees"}, image]},
        {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "text", "text": "and?", "cache_control": {"type": "ephemeral"}},
    ]
    assistant = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
        {"type": "a_block_of_next_year", "whatever": 1},
    ]
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": assistant},
        {"role": "user", "content": user},
        {"role": "system", "content": "be brief from now on"},
    ]

    assert read(messages=messages, system=[{"type": "text", "text": "You help."}]).body["messages"] == messages


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"model": " "}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "messages.0.content.0.source"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n"}]}]},
            "messages.0.content.0.input",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "messages.0.content.0.tool_use_id"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": 5}]}]},
            "messages.0.content.0.content",
        ),
        ({"messages": [{"role": "system", "content": [{"type": "image", "source": {}}]}]}, "messages.0.content.0.type"),
        ({"system": [{"type": "image", "source": {}}]}, "system.0.type"),
        ({"system": 5}, "system"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools.0"),
        ({"metadata": "x"}, "metadata"),
        ({"thinking": True}, "thinking"),
        ({"stop_sequences": "x"}, "stop_sequences"),
    ],
)
def test_what_cannot_be_understood_is_named(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**changes)

    assert caught.value.param == param
    assert str(caught.value)


def test_results_inside_results_are_refused_at_any_depth() -> None:
    block: dict[str, Any] = {"type": "text", "text": "x"}
    for _ in range(400):
        block = {"type": "tool_result", "tool_use_id": "t", "content": [block]}

    with pytest.raises(InvalidRequestError):
        read(messages=[{"role": "user", "content": [block]}])


def test_tokens_are_counted_for_a_request_without_a_limit() -> None:
    raw = json.dumps({name: value for name, value in ASKED.items() if name != "max_tokens"}).encode()

    assert count_request(raw)["messages"] == ASKED["messages"]
    assert token_count(14) == {"input_tokens": 14}


def test_an_upstream_gets_the_model_and_no_hints() -> None:
    sent = Messages().outgoing({**ASKED, "metadata": {"user_id": "u1", "workflow": "commit-type"}}, "claude-haiku-5")

    assert sent["model"] == "claude-haiku-5"
    assert sent["metadata"] == {"user_id": "u1"}
    assert "metadata" not in Messages().outgoing({**ASKED, "metadata": {"task_id": "t"}}, "claude-haiku-5")


def test_thinking_that_no_anthropic_model_signed_stays_here() -> None:
    ours = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    theirs = {"type": "thinking", "thinking": "hm", "signature": "EqQBCkYI"}
    said = {"type": "text", "text": "4"}
    messages = [
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": [ours, theirs, said]},
        {"role": "assistant", "content": [ours]},
        {"role": "user", "content": []},
    ]

    sent = Messages().outgoing({**ASKED, "messages": messages}, "claude-haiku-5")

    assert sent["messages"] == [messages[0], {"role": "assistant", "content": [theirs, said]}, messages[3]]


@pytest.mark.parametrize(
    ("thinking", "asked"),
    [
        (None, False),
        ({"type": "disabled"}, False),
        ({"type": "adaptive"}, True),
        ({"type": "adaptive", "display": "omitted"}, False),
        ({"type": "enabled", "budget_tokens": 2000}, True),
        ({"type": "between_tools"}, True),
    ],
)
def test_thinking_is_shown_to_who_asks_for_it(thinking: Any, asked: bool) -> None:
    assert asks_for_thinking({"thinking": thinking}) is asked


def test_version_and_betas_go_upstream_as_they_came() -> None:
    client = {"anthropic-version": "2026-10-21", "anthropic-beta": "a-2025,b-2026", "x-api-key": "k", "cookie": "c"}

    assert Messages().upstream_headers(client) == {
        "anthropic-version": "2026-10-21",
        "anthropic-beta": "a-2025,b-2026",
    }
    assert Messages().upstream_headers({}) == {"anthropic-version": "2023-06-01"}
