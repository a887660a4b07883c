from __future__ import annotations

import json
from typing import Any

import pytest

from registry.errors import UpstreamError
from router.assembly import ChunkAssembly
from router.dialects.messages.dialect import Messages
from router.sse import EventReader
from tests.router.dialects.test_messages_grammar import closed, ended, opened, started, stream, went_on

# The documentation's own example of a stream with a tool call.
DOCUMENTED = b"""event: message_start
data: {"type":"message_start","message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant",\
"model":"claude-opus-5-5","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},"content":[],\
"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":", let's check:"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6",\
"name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"location\\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \\"San Franc"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"isco, CA\\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"""


def decoded(raw: bytes) -> tuple[list[Any], Any]:
    """Return the chunks of a whole stream and what they make."""
    decoder, assembly, chunks = Messages().decoder(), ChunkAssembly(), []
    for data in EventReader().feed(raw):
        assert not decoder.ended
        chunks += decoder.feed(data)
    assert decoder.ended
    for chunk in chunks:
        assembly.add(chunk)
    return chunks, assembly.completion()


def test_the_documented_stream() -> None:
    chunks, whole = decoded(DOCUMENTED)

    assert whole["id"] == "msg_014p7gG3wDgGV9EUtLvnow3U"
    assert whole["model"] == "claude-opus-5-5"
    assert whole["choices"] == [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": "Okay, let's check:",
                "tool_calls": [
                    {
                        "type": "function",
                        "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
                        "function": {"name": "get_weather", "arguments": '{"location": "San Francisco, CA"}'},
                    }
                ],
            },
        }
    ]
    assert [chunk for chunk in chunks if "usage" in chunk] == [chunks[-1]]
    assert chunks[-1]["choices"] == []
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (472, 89)


def test_the_first_delta_of_a_call_names_it() -> None:
    chunks, _ = decoded(DOCUMENTED)
    calls = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls", [])]

    assert calls[0] == {
        "index": 0,
        "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6",
        "type": "function",
        "function": {"name": "get_weather", "arguments": ""},
    }
    assert calls[1:] == [
        {"index": 0, "function": {"arguments": piece}} for piece in ('{"location":', ' "San Franc', 'isco, CA"}')
    ]


def arguments(*events: dict[str, Any]) -> list[str]:
    _, whole = decoded(stream(started(), *events, *ended("tool_use")))
    return [call["function"]["arguments"] for call in whole["choices"][0]["message"]["tool_calls"]]


def test_an_input_given_at_the_start_is_the_arguments_where_no_delta_comes() -> None:
    empty, given = opened(0, "tool_use", id="a", name="now"), opened(1, "tool_use", id="b", name="f", input={"a": [1]})

    assert arguments(empty, closed(0), given, closed(1)) == ["{}", '{"a":[1]}']


def test_no_input_is_invented() -> None:
    bare = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "a", "name": "now"}}

    assert arguments(bare, closed(0)) == [""]


def test_the_empty_input_of_the_start_does_not_stand_before_the_deltas() -> None:
    start = opened(0, "tool_use", id="a", name="f")

    assert arguments(
        start, went_on(0, "input_json_delta", '{"a"'), went_on(0, "input_json_delta", ":1}"), closed(0)
    ) == ['{"a":1}']


def test_blocks_may_be_open_at_once() -> None:
    first, second = opened(0, "tool_use", id="a", name="f"), opened(1, "tool_use", id="b", name="g")
    deltas = [went_on(index, "input_json_delta", piece) for piece in ('{"a', '":1}') for index in (0, 1)]

    assert arguments(first, second, *deltas, closed(1), closed(0)) == ['{"a":1}', '{"a":1}']


def test_thinking_comes_as_reasoning_and_again_with_its_signature() -> None:
    events = [
        opened(0, "thinking"),
        went_on(0, "thinking_delta", "h"),
        went_on(0, "thinking_delta", "m"),
        went_on(0, "signature_delta", "EqQB"),
        closed(0),
        opened(1, "redacted_thinking", data="opaque"),
        closed(1),
        opened(2, "text"),
        went_on(2, "text_delta", "4"),
        closed(2),
    ]

    chunks, whole = decoded(stream(started(), *events, *ended()))

    assert whole["choices"][0]["message"] == {"role": "assistant", "reasoning_content": "hm", "content": "4"}
    blocks = [block for chunk in chunks[:-1] for block in chunk["choices"][0]["delta"].get("thinking_blocks", [])]
    assert blocks == [
        {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "opaque"},
    ]


def test_what_server_tools_do_has_no_chunks() -> None:
    citation = {"type": "content_block_delta", "index": 2, "delta": {"type": "citations_delta", "citation": {}}}
    events = [
        opened(0, "server_tool_use", id="s", name="web_search", input={}),
        went_on(0, "input_json_delta", '{"query":"x"}'),
        closed(0),
        opened(1, "web_search_tool_result", tool_use_id="s", content=[]),
        closed(1),
        opened(2, "text"),
        went_on(2, "text_delta", "15 degrees"),
        citation,
        closed(2),
        {"type": "an_event_of_next_year", "index": 7},
    ]

    _, whole = decoded(stream(started(), *events, *ended("pause_turn")))

    assert whole["choices"][0]["message"] == {"role": "assistant", "content": "15 degrees"}
    assert whole["choices"][0]["finish_reason"] == "stop"


def test_counts_of_the_end_are_totals_and_those_of_the_start_stay() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20, "output_tokens": 1}
    ending: Any = ended("end_turn", input_tokens=12)
    ending[0]["usage"]["cache_read_input_tokens"] = None

    _, whole = decoded(stream(started(usage=usage), *ending))

    assert whole["usage"] == {
        "prompt_tokens": 102,
        "completion_tokens": 15,
        "total_tokens": 117,
        "prompt_tokens_details": {"cached_tokens": 70, "cache_write_tokens": 20},
    }


def test_an_error_event_is_the_upstreams_own() -> None:
    error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'

    with pytest.raises(UpstreamError, match="Overloaded"):
        Messages().decoder().feed(error)


@pytest.mark.parametrize(
    "data",
    [b"nonsense", b"[1]", b'{"type":"error"}', json.dumps(went_on(3, "text_delta", "x")).encode()],
)
def test_what_cannot_be_read_is_the_upstreams_failure(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        Messages().decoder().feed(data)


@pytest.mark.parametrize(
    "data", [b"{}", b'{"type":"ping"}', b'{"type":"content_block_stop","index":9}', b'{"type":{},"index":[]}']
)
def test_what_says_nothing_makes_no_chunk(data: bytes) -> None:
    assert Messages().decoder().feed(data) == []


def test_a_stream_without_its_end_is_not_whole() -> None:
    decoder = Messages().decoder()
    for data in EventReader().feed(DOCUMENTED.rpartition(b"event: message_stop")[0]):
        decoder.feed(data)

    assert not decoder.ended
