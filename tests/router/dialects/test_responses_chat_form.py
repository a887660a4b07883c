from __future__ import annotations

import json
from typing import Any

from registry.prompting import prompt_of
from router.dialects.responses.dialect import Responses

DIALECT = Responses()
GRAMMAR = "start: begin_patch"
EMPTY = {"type": "object", "properties": {}}

CODEX: dict[str, Any] = {
    "model": "gpt-5.4",
    "instructions": "You are a coding agent.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "<permissions>"}]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "<env>"}, {"type": "input_text", "text": "Fix the bug"}],
        },
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Look."}], "encrypted_content": "gAAA"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
        {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "c1"},
        {"type": "function_call", "name": "shell", "arguments": "", "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c1", "output": "a.py"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "none"}]},
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": '*** Begin "Patch"', "call_id": "c3"},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "Done!"},
    ],
    "tools": [
        {"type": "function", "name": "shell", "description": "Runs.", "parameters": EMPTY, "strict": False},
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits.",
            "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
        },
        {
            "type": "namespace",
            "name": "mcp__git__",
            "description": "Git.",
            "tools": [{"type": "function", "name": "log", "parameters": EMPTY}],
        },
        {"type": "web_search", "external_web_access": False},
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "019a",
    "text": {"verbosity": "low"},
    "client_metadata": {"x-codex-installation-id": "i1"},
}


def tool_call(name: str, arguments: str, call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_request_of_codex_in_chat() -> None:
    chat: Any = DIALECT.to_chat(DIALECT.read(json.dumps(CODEX).encode()).body)

    assert chat["messages"] == [
        {"role": "system", "content": "You are a coding agent."},
        {"role": "developer", "content": "<permissions>"},
        {"role": "user", "content": [{"type": "text", "text": "<env>"}, {"type": "text", "text": "Fix the bug"}]},
        {
            "role": "assistant",
            "content": "Let me see.",
            "reasoning_content": "Look.",
            "tool_calls": [tool_call("shell", '{"command":["ls"]}', "c1"), tool_call("shell", "", "c2")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "a.py"},
        {"role": "tool", "tool_call_id": "c2", "content": "none"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [tool_call("apply_patch", '{"input":"*** Begin \\"Patch\\""}', "c3")],
        },
        {"role": "tool", "tool_call_id": "c3", "content": "Done!"},
    ]
    free_text = {"type": "string", "description": f"lark grammar:\n{GRAMMAR}"}
    wrapped = {"type": "object", "properties": {"input": free_text}, "required": ["input"]}
    assert [tool["function"] for tool in chat["tools"]] == [
        {"name": "shell", "description": "Runs.", "parameters": EMPTY, "strict": False},
        {"name": "apply_patch", "description": "Edits.", "parameters": {**wrapped, "additionalProperties": False}},
        {"name": "mcp__git__log", "parameters": EMPTY},
    ]
    del chat["messages"], chat["tools"]
    assert chat == {
        "model": "gpt-5.4",
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning_effort": "medium",
        "store": False,
        "stream": True,
        "prompt_cache_key": "019a",
        "verbosity": "low",
        "web_search_options": {},
    }


def test_a_bare_string_is_a_single_turn() -> None:
    chat = DIALECT.to_chat({"model": "auto", "input": "Name it", "instructions": "Be short"})

    prompt = prompt_of(chat["messages"])
    assert prompt is not None
    assert (prompt.system, prompt.user) == ("Be short", "Name it")


def content_in_chat(*parts: Any) -> Any:
    chat: Any = DIALECT.to_chat({"model": "m", "input": [{"role": "user", "content": [*parts]}]})
    return chat["messages"][0]["content"]


def test_images_and_files_have_chat_forms() -> None:
    assert content_in_chat(
        {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        {"type": "input_image", "file_id": "file-1", "detail": "auto"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"},
    ) == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA", "filename": "a.pdf"}},
    ]


def test_a_part_that_chat_lacks_stays_so_that_nobody_answers_without_it() -> None:
    part = {"type": "input_file", "file_url": "https://example.org/a.pdf"}

    assert content_in_chat(part) == [part]


def test_text_behind_calls_joins_their_message_so_that_outputs_follow_at_once() -> None:
    chat: Any = DIALECT.to_chat(
        {
            "model": "m",
            "input": [
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"role": "assistant", "content": "and "},
                {"role": "assistant", "content": "then"},
                {"type": "function_call_output", "call_id": "c1", "output": "1"},
            ],
        }
    )

    assert [message["role"] for message in chat["messages"]] == ["assistant", "tool"]
    assert chat["messages"][0]["content"] == "and then"


def test_what_the_model_said_twice_stays_two_messages() -> None:
    said = [{"role": "assistant", "content": text} for text in ("a", "b")]
    chat: Any = DIALECT.to_chat({"model": "m", "input": said})

    assert [message["content"] for message in chat["messages"]] == ["a", "b"]


def test_empty_contents_are_empty_strings() -> None:
    items: Any = DIALECT.from_chat({"model": "m", "messages": [{"role": "assistant", "content": None}]})["input"]

    assert items == [{"type": "message", "role": "assistant", "content": ""}]
    assert content_in_chat() == ""


def test_parts_are_output_where_the_model_spoke_and_input_elsewhere() -> None:
    parts = [{"type": "text", "text": text} for text in "ab"]
    turns = [{"role": role, "content": parts} for role in ("developer", "user", "assistant")]
    items: Any = DIALECT.from_chat({"model": "m", "messages": turns})["input"]

    assert [item["content"][0]["type"] for item in items] == ["input_text", "input_text", "output_text"]


def test_agents_of_codex_speak_as_users() -> None:
    parts = [{"type": "input_text", "text": "Task: "}, {"type": "encrypted_content", "encrypted_content": "plain"}]
    chat: Any = DIALECT.to_chat({"model": "m", "input": [{"type": "agent_message", "author": "/", "content": parts}]})

    texts = [{"type": "text", "text": "Task: "}, {"type": "text", "text": "plain"}]
    assert chat["messages"] == [{"role": "user", "content": texts}]


def test_a_call_in_a_namespace_has_its_name_in_chat() -> None:
    call = {"type": "function_call", "call_id": "c", "namespace": "crm", "name": "find", "arguments": "{}"}
    chat: Any = DIALECT.to_chat({"model": "m", "input": [call]})

    assert chat["messages"][0]["tool_calls"] == [tool_call("crm__find", "{}", "c")]


def test_tools_that_items_bring_are_offered_too() -> None:
    brought = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]}
    chat: Any = DIALECT.to_chat({"model": "m", "input": [brought, {"role": "user", "content": "x"}]})

    assert [tool["function"]["name"] for tool in chat["tools"]] == ["late"]


