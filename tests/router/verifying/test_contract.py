"""What a chat request asks of its answer: its format, and calls of its own tools with arguments of their schemas."""

from __future__ import annotations

import asyncio
import json

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.entities import Json
from router.chat import JsonObject
from router.verifying.contract import (
    INLINE_CHARS,
    MAX_TEXT_CHARS,
    FormatVerifier,
    ToolVerifier,
    contract_verifiers,
    request_tools,
)
from router.verifying.finding import Finding, Reply, ToolCall, findings_json, replies_of, verify_all
from router.verifying.schemas import SchemaShelf

DAY: Json = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
BOOK: Json = {
    "type": "object",
    "properties": {"room": {"$ref": "#/$defs/room"}, "day": {"type": "string"}},
    "required": ["room"],
    "additionalProperties": False,
    "$defs": {"room": {"enum": ["red", "blue"]}},
}
TOOLS: Json = [
    {"type": "function", "function": {"name": "book", "parameters": BOOK}},
    {"type": "function", "function": {"name": "now"}},
    {"type": "custom", "custom": {"name": "shell"}},
]
GOOD = ToolCall("book", '{"room": "red"}')


def format_request(schema: Json) -> JsonObject:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "day", "schema": schema}}}


def of_format(text: str, request: JsonObject) -> Finding:
    return asyncio.run(FormatVerifier(SchemaShelf()).verify(Reply(text), request))


def of_tools(*calls: ToolCall, text: str = "", **request: Json) -> Finding:
    verifier = ToolVerifier(SchemaShelf())
    return asyncio.run(verifier.verify(Reply(text, calls), {"tools": TOOLS, **request}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"day": "Mon"}', ""),
        ('{"day": 1}', '$.day does not satisfy type "string"'),
        ("{}", "$: 'day' is a required property"),
        ("Monday", "it is no JSON"),
        ('```json\n{"day": "Mon"}\n```', "it is no JSON"),
        ('{"day": "Mon"', "it is no JSON"),
        ('{"day": NaN}', "it is no JSON"),
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ('{"day": "' + "x" * MAX_TEXT_CHARS + '"}', "at most"),
    ],
)
def test_an_answer_must_be_json_of_the_requested_schema(text: str, why: str) -> None:
    found = of_format(text, format_request(DAY))

    assert found.ok is (why == "")
    assert why in found.why


def test_an_answer_must_be_an_object_where_only_that_was_asked_for() -> None:
    request: JsonObject = {"response_format": {"type": "json_object"}}

    assert of_format('{"a": [1]}', request) == Finding(ok=True, name="response_format")
    assert not of_format("[1]", request).ok


def test_a_long_answer_is_checked_all_the_same() -> None:
    rows = [{"day": "x" * 40}] * (INLINE_CHARS // 20)
    request = format_request({"type": "array", "items": DAY})

    assert of_format(json.dumps(rows), request).ok
    assert not of_format(json.dumps([*rows, {}]), request).ok


def test_a_schema_that_cannot_be_used_is_never_taken_for_satisfied() -> None:
    found = of_format("{}", format_request({"$ref": "https://example.com/schema"}))

    assert found == Finding(
        ok=False,
        name="response_format",
        why="no answer can be checked: the schema refers to 'https://example.com/schema'; "
        "only its own parts (#…) are looked up",
    )


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (GOOD, ""),
        (ToolCall("now", "{}"), ""),
        (ToolCall("now", '{"any": ["thing"]}'), ""),
        (ToolCall("shell", "ls -l", custom=True), ""),
        (ToolCall("cook", "{}"), "calls 'cook'; the request allows: book, now, shell"),
        (ToolCall("", "{}"), "calls ''"),
        (ToolCall("book", '{"room": "green"}'), '$.room does not satisfy enum ["red","blue"]'),
        (ToolCall("book", "{}"), "'room' is a required property"),
        (ToolCall("book", '{"room": "red", "x": 1}'), "not allowed"),
        (ToolCall("book", '{"room": "red"'), "no JSON"),
        (ToolCall("now", ""), "no JSON"),
        (ToolCall("now", "[]"), "no JSON object"),
        (ToolCall("now", '"{}"'), "no JSON object"),
    ],
)
def test_a_call_must_name_a_tool_and_have_arguments_of_its_schema(call: ToolCall, why: str) -> None:
    found = of_tools(call)

    assert found.ok is (why == "")
    assert why in found.why


def test_every_call_of_an_answer_is_checked() -> None:
    assert of_tools(GOOD, ToolCall("now", "{}")).ok
    assert not of_tools(GOOD, ToolCall("now", "{")).ok
    assert of_tools(text="no call").ok


