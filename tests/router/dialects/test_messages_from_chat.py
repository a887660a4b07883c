from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.dialects.messages.dialect import Messages
from router.dialects.messages.from_chat import DEFAULT_MAX_TOKENS
from router.dialects.messages.request import UNSIGNED
from router.problems import InvalidRequestError


def asked(*messages: dict[str, Any], **more: Any) -> Any:
    return Messages().from_chat({"model": "claude-opus-5-5", "messages": list(messages), **more})


def said(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def call(arguments: str = '{"location":"SF"}', **more: Any) -> dict[str, Any]:
    return {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": arguments}, **more}


def test_a_tool_round() -> None:
    parameters = {"type": "object", "properties": {"location": {"type": "string"}}}

    body = asked(
        {"role": "developer", "content": "You help."},
        {"role": "user", "content": "What's the weather, here and there?"},
        {"role": "assistant", "content": None, "tool_calls": [call(), call("", id="functions.get_weather:1")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "15 degrees"},
        {"role": "system", "content": [said("Be brief.")]},
        {"role": "tool", "tool_call_id": "functions.get_weather:1", "content": [said("one"), said("two")]},
        {"role": "user", "content": "so?"},
        tools=[{"type": "function", "function": {"name": "get_weather", "parameters": parameters, "strict": None}}],
        tool_choice="required",
        parallel_tool_calls=False,
        stop=["END", " "],
        max_tokens=64,
        stream=True,
        stream_options={"include_usage": True},
        temperature=0.2,
        top_p=0.9,
        seed=1,
        user="u-1",
        metadata={"x": "y"},
    )

    assert body == {
        "model": "claude-opus-5-5",
        "max_tokens": 64,
        "system": [said("You help."), said("Be brief.")],
        "messages": [
            {"role": "user", "content": "What's the weather, here and there?"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"location": "SF"}},
                    {"type": "tool_use", "id": "functions_get_weather_1", "name": "get_weather", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "15 degrees"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "functions_get_weather_1",
                        "content": [said("one"), said("two")],
                    },
                ],
            },
            {"role": "user", "content": "so?"},
        ],
        "stop_sequences": ["END"],
        "stream": True,
        "metadata": {"user_id": "u-1"},
        "tools": [{"name": "get_weather", "input_schema": parameters}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }


def test_without_a_limit_there_is_a_default() -> None:
    assert asked({"role": "user", "content": "hi"})["max_tokens"] == DEFAULT_MAX_TOKENS
    assert asked({"role": "user", "content": "hi"}, max_completion_tokens=7, max_tokens=9)["max_tokens"] == 7


def test_a_user_who_is_an_address_stays_unnamed() -> None:
    assert "metadata" not in asked({"role": "user", "content": "hi"}, user="bob@example.org")


def test_what_nobody_can_see_is_left_out() -> None:
    body = asked(
        {"role": "system", "content": ""},
        {"role": "user", "content": [said(" \n"), said("hi")]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": None, "refusal": "I will not."},
        {"role": "user", "content": "why?"},
    )

    assert body["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "I will not."},
        {"role": "user", "content": "why?"},
    ]
    assert "system" not in body


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR", "detail": "low"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
        ),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            {
                "type": "document",
                "title": "a.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
            },
        ),
        (
            {"type": "file", "file": {"file_id": "f1"}},
            {"type": "document", "source": {"type": "file", "file_id": "f1"}},
        ),
    ],
)
def test_pictures_and_files(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert asked({"role": "user", "content": [part]})["messages"] == [{"role": "user", "content": [block]}]


USER = {"role": "user", "content": "hi"}
SOUND = {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"n": 2}, "n"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"messages": [USER, {"role": "function", "name": "f", "content": "x"}]}, "messages.1.role"),
        ({"messages": [{"role": "user", "content": [said("hear"), SOUND]}]}, "messages.0.content.1"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}]},
            "messages.0.content.0",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x", "tool_calls": [call(), call('{"a":')]}]},
            "messages.0.tool_calls.1.function.arguments",
        ),
        (
            {"messages": [{"role": "assistant", "content": "x", "tool_calls": [call("[1]")]}]},
            "messages.0.tool_calls.0.function.arguments",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0"),
    ],
)
def test_what_would_change_the_answers_meaning_is_refused(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Messages().from_chat({"model": "m", "messages": [USER], **changes})

    assert caught.value.param == param


def test_only_thinking_that_anthropic_signed_goes_back_to_it() -> None:
    theirs = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
    opaque = {"type": "redacted_thinking", "data": "x"}
    ours = {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}
    none = {"type": "thinking", "thinking": "hm"}

    body = asked(
        USER,
        {
            "role": "assistant",
            "content": "4",
            "reasoning_content": "hmhm",
            "thinking_blocks": [theirs, opaque, ours, none],
        },
        {"role": "assistant", "content": "5", "reasoning_content": "hm"},
    )

    assert body["messages"][1:] == [
        {"role": "assistant", "content": [theirs, opaque, said("4")]},
        {"role": "assistant", "content": "5"},
    ]


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        ("minimal", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("max", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ("none", {}),
        (None, {}),
    ],
)
def test_efforts(effort: str | None, expected: dict[str, Any]) -> None:
    body = asked(USER, reasoning_effort=effort)

    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected


FUNCTION = {"type": "function", "function": {"name": "f"}}


def test_a_forced_tool_bars_thinking() -> None:
    body = asked(USER, reasoning_effort="high", tools=[FUNCTION], tool_choice="required")

    assert "thinking" not in body
    assert body["output_config"] == {"effort": "high"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, None),
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choices(choice: Any, expected: Any) -> None:
    body = asked(USER, tools=[FUNCTION], tool_choice=choice)

    assert body.get("tool_choice") == expected
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object", "properties": {}}}]


def test_a_choice_among_some_tools_leaves_the_others_out() -> None:
    other = {"type": "function", "function": {"name": "g"}}
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [other]}}

    body = asked(USER, tools=[FUNCTION, other], tool_choice=choice)

    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}


