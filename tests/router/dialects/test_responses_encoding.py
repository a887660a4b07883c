from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, get_args

from openai.types.responses import Response, ResponseStreamEvent

from registry.entities import Usage
from router.dialects.protocol import AnswerFacts, Request
from router.dialects.responses.dialect import Responses
from router.sse import EventReader

DIALECT = Responses()
FACTS = AnswerFacts("019a", "gpt-5.4", datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
PATCH = {"type": "custom", "name": "apply_patch"}
SEARCH = {"type": "namespace", "name": "crm", "description": "", "tools": [{"type": "function", "name": "find"}]}
REQUEST: dict[str, Any] = {
    "model": "gpt-5.4",
    "input": "hello",
    "instructions": "Be short.",
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}, PATCH, SEARCH],
    "metadata": {"team": "a"},
}
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 3,
    "total_tokens": 10,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
_EVENTS = {
    get_args(event.model_fields["type"].annotation)[0]: event for event in get_args(get_args(ResponseStreamEvent)[0])
}


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "m", "choices": [choice], **more}


def called(index: int, arguments: str, name: str = "", call_id: str = "") -> dict[str, Any]:
    head = {"id": call_id, "type": "function"} if name else {}
    function = {**({"name": name} if name else {}), "arguments": arguments}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def validated(event: dict[str, Any]) -> dict[str, Any]:
    """Check an event, and what it holds, against the type that the SDK has for it."""
    _EVENTS[event["type"]].model_validate(event)
    return event


def parsed(frames: bytes) -> list[dict[str, Any]]:
    for frame in frames.split(b"\n\n")[:-1]:
        name, data = frame.split(b"\n")
        assert name == b"event: " + json.loads(data[6:])["type"].encode()
    return [validated(json.loads(data)) for data in EventReader().feed(frames)]


def encoded(*chunks: dict[str, Any], usage: Usage | None = None, request: Any = None) -> list[dict[str, Any]]:
    encoder = DIALECT.encoder(FACTS, Request(request or REQUEST, "gpt-5.4", stream=True, wants_usage=True))
    frames = b"".join(encoder.feed(one) for one in chunks) + encoder.finish(usage)
    events = parsed(frames)
    assert [event["sequence_number"] for event in events] == [*range(len(events))]
    return events


def told(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == f"response.{kind}"]


def test_text_is_told_in_the_events_of_one_message() -> None:
    events = encoded(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk(finish="stop"),
        {"choices": [], "usage": USAGE},
    )

    assert told(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["delta"] for event in of(events, "output_text.delta")] == ["Hel", "lo"]
    answer = events[-1]["response"]
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_019a_0", "role": "assistant", "status": "completed", "content": [part]}
    assert answer["output"] == [message] == [event["item"] for event in of(events, "output_item.done")]
    assert (answer["id"], answer["model"], answer["status"]) == ("resp_019a", "gpt-5.4", "completed")
    assert answer["usage"] == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 10,
    }


def test_an_answer_repeats_what_its_request_asked() -> None:
    answer = encoded(chunk({"content": "x"}))[-1]["response"]

    assert {field: answer[field] for field in ("instructions", "tools", "metadata")} == {
        field: REQUEST[field] for field in ("instructions", "tools", "metadata")
    }
    assert (answer["tool_choice"], answer["parallel_tool_calls"], answer["store"]) == ("auto", True, False)


def test_usage_comes_from_the_lane_where_no_chunk_has_it() -> None:
    counted = encoded(chunk({"content": "x"}), usage=Usage(5, 2, "tokenizer"))[-1]["response"]["usage"]
    unknown = encoded(chunk({"content": "x"}))[-1]["response"]["usage"]

    assert (counted["input_tokens"], counted["output_tokens"], counted["total_tokens"]) == (5, 2, 7)
    assert unknown is None


