from __future__ import annotations

from typing import Any

import pytest

from router.chat_turns import Call, asks, calls, in_tool_loop, last_ask, opaque_parts, spoken
from router.dialects.known import dialects

USER: dict[str, Any] = {"role": "user", "content": "do it"}
CALLS: dict[str, Any] = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "c", "content": "1"}
ANSWER: dict[str, Any] = {"role": "assistant", "content": "done"}
REMINDER: dict[str, Any] = {"role": "user", "content": "<system-reminder>be brief</system-reminder>"}
SYSTEM: dict[str, Any] = {"role": "system", "content": "x"}


@pytest.mark.parametrize(
    ("turns", "looping", "asked"),
    [
        ([USER], False, 0),
        ([SYSTEM, USER, CALLS, RESULT], True, 1),
        ([USER, CALLS, RESULT, RESULT, REMINDER], True, 0),
        ([USER, CALLS, RESULT, CALLS, RESULT, REMINDER, SYSTEM], True, 0),
        ([USER, CALLS, RESULT, ANSWER, USER], False, 4),
        ([USER, CALLS, RESULT, ANSWER, USER, CALLS, RESULT], True, 4),
        ([USER, CALLS, RESULT, {"role": "assistant", "content": "I be"}], True, 0),
        ([USER, {"role": "assistant", "content": "{"}], False, 0),
        ([USER, ANSWER, USER, USER], False, 3),
        ([USER, {"role": "function", "name": "f", "content": "1"}], True, 0),
        ([CALLS, RESULT], True, -1),
        ([], False, -1),
    ],
)
def test_a_loop_goes_on_until_the_model_has_answered(turns: list[Any], looping: bool, asked: int) -> None:
    assert in_tool_loop(turns) is looping
    assert last_ask(turns) == asked


def test_of_users_turns_in_a_row_the_last_asks() -> None:
    assert list(asks([SYSTEM, USER, USER, ANSWER, USER, CALLS, RESULT, REMINDER, ANSWER, USER])) == [2, 4, 9]


LOOPS: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [USER, CALLS, RESULT]},
    "anthropic.messages": {
        "max_tokens": 9,
        "messages": [
            USER,
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c", "content": "1"},
                    {"type": "text", "text": "<system-reminder>be brief</system-reminder>"},
                ],
            },
        ],
    },
    "openai.responses": {
        "input": [
            USER,
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "1"},
        ]
    },
}


@pytest.mark.parametrize("surface", LOOPS)
def test_a_loop_is_seen_on_every_surface(surface: str) -> None:
    spoken_here = next(one for one in dialects() if one.surface == surface)
    turns: Any = spoken_here.to_chat({"model": "m", **LOOPS[surface]})["messages"]

    assert in_tool_loop(turns)
    assert spoken(turns[last_ask(turns)]["content"]) == "do it"


def test_the_text_of_a_content_is_that_of_its_text_parts() -> None:
    parts: Any = [{"type": "text", "text": "what is "}, {"type": "image_url"}, {"type": "text", "text": "this?"}]

    assert spoken(parts) == "what is this?"
    assert list(opaque_parts([{"role": "user", "content": parts}])) == ["image_url"]
    assert spoken(None) == ""


def test_calls_of_every_form_are_read() -> None:
    turn: Any = {
        "function_call": {"name": "old", "arguments": '{"path": "a"}'},
        "tool_calls": [
            {"function": {"name": "new", "arguments": '{"path": "b"}'}},
            {"type": "custom", "custom": {"name": "free", "input": "*** Begin Patch"}},
            {"function": {"name": "bare", "arguments": "*** Begin Patch"}},
            {"function": {"name": "list", "arguments": "[1]"}},
            {"function": {"name": "none"}},
        ],
    }

    assert list(calls(turn)) == [
        Call("old", {"path": "a"}),
        Call("new", {"path": "b"}),
        Call("free", {"input": "*** Begin Patch"}),
        Call("bare", {"input": "*** Begin Patch"}),
        Call("list", {}),
        Call("none", {}),
    ]
