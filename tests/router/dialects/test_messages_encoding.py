from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.entities import Usage
from registry.errors import UpstreamError
from router.dialects.messages.dialect import Messages
from router.dialects.messages.request import UNSIGNED
from router.dialects.protocol import AnswerFacts, Request
from tests.router.dialects.test_messages_decoding import decoded
from tests.router.dialects.test_messages_grammar import events_of, message_of
from tests.router.making import NOON

FACTS = AnswerFacts("0190-1", "claude-opus-5-5", NOON)
COUNTS = {"prompt_tokens": 30, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 10}}


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def piece(index: int, arguments: str | None = None, **first: Any) -> dict[str, Any]:
    """Return a delta of a tool call; its first one has id and name."""
    function = {
        **({"name": first.pop("name")} if first else {}),
        **({} if arguments is None else {"arguments": arguments}),
    }
    return chunk(tool_calls=[{"index": index, **first, "function": function}])


def begun(index: int, arguments: str = "") -> dict[str, Any]:
    return piece(index, arguments, id=f"call_{index}", type="function", name=f"f{index}")


def encoder(**body: Any) -> Any:
    return Messages().encoder(FACTS, Request({"thinking": {"type": "adaptive"}, **body}, "auto", True, True))


def encoded(*chunks: dict[str, Any], usage: Usage | None = None, **body: Any) -> bytes:
    writer = encoder(**body)
    return b"".join(writer.feed(each) for each in chunks) + bytes(writer.finish(usage))


def content(*chunks: dict[str, Any]) -> Any:
    return message_of(encoded(*chunks))["content"]


def test_text_streams_as_it_comes() -> None:
    writer = encoder()

    first = events_of(writer.feed(chunk(role="assistant", content="")))
    second = events_of(writer.feed(chunk(content="Hel")))
    third = events_of(writer.feed(chunk(content="lo")))
    fourth = events_of(writer.feed(chunk("stop")))
    silent = writer.feed({"choices": [], "usage": COUNTS})
    last = events_of(writer.finish(None))

    assert [event["type"] for event in first] == ["message_start"]
    assert first[0]["message"]["id"] == "msg_0190-1"
    assert first[0]["message"]["model"] == "claude-opus-5-5"
    assert [event["type"] for event in second] == ["content_block_start", "content_block_delta"]
    assert [event["delta"] for event in third] == [{"type": "text_delta", "text": "lo"}]
    assert [event["type"] for event in fourth] == ["content_block_stop"]
    assert silent == b""
    assert last == [
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 20,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 10,
                "output_tokens": 9,
            },
        },
        {"type": "message_stop"},
    ]


def test_reasoning_text_and_a_call_in_one_turn() -> None:
    chunks = [
        chunk(role="assistant", reasoning_content="h"),
        chunk(reasoning_content="m"),
        chunk(content="I'll check.", tool_calls=[]),
        begun(0),
        piece(0, '{"a'),
        piece(0, '":1}'),
        chunk("tool_calls"),
    ]

    message = message_of(encoded(*chunks))

    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": UNSIGNED},
        {"type": "text", "text": "I'll check."},
        {"type": "tool_use", "id": "call_0", "name": "f0", "input": {}, "json": '{"a":1}'},
    ]
    assert message["stop_reason"] == "tool_use"


def test_thinking_is_not_shown_to_who_did_not_ask() -> None:
    raw = encoded(chunk(reasoning_content="hm"), chunk(content="4"), chunk("stop"), thinking={"type": "disabled"})

    assert message_of(raw)["content"] == [{"type": "text", "text": "4"}]


def test_a_signature_stays_with_its_thinking() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "EqQB"}
    opaque = {"type": "redacted_thinking", "data": "x"}

    blocks = content(
        chunk(reasoning_content="hm"),
        chunk(thinking_blocks=[signed]),
        chunk(thinking_blocks=[opaque]),
        chunk(content="4"),
    )

    assert blocks == [signed, opaque, {"type": "text", "text": "4"}]


def test_a_signature_of_thinking_that_nobody_shows_is_a_block() -> None:
    signed = {"type": "thinking", "thinking": "", "signature": "EqQB"}

    assert content(chunk(thinking_blocks=[signed]), chunk(content="4")) == [signed, {"type": "text", "text": "4"}]


def test_the_second_call_streams_once_the_first_is_whole() -> None:
    writer = encoder()
    writer.feed(begun(0, '{"a":1}'))

    second = events_of(writer.feed(begun(1, '{"b"')))

    assert [event["type"] for event in second] == ["content_block_stop", "content_block_start", "content_block_delta"]


def test_calls_in_turn_are_put_one_behind_the_other() -> None:
    blocks = content(begun(0), begun(1), piece(1, '{"b":"\\u00'), piece(0, '{"a'), piece(1, 'e9"}'), piece(0, '":1}'))

    assert [(block["id"], block["json"]) for block in blocks] == [
        ("call_0", '{"a":1}'),
        ("call_1", '{"b":"\\u00e9"}'),
    ]


def test_a_call_without_arguments_before_another_invents_nothing() -> None:
    raw = encoded(begun(0), begun(1, '{"b":2}'), chunk("tool_calls"))

    deltas = [event["delta"] for event in events_of(raw) if event["type"] == "content_block_delta"]
    assert deltas == [{"type": "input_json_delta", "partial_json": '{"b":2}'}]
    assert [block["json"] for block in message_of(raw)["content"]] == ["", '{"b":2}']


def test_text_between_calls_keeps_its_place() -> None:
    blocks = content(begun(0, '{"a":1}'), chunk(content="and"), begun(1, "{}"))

    assert [block["type"] for block in blocks] == ["tool_use", "text", "tool_use"]