def test_choices_of_a_custom_tool_and_of_a_hosted_one() -> None:
    tools = [{"type": "custom", "name": "apply_patch"}]
    custom: Any = DIALECT.to_chat(
        {"model": "m", "input": "x", "tools": tools, "tool_choice": {"type": "custom", "name": "apply_patch"}}
    )
    hosted = DIALECT.to_chat({"model": "m", "input": "x", "tools": tools, "tool_choice": {"type": "file_search"}})

    assert custom["tool_choice"] == {"type": "function", "function": {"name": "apply_patch"}}
    assert "tool_choice" not in hosted


def test_choices_without_tools_are_left_out_as_chat_refuses_them() -> None:
    chat = DIALECT.to_chat({"model": "m", "input": "x", "tool_choice": "auto", "parallel_tool_calls": True})

    assert not {"tool_choice", "parallel_tool_calls", "tools"} & set(chat)


def test_a_chat_request_of_the_old_words() -> None:
    assert DIALECT.from_chat(
        {
            "model": "m",
            "messages": [{"role": "user", "content": "x"}],
            "max_tokens": 20,
            "stop": ["\n"],
            "n": 1,
            "stream_options": {"include_usage": True},
            "tools": [{"type": "function", "function": {"name": "f"}}],
        }
    ) == {
        "model": "m",
        "store": False,
        "input": [{"type": "message", "role": "user", "content": "x"}],
        "max_output_tokens": 20,
        "tools": [{"type": "function", "name": "f", "parameters": EMPTY, "strict": False}],
    }


def test_a_custom_tool_of_chat_is_one_here() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    call = {"id": "c1", "type": "custom", "custom": {"name": "t", "input": "aa"}}
    made: Any = DIALECT.from_chat(
        {
            "model": "m",
            "messages": [
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "ok"},
            ],
            "tools": [{"type": "custom", "custom": {"name": "t", "format": grammar}}],
        }
    )

    assert made["tools"] == [
        {"type": "custom", "name": "t", "format": {"type": "grammar", "syntax": "regex", "definition": "a+"}}
    ]
    assert [item["type"] for item in made["input"]] == ["custom_tool_call", "custom_tool_call_output"]
