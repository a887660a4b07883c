from __future__ import annotations

from typing import Any

import pytest

from router.dialects.messages.dialect import Messages


def chat(*messages: dict[str, Any], **more: Any) -> Any:
    return Messages().to_chat({"model": "auto", "max_tokens": 64, "messages": list(messages), **more})


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


WEATHER = {
    "name": "get_weather",
    "description": "Get the current weather in a given location",
    "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}


def test_a_tool_round_of_the_documentation() -> None:
    call = {
        "type": "tool_use",
        "id": "toolu_01A09q90qw90lq917835lq9",
        "name": "get_weather",
        "input": {"location": "SF"},
    }
    result = {"type": "tool_result", "tool_use_id": "toolu_01A09q90qw90lq917835lq9", "content": "15 degrees"}

    body = chat(
        {"role": "user", "content": "What's the weather?"},
        {"role": "assistant", "content": [said("I'll check."), call]},
        user(result),
        system="You help.",
        tools=[WEATHER],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        stop_sequences=["\n\nHuman:"],
        stream=True,
        temperature=0.5,
        top_k=5,
        metadata={"user_id": "u-1"},
    )

    assert body == {
        "model": "auto",
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": "You help."},
            {"role": "user", "content": "What's the weather?"},
            {
                "role": "assistant",
                "content": "I'll check.",
                "tool_calls": [
                    {
                        "id": "toolu_01A09q90qw90lq917835lq9",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": '{"location":"SF"}'},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "toolu_01A09q90qw90lq917835lq9", "content": "15 degrees"},
        ],
        "max_completion_tokens": 64,
        "stop": ["\n\nHuman:"],
        "stream": True,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": WEATHER["description"],
                    "parameters": WEATHER["input_schema"],
                },
            }
        ],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "user": "u-1",
    }


def test_results_come_before_what_the_user_says_and_pictures_in_them_come_along() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}}
    first = {"type": "tool_result", "tool_use_id": "a", "content": [said("one"), picture, said("two")]}
    second = {"type": "tool_result", "tool_use_id": "b"}

    body = chat(user(said("so?"), first, second))

    assert body["messages"] == [
        {"role": "tool", "tool_call_id": "a", "content": [said("one"), said("two")]},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {
            "role": "user",
            "content": [said("so?"), {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}}],
        },
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("no such file", "Error: no such file"),
        ("Error: no such file", "Error: no such file"),
        ([said("no such file"), said("look")], [said("Error: no such file"), said("look")]),
        (None, "Error"),
    ],
)
def test_a_failed_tool_says_so(content: Any, expected: Any) -> None:
    body = chat(user({"type": "tool_result", "tool_use_id": "a", "is_error": True, "content": content}))

    assert body["messages"] == [{"role": "tool", "tool_call_id": "a", "content": expected}]


def test_system_texts_keep_their_places_and_parts() -> None:
    body = chat(
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "be brief"},
        system=[{**said("You help."), "cache_control": {"type": "ephemeral"}}, said("Always.")],
    )

    assert body["messages"] == [
        {"role": "system", "content": [said("You help."), said("Always.")]},
        {"role": "user", "content": "hi"},
        {"role": "system", "content": "be brief"},
    ]


def test_thinking_is_reasoning_and_server_tools_are_left_out() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        said("It is "),
        said("15 degrees."),
    ]

    body = chat({"role": "assistant", "content": blocks})

    assert body["messages"] == [{"role": "assistant", "content": "It is 15 degrees.", "reasoning_content": "hm"}]


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
            [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f1"}}, [{"type": "file", "file": {"file_id": "f1"}}]),
        (
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
            [{"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}}],
        ),
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}, [said("x")]),
        (
            {"type": "document", "source": {"type": "content", "content": [said("x"), said("y")]}},
            [said("x"), said("y")],
        ),
        ({"type": "document", "source": {"type": "content", "content": "x"}}, [said("x")]),
        (
            {"type": "search_result", "title": "T", "source": "https://e.org", "content": [said("found")]},
            [said("T\nhttps://e.org\nfound")],
        ),
        (
            {
                "type": "document",
                "source": {
                    "type": "content",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}],
                },
            },
            [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
        ),
        ({"type": "tool_reference", "tool_name": "x"}, []),
    ],
)
def test_blocks_of_a_user(block: dict[str, Any], parts: list[Any]) -> None:
    body = chat(user(said("look"), block))

    assert body["messages"] == [{"role": "user", "content": [said("look"), *parts] if parts else "look"}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "any"}, {"tool_choice": "required"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
            {
                "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
                "parallel_tool_calls": False,
            },
        ),
        ({"type": "tool", "name": "web_search"}, {}),
    ],
)
def test_tool_choices(choice: dict[str, Any], expected: dict[str, Any]) -> None:
    body = chat(tools=[WEATHER], tool_choice=choice)

    assert {name: body[name] for name in ("tool_choice", "parallel_tool_calls") if name in body} == expected


def test_a_search_tool_asks_for_search_and_other_server_tools_are_left_out() -> None:
    tools = [
        {"type": "web_search_20250305", "name": "web_search"},
        {"type": "bash_20250124", "name": "bash"},
        {"type": "code_execution_20260521", "name": "code_execution"},
    ]

    body = chat(tools=tools, tool_choice={"type": "any"})

    assert body["web_search_options"] == {}
    assert not {"tools", "tool_choice"} & body.keys()


@pytest.mark.parametrize(
    ("asked", "effort"),
    [
        ({"output_config": {"effort": "xhigh"}, "thinking": {"type": "adaptive"}}, "xhigh"),
        ({"output_config": {"effort": "high"}}, "high"),
        ({"output_config": {"effort": "high"}, "thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32_000}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
    ],
)
def test_efforts(asked: dict[str, Any], effort: str | None) -> None:
    assert chat(**asked).get("reasoning_effort") == effort


@pytest.mark.parametrize("said_in", ["output_config", "output_format"])
def test_a_schema_for_the_answer(said_in: str) -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    form = {"type": "json_schema", "schema": schema}

    body = chat(**{said_in: {"format": form} if said_in == "output_config" else form})

    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_a_user_name_too_long_for_openai_is_left_out_and_hints_stay() -> None:
    body = chat(metadata={"user_id": "u" * 65, "workflow": "commit-type"})

    assert "user" not in body
    assert body["metadata"] == {"workflow": "commit-type"}