def test_no_tool_at_a_time_is_no_tool() -> None:
    body = asked(USER, tools=[FUNCTION], tool_choice="none", parallel_tool_calls=False)

    assert body["tool_choice"] == {"type": "none"}


def test_a_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in asked(USER, tool_choice="auto", parallel_tool_calls=False)


def test_search_is_a_server_tool() -> None:
    place = {"type": "approximate", "approximate": {"country": "DE", "city": "Bonn"}}

    body = asked(USER, web_search_options={"user_location": place, "search_context_size": "low"})

    assert body["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "user_location": {"type": "approximate", "country": "DE", "city": "Bonn"},
        }
    ]


VISIBLE = st.text(min_size=1, max_size=12).filter(lambda text: text.strip())
NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
IDS = st.from_regex(r"call_[A-Za-z0-9]{4,12}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
INPUTS = st.dictionaries(NAMES, VALUES, max_size=3)
PARTS = VISIBLE.map(said) | st.sampled_from(
    [
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AA="}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBE"}},
    ]
)
SAID = VISIBLE | st.lists(PARTS, min_size=2, max_size=3)
RESULTS = st.just("") | VISIBLE | st.lists(VISIBLE.map(said), min_size=2, max_size=3)


@st.composite
def turns(draw: Any) -> list[Any]:
    found: list[Any] = [{"role": "user", "content": draw(SAID)}]
    calls = [
        call(orjson.dumps(draw(INPUTS)).decode(), id=each) for each in draw(st.lists(IDS, max_size=3, unique=True))
    ]
    if calls:
        found.append({"role": "assistant", "content": draw(st.none() | VISIBLE), "tool_calls": calls})
        found += [{"role": "tool", "tool_call_id": each["id"], "content": draw(RESULTS)} for each in calls]
    found.append({"role": "assistant", "content": draw(VISIBLE)})
    return found


@st.composite
def conversations(draw: Any) -> dict[str, Any]:
    """Return a chat request in the words that both dialects have, written as `to_chat` writes them."""
    messages = [turn for group in draw(st.lists(turns(), min_size=1, max_size=3)) for turn in group]
    if draw(st.booleans()):
        messages.insert(0, {"role": "system", "content": draw(VISIBLE | st.lists(VISIBLE.map(said), min_size=2))})
    body: dict[str, Any] = {"model": "m", "messages": messages, "max_completion_tokens": draw(st.integers(1, 9999))}
    body |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "stop": st.lists(VISIBLE, min_size=1, max_size=3),
                "stream": st.just(True),
                "user": NAMES,
                "reasoning_effort": st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
                "response_format": st.just(
                    {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
                ),
            },
        )
    )
    if draw(st.booleans()):
        function = {"name": "get_weather", "description": draw(VISIBLE), "parameters": {"type": "object"}}
        body["tools"] = [{"type": "function", "function": function}]
        choice = draw(st.sampled_from(["auto", "required", {"type": "function", "function": {"name": "get_weather"}}]))
        body["tool_choice"] = choice
        body |= draw(st.sampled_from([{}, {"parallel_tool_calls": False}]))
    return body


@settings(max_examples=200)
@given(conversations())
def test_a_chat_conversation_comes_back_from_anthropics_form(body: dict[str, Any]) -> None:
    there = Messages().from_chat(body)

    assert Messages().read(json.dumps(there).encode()).body == there
    assert Messages().to_chat(there) == body


@settings(max_examples=100)
@given(conversations())
def test_turns_are_legal_for_anthropic(body: dict[str, Any]) -> None:
    """Results stand together, first, and right behind the calls that they answer."""
    messages: Any = Messages().from_chat(body)["messages"]
    for place, message in enumerate(messages):
        blocks = message["content"] if isinstance(message["content"], list) else [said(message["content"])]
        assert blocks
        kinds = [block["type"] for block in blocks]
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert "tool_result" not in kinds[len(answered) :]
        before = messages[place - 1]["content"] if place else []
        called = [block["id"] for block in before if block["type"] == "tool_use"] if isinstance(before, list) else []
        assert answered == called
