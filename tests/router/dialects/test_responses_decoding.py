from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from registry.errors import UpstreamError
from router.assembly import ChunkAssembly
from router.dialects.protocol import Decoder
from router.dialects.responses.dialect import Responses
from tests.router.dialects.test_responses_encoding import USAGE, called, chunk, encoded, validated

DIALECT = Responses()


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "sequence_number": 0, "output_index": 0, "item_id": "i", **fields}


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": "i", **fields}


CREATED = {"type": "response.created", "response": {"id": "resp_1", "created_at": 5, "model": "m"}}
DONE = event("completed", response={"id": "resp_1", "status": "completed", "output": []})
CALL = item("function_call", call_id="c1", name="f", arguments="")


def decoded(*events: dict[str, Any]) -> tuple[Decoder, list[Any]]:
    decoder = DIALECT.decoder()
    return decoder, [chunk for one in events for chunk in decoder.feed(json.dumps(one).encode())]


def message(*events: dict[str, Any]) -> Any:
    """Return what a chat client puts together from the events of a whole answer."""
    decoder, chunks = decoded(CREATED, *events)
    assert decoder.ended
    assembly = ChunkAssembly()
    for one in chunks:
        ChatCompletionChunk.model_validate(one)
        assembly.add(one)
    whole: Any = assembly.completion()
    return whole["choices"][0]["message"]


def arguments(*events: dict[str, Any]) -> list[str]:
    return [call["function"]["arguments"] for call in message(*events, DONE)["tool_calls"]]