@pytest.mark.parametrize(
    ("choice", "called", "ok"),
    [
        ("auto", True, True),
        ("auto", False, True),
        (None, False, True),
        ("required", True, True),
        ("required", False, False),
        ("none", False, True),
        ("none", True, False),
        ({"type": "function", "function": {"name": "book"}}, True, True),
        ({"type": "function", "function": {"name": "book"}}, False, False),
        ({"type": "function", "function": {"name": "now"}}, True, False),
        ({"type": "custom", "custom": {"name": "shell"}}, True, False),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOLS[0]]}}, True, True),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOLS[0]]}}, False, False),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOLS[1]]}}, True, False),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOLS[1]]}}, False, True),
    ],
)
def test_the_clients_choice_of_tools_binds_the_answer(choice: Json, called: bool, ok: bool) -> None:
    assert of_tools(*([GOOD] if called else []), text="", tool_choice=choice).ok is ok


def test_parallel_calls_are_refused_where_the_client_takes_one_at_a_time() -> None:
    assert of_tools(GOOD, GOOD, parallel_tool_calls=True).ok
    assert of_tools(GOOD, parallel_tool_calls=False).ok
    assert "2 tool calls" in of_tools(GOOD, GOOD, parallel_tool_calls=False).why


def test_a_tool_whose_schema_is_null_takes_any_arguments() -> None:
    tools: Json = [{"type": "function", "function": {"name": "now", "parameters": None}}]

    assert of_tools(ToolCall("now", '{"zone": "UTC"}'), tools=tools).ok


def test_functions_of_the_old_form_are_tools_as_well() -> None:
    request: JsonObject = {"functions": [{"name": "book", "parameters": BOOK}], "function_call": {"name": "book"}}
    message: Json = {"content": None, "function_call": {"name": "book", "arguments": "{}"}}
    (said,) = replies_of({"choices": [{"message": message}]})

    assert request_tools(request) == {"book": BOOK}
    assert said == Reply("", (ToolCall("book", "{}"),))
    assert "'room'" in asyncio.run(ToolVerifier(SchemaShelf()).verify(said, request)).why


@given(st.text(), st.text())
def test_texts_of_a_completion_are_read_as_they_are(text: str, arguments: str) -> None:
    calls: Json = [
        {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}},
        {"id": "2", "type": "custom", "custom": {"name": "c", "input": arguments}},
    ]
    response: Json = {"choices": [{"message": {"content": text, "tool_calls": calls}}, {"message": {}}]}

    said = Reply(text, (ToolCall("f", arguments), ToolCall("c", arguments, custom=True)))
    assert replies_of(response) == [said, Reply("")]


@pytest.mark.parametrize("response", [None, {}, {"choices": []}, {"choices": [{"message": None}]}, {"choices": "x"}])
def test_a_completion_without_an_answer_is_an_empty_reply(response: Json) -> None:
    assert replies_of(response) == [Reply("")]


@settings(max_examples=60)
@given(st.recursive(st.none() | st.booleans() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["tools", "function", "name", "parameters", "tool_choice", "response_format", "type",
                     "json_schema", "schema", "allowed_tools"]), inner), max_leaves=12))  # fmt: skip
def test_a_request_of_any_shape_is_judged_without_an_error(request: Json) -> None:
    body = request if isinstance(request, dict) else {"tools": request, "response_format": request}

    async def judge() -> None:
        shelf = SchemaShelf()
        for verifier in (FormatVerifier(shelf), ToolVerifier(shelf)):
            finding = await verifier.verify(Reply('{"a": 1}', (ToolCall("x", "{}"),)), body)
            assert finding.ok is not bool(finding.why)

    asyncio.run(judge())


def test_only_what_a_request_asks_for_is_verified() -> None:
    shelf = SchemaShelf()
    both: JsonObject = {"tools": TOOLS, **format_request(DAY)}

    def kinds(request: JsonObject, reply: Reply) -> list[type]:
        return [type(verifier) for verifier in contract_verifiers(request, reply, shelf)]

    assert kinds({}, Reply("x")) == []
    assert kinds({"response_format": {"type": "text"}}, Reply("x")) == []
    assert kinds({}, Reply("", (GOOD,))) == [ToolVerifier]
    assert kinds(both, Reply("x")) == [ToolVerifier, FormatVerifier]
    assert kinds(both, Reply("", (GOOD,))) == [ToolVerifier]
    assert kinds(format_request(DAY), Reply("")) == [FormatVerifier]


def test_verifying_stops_at_the_first_flaw_and_goes_into_the_ledger_as_json() -> None:
    shelf = SchemaShelf()
    request: JsonObject = {"tools": TOOLS, **format_request(DAY)}
    reply = Reply("{}", (ToolCall("cook", "{}"),))
    findings = asyncio.run(verify_all(contract_verifiers(request, reply, shelf), reply, request))

    assert [finding.name for finding in findings] == ["tool_calls"]
    why = "the answer calls 'cook'; the request allows: book, now, shell"
    assert findings_json(findings) == [{"name": "tool_calls", "ok": False, "why": why}]
    assert orjson.dumps(findings_json(findings))