def test_arguments_after_their_end_are_a_failure_and_white_space_is_not() -> None:
    writer = encoder()
    writer.feed(begun(0, '{"a":1}'))
    writer.feed(begun(1, "{"))

    assert writer.feed(piece(0, " \n")) == b""
    with pytest.raises(UpstreamError, match="f0"):
        writer.feed(piece(0, '{"a":1}'))


def test_ids_are_made_legal_or_made() -> None:
    named = piece(0, "{}", id="functions.f:0", name="f")
    nameless = chunk(tool_calls=[{"index": 1, "function": {"name": "g", "arguments": "{}"}}])

    assert [block["id"] for block in content(named, nameless)] == ["functions_f_0", "toolu_019011"]


@pytest.mark.parametrize(
    ("finish", "said", "stop"),
    [
        ("stop", {"content": "x"}, "end_turn"),
        ("length", {"content": "x"}, "max_tokens"),
        ("content_filter", {}, "refusal"),
        ("stop", {"refusal": "I will not."}, "refusal"),
        ("stop", begun(0)["choices"][0]["delta"], "tool_use"),
        (None, {"content": "x"}, "end_turn"),
    ],
)
def test_reasons_to_stop(finish: str | None, said: dict[str, Any], stop: str) -> None:
    assert message_of(encoded(chunk(**said), chunk(finish)))["stop_reason"] == stop


def test_counts_are_the_upstreams_else_the_routers_else_estimates() -> None:
    said, counted = chunk(content="four" * 5), {"choices": [], "usage": COUNTS}

    assert message_of(encoded(said, counted, usage=Usage(1, 2, "upstream")))["usage"]["output_tokens"] == 9
    assert message_of(encoded(said, usage=Usage(7, 2, "tokenizer")))["usage"]["input_tokens"] == 7
    estimated = message_of(encoded(said, messages=[{"role": "user", "content": "x" * 40}]))["usage"]
    assert estimated["input_tokens"] >= 10
    assert estimated["output_tokens"] == 5


def test_a_call_that_is_named_late_begins_late() -> None:
    late = chunk(tool_calls=[{"index": 0, "id": "call_0", "function": {"name": "f"}}])

    assert content(piece(0, '{"a"'), late, piece(0, ":1}")) == [
        {"type": "tool_use", "id": "call_0", "name": "f", "input": {}, "json": '{"a":1}'}
    ]


def test_counts_beside_choices_leave_the_reason_to_stop() -> None:
    counted = {**chunk(content=""), "usage": COUNTS}

    message = message_of(encoded(chunk(content="x"), chunk("length"), counted))

    assert message["stop_reason"] == "max_tokens"
    assert message["usage"]["output_tokens"] == 9


def test_an_answer_of_nothing_is_still_legal() -> None:
    assert message_of(encoded())["content"] == []


def test_other_choices_are_not_this_answer() -> None:
    other = {"choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": None}]}

    assert content(chunk(content="yes"), other) == [{"type": "text", "text": "yes"}]


PIECES = st.text(min_size=1, max_size=8)
INPUTS = st.dictionaries(
    st.text(max_size=4), st.text(max_size=8) | st.integers() | st.lists(st.text(max_size=4), max_size=3), max_size=3
)


@st.composite
def arguments(draw: Any) -> str:
    whole = json.dumps(draw(INPUTS), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    return whole[: draw(st.integers(1, len(whole)))] if draw(st.integers(0, 9)) == 0 else whole


def split(draw: Any, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=4)) | {0, len(text)})
    return [text[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


@st.composite
def answers(draw: Any) -> tuple[list[dict[str, Any]], str, str, list[str]]:
    """Return chunks of a turn, and the text, the reasoning and the arguments of each call that they hold."""
    chunks, thought, said, called = [chunk(role="assistant", content="")], "", "", []
    for kind in draw(st.lists(st.sampled_from(["reasoning_content", "content", "calls"]), max_size=4)):
        if kind == "calls":
            lanes = []
            for _ in range(draw(st.integers(1, 3))):
                called.append(draw(arguments()))
                index = len(called) - 1
                lanes.append([begun(index), *(piece(index, part) for part in split(draw, called[-1]))])
            while any(lanes):
                lane = draw(st.sampled_from([lane for lane in lanes if lane]))
                chunks.append(lane.pop(0))
            continue
        text = draw(PIECES)
        chunks += [chunk(**{kind: part}) for part in split(draw, text)]
        thought, said = (thought + text, said) if kind == "reasoning_content" else (thought, said + text)
    finish = "tool_calls" if called else draw(st.sampled_from(["stop", "length"]))
    return [*chunks, chunk(finish), {"choices": [], "usage": COUNTS}], said, thought, called


@settings(max_examples=200)
@given(answers())
def test_any_turn_makes_a_legal_stream_and_comes_back_byte_for_byte(
    answer: tuple[list[dict[str, Any]], str, str, list[str]],
) -> None:
    chunks, said, thought, called = answer

    raw = encoded(*chunks)

    sent = {f"call_{index}": arguments for index, arguments in enumerate(called)}
    blocks = message_of(raw)["content"]
    assert {block["id"]: block["json"] for block in blocks if block["type"] == "tool_use"} == sent
    _, back = decoded(raw)
    message = back["choices"][0]["message"]
    assert message.get("content") == said
    assert message.get("reasoning_content", "") == thought
    assert {call["id"]: call["function"]["arguments"] for call in message.get("tool_calls", [])} == sent
    assert back["choices"][0]["finish_reason"] == chunks[-2]["choices"][0]["finish_reason"]
    assert back["usage"]["prompt_tokens"] == COUNTS["prompt_tokens"]