def test_reasoning_text_and_calls_follow_each_other() -> None:
    events = encoded(
        chunk({"reasoning_content": "Hm"}),
        chunk({"reasoning_content": "m."}),
        chunk({"content": "Look:"}),
        chunk(called(0, "", "f", "c1")),
        chunk(called(0, '{"a":1}')),
        chunk(finish="tool_calls"),
    )

    assert told(events)[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert [event["output_index"] for event in of(events, "output_item.done")] == [0, 1, 2]
    reasoning, _, call = events[-1]["response"]["output"]
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Hmm."}]
    assert (call["type"], call["name"], call["arguments"], call["call_id"]) == ("function_call", "f", '{"a":1}', "c1")


def test_calls_may_interleave() -> None:
    events = encoded(
        chunk(called(0, '{"a', "f", "c1")),
        chunk(called(1, '{"b', "f", "c2")),
        chunk(called(0, '":1}')),
        chunk(called(1, '":2}')),
        chunk(finish="tool_calls"),
    )

    deltas = of(events, "function_call_arguments.delta")
    assert [(event["output_index"], event["item_id"]) for event in deltas] == [
        (0, "fc_019a_0"),
        (1, "fc_019a_1"),
        (0, "fc_019a_0"),
        (1, "fc_019a_1"),
    ]
    assert [item["arguments"] for item in events[-1]["response"]["output"]] == ['{"a":1}', '{"b":2}']


def test_a_call_of_a_custom_tool_is_told_as_free_text() -> None:
    pieces = ['{"in', 'put": "*** \\', "u00e9", '\\n"', "}"]
    events = encoded(chunk(called(0, "", "apply_patch", "c1")), *(chunk(called(0, piece)) for piece in pieces))

    assert [event["delta"] for event in of(events, "custom_tool_call_input.delta")] == ["*** é\n"]
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["call_id"], item["input"]) == ("custom_tool_call", "c1", "*** é\n")


def test_a_model_that_ignores_the_wrapping_has_said_the_free_text() -> None:
    for arguments in ("*** Begin", '["x"]', '{"patch": "x"}'):
        (item,) = encoded(chunk(called(0, arguments, "apply_patch", "c1")))[-1]["response"]["output"]
        assert item["input"] == arguments


def test_a_call_in_a_namespace_names_it() -> None:
    (item,) = encoded(chunk(called(0, "{}", "crm__find", "c1")))[-1]["response"]["output"]

    assert (item["namespace"], item["name"]) == ("crm", "find")


def test_an_answer_cut_by_the_limit_is_incomplete() -> None:
    events = encoded(chunk({"content": "So"}), chunk(finish="length"))

    answer = events[-1]["response"]
    assert told(events)[-1] == answer["status"] == answer["output"][0]["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
    filtered = encoded(chunk({"content": "So"}, "content_filter"))[-1]["response"]
    assert filtered["incomplete_details"] == {"reason": "content_filter"}


def test_a_free_text_call_that_was_cut_short_is_never_done() -> None:
    events = encoded(
        chunk({"content": "a"}), chunk(called(0, '{"input":"*** Be', "apply_patch")), chunk(finish="length")
    )

    assert [event["item"]["type"] for event in of(events, "output_item.done")] == ["message"]
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["message"]


def test_a_refusal_is_a_part_of_its_own() -> None:
    events = encoded(chunk({"content": "I "}), chunk({"refusal": "must"}), chunk({"refusal": " not"}))

    (message,) = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "must not"
    assert [event["content_index"] for event in of(events, "content_part.done")] == [0, 1]


def test_an_empty_answer_is_an_empty_message() -> None:
    (message,) = encoded(chunk(finish="stop"))[-1]["response"]["output"]

    assert message["content"][0]["text"] == ""


def test_other_choices_and_empty_lists_of_calls_are_nothing() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "B"}, "finish_reason": "length"}]}
    events = encoded(other, chunk({"content": "A", "tool_calls": []}, "stop"))

    assert Response.model_validate(events[-1]["response"]).output_text == "A"
    assert events[-1]["response"]["status"] == "completed"


def test_what_an_earlier_chunk_said_of_the_end_holds() -> None:
    answer = encoded(chunk({"content": "So"}, "length", usage=USAGE), chunk())[-1]["response"]

    assert (answer["status"], answer["usage"]["total_tokens"]) == ("incomplete", 10)


def test_nothing_is_final_before_the_end() -> None:
    encoder = DIALECT.encoder(FACTS, Request(REQUEST, "gpt-5.4", stream=True, wants_usage=True))
    frames = encoder.feed(chunk({"content": "x"})) + encoder.feed(chunk(finish="stop"))

    assert b"response.completed" not in frames
    assert b".done" not in frames