def test_text_comes_as_chunks_and_usage_in_the_last_one() -> None:
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    end = event("completed", response={"status": "completed", "output": [], "usage": usage})
    decoder, chunks = decoded(CREATED, event("output_text.delta", delta="Hi", content_index=0), end)

    head = {"id": "resp_1", "created": 5, "model": "m", "object": "chat.completion.chunk"}
    said, finish, counted = chunks
    assert said == {
        **head,
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}],
    }
    assert finish["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert (counted["choices"], counted["usage"]["prompt_tokens"]) == ([], 7)
    assert decoder.ended


def test_nothing_is_said_before_the_first_output() -> None:
    decoder, chunks = decoded(CREATED, event("in_progress", response={}), {"type": "keepalive"}, event("queued"))

    assert chunks == []
    assert not decoder.ended


def test_text_that_only_a_done_event_has_is_not_lost_and_not_said_twice() -> None:
    part = {"type": "output_text", "text": "Hello"}
    whole = [
        event("output_text.done", text="Hello", content_index=0),
        event("content_part.done", part=part, content_index=0),
        event("output_item.done", item=item("message", content=[part])),
    ]

    assert message(*whole, DONE)["content"] == "Hello"
    assert message(*whole[2:], DONE)["content"] == "Hello"
    assert message(event("output_text.delta", delta="Hel", content_index=0), *whole, DONE)["content"] == "Hello"


def test_an_answer_that_only_the_final_response_has_is_not_lost() -> None:
    output = [item("message", content=[{"type": "output_text", "text": "Hello"}]), {**CALL, "arguments": "{}"}]
    said = message(event("completed", response={"output": output}))

    assert (said["content"], said["tool_calls"][0]["function"]["arguments"]) == ("Hello", "{}")


def test_arguments_that_only_a_done_event_has_are_not_lost() -> None:
    added = event("output_item.added", item=CALL)
    done = event("function_call_arguments.done", arguments='{"a":1}')
    whole = event("output_item.done", item={**CALL, "arguments": '{"a":1}'})

    assert arguments(added, done, whole) == arguments(added, whole) == arguments(whole) == ['{"a":1}']


def test_a_call_is_named_once() -> None:
    _, chunks = decoded(event("output_item.added", item=CALL), event("output_item.done", item=CALL))

    assert [one["choices"][0]["delta"]["tool_calls"][0]["id"] for one in chunks] == ["c1"]


def test_a_final_response_that_leaves_items_out_repeats_nothing() -> None:
    part = {"type": "output_text", "text": "Hello"}
    delta = event("output_text.delta", output_index=1, delta="Hello", content_index=0)
    end = event("completed", response={"output": [item("message", content=[part])]})

    assert message(delta, end)["content"] == "Hello"


def test_empty_arguments_stay_empty_beside_a_second_call() -> None:
    other = {**CALL, "call_id": "c2", "arguments": "{}"}
    first = [event("output_item.added", item=CALL), event("function_call_arguments.done", arguments="")]

    assert arguments(*first, event("output_item.done", output_index=1, item=other)) == ["", "{}"]


def test_where_a_done_event_differs_from_its_deltas_the_deltas_stand() -> None:
    assert arguments(
        event("output_item.added", item=CALL),
        event("function_call_arguments.delta", delta='{"a":1}'),
        event("function_call_arguments.done", arguments='{"a": 1}'),
    ) == ['{"a":1}']


def test_free_text_is_wrapped_as_arguments() -> None:
    call = item("custom_tool_call", call_id="c1", name="apply_patch", input="")
    added = event("output_item.added", item=call)
    deltas = [event("custom_tool_call_input.delta", delta=piece) for piece in ('*** "', "\n", "é")]
    done = event("custom_tool_call_input.done", input='*** "\né')
    whole = event("output_item.done", item={**call, "input": '*** "\né'})

    assert [json.loads(one) for one in arguments(added, *deltas, done, whole)] == [{"input": '*** "\né'}]
    assert [json.loads(one) for one in arguments(event("output_item.done", item={**call, "input": "x"}))] == [
        {"input": "x"}
    ]


def test_reasoning_is_told_in_paragraphs() -> None:
    said = message(
        event("reasoning_summary_text.delta", delta="A", summary_index=0),
        event("reasoning_summary_text.done", text="A", summary_index=0),
        event("reasoning_summary_text.delta", delta="B", summary_index=1),
        event("reasoning_summary_text.delta", delta="b", summary_index=1),
        event("reasoning_text.delta", output_index=1, delta="C", content_index=0),
        DONE,
    )

    assert said["reasoning_content"] == "A\n\nBbC"


@pytest.mark.parametrize(
    "failure",
    [
        event("failed", response={"status": "failed", "error": {"code": "server_error", "message": "boom"}}),
        event("failed", response={"error": {"message": "boom"}}),
        {"type": "error", "message": "boom", "code": None, "param": None, "sequence_number": 1},
        {"type": "error", "error": {"type": "server_error", "message": "boom"}},
        event("completed", response={"status": "failed", "error": {"message": "boom"}}),
    ],
)
def test_a_failure_is_an_upstream_error_that_quotes_it(failure: dict[str, Any]) -> None:
    with pytest.raises(UpstreamError, match="boom"):
        decoded(CREATED, failure)


@pytest.mark.parametrize("data", [b"nonsense", b"[1]"])
def test_what_is_no_event_is_an_upstream_error(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        DIALECT.decoder().feed(data)


def test_the_end_mark_of_chat_ends_nothing() -> None:
    decoder = DIALECT.decoder()

    assert decoder.feed(b"[DONE]") == []
    assert not decoder.ended


def test_an_incomplete_answer_has_ended_cut() -> None:
    end = event("incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}})
    decoder, chunks = decoded(CREATED, event("output_text.delta", delta="Hi", content_index=0), end)

    assert decoder.ended
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def pieces_of(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[left:right] for left, right in zip(edges, edges[1:], strict=False)]


cuts = st.lists(st.integers(0, 60), max_size=6)
json_texts = st.dictionaries(st.text(max_size=4), st.text(max_size=8) | st.integers(), max_size=3).map(json.dumps)


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Chunks of one answer: the deltas of its text and calls in any order that keeps each one's own."""
    calls = draw(st.lists(st.tuples(json_texts | st.just(""), cuts), max_size=3))
    tracks = [[chunk({field: piece}) for piece in draw(st.lists(st.text(max_size=5)))] for field in _TEXTS]
    for place, (text, edges) in enumerate(calls):
        opening = chunk(called(place, "", draw(st.sampled_from(["f", "g"])), f"c{place}"))
        tracks.append([opening, *(chunk(called(place, piece)) for piece in pieces_of(text, edges))])
    mixed: list[dict[str, Any]] = []
    while any(tracks):
        mixed.append(draw(st.sampled_from([track for track in tracks if track])).pop(0))
    return [*mixed, chunk(finish=draw(st.sampled_from(["stop", "length"]))), {"choices": [], "usage": USAGE}]


_TEXTS = ("content", "reasoning_content")


def put_together(chunks: list[dict[str, Any]]) -> Any:
    assembly = ChunkAssembly()
    for one in chunks:
        assembly.add(one)
    whole: Any = assembly.completion()
    return whole["choices"][0]["message"], assembly.usage


@settings(max_examples=200, deadline=None)
@given(streams())
def test_streams_survive_the_way_there_and_back(chunks: list[dict[str, Any]]) -> None:
    events = encoded(*chunks)
    decoder, back = decoded(*map(validated, events))

    sent, usage = put_together(chunks)
    came, counted = put_together(back)
    by_id = {call["id"]: call for call in came.get("tool_calls", ())}
    assert by_id == {call["id"]: call for call in sent.get("tool_calls", ())}
    assert [came.get(field) or "" for field in _TEXTS] == [sent.get(field) or "" for field in _TEXTS]
    assert counted["prompt_tokens"] == usage["prompt_tokens"]
    assert decoder.ended
