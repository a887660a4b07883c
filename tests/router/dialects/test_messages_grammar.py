"""The grammar of Anthropic's event streams, as strict as its documentation, and that it notices what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

_DELTAS = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "redacted_thinking": set(),
}
_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
_STOPS = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
_STARTS: dict[str, dict[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "redacted_thinking": {},
}


def events_of(raw: bytes) -> list[dict[str, Any]]:
    """Return the events in frames; each frame names its type twice and alike."""
    found = []
    for frame in raw.decode().split("\n\n")[:-1]:
        first, second = frame.split("\n")
        assert first.startswith("event: ") and second.startswith("data: ")
        found.append(json.loads(second[6:]))
        assert found[-1]["type"] == first[7:]
    assert raw == b"" or raw.endswith(b"\n\n")
    return found


def message_of(raw: bytes) -> dict[str, Any]:
    """Return the message that a whole stream makes; fail where the stream is not legal."""
    events = [event for event in events_of(raw) if event["type"] != "ping"]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    message = events[0]["message"]
    assert events[0]["type"] == "message_start"
    assert message["type"] == "message" and message["role"] == "assistant" and message["content"] == []
    assert message["stop_reason"] is None and message["stop_sequence"] is None
    assert {"input_tokens", "output_tokens"} <= message["usage"].keys()
    message["content"] = _content(events[1:-2])
    ending = events[-2]
    assert ending["delta"]["stop_reason"] in _STOPS
    assert isinstance(ending["usage"]["output_tokens"], int)
    return {**message, **ending["delta"], "usage": {**message["usage"], **ending["usage"]}}


def _content(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    open_block: dict[str, Any] | None = None
    for event in events:
        if event["type"] == "content_block_start":
            assert open_block is None, "a block begins inside another"
            assert event["index"] == len(blocks)
            open_block = dict(event["content_block"])
            assert _STARTS[open_block["type"]].keys() <= open_block.keys()
            blocks.append(open_block)
            if open_block["type"] == "tool_use":
                assert open_block["id"] and open_block["name"]
                open_block["json"] = ""
            continue
        assert open_block is not None and event["index"] == len(blocks) - 1, f"{event['type']} outside its block"
        if event["type"] == "content_block_stop":
            open_block = None
            continue
        assert event["type"] == "content_block_delta"
        kind = event["delta"]["type"]
        assert kind in _DELTAS[open_block["type"]], f"{kind} in {open_block['type']}"
        name = "json" if kind == "input_json_delta" else _FIELDS[kind]
        open_block[name] += event["delta"][_FIELDS[kind]]
    assert open_block is None, "a block does not end"
    return blocks


def stream(*events: dict[str, Any]) -> bytes:
    """Return events as frames."""
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def started(**message: Any) -> dict[str, Any]:
    whole = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-opus-5-5",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 25, "output_tokens": 1},
    }
    return {"type": "message_start", "message": {**whole, **message}}


def opened(index: int, kind: str, **block: Any) -> dict[str, Any]:
    return {
        "type": "content_block_start",
        "index": index,
        "content_block": {"type": kind, **_STARTS.get(kind, {}), **block},
    }


def went_on(index: int, kind: str, said: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, _FIELDS[kind]: said}}


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(stop: str = "end_turn", **usage: int) -> list[dict[str, Any]]:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 15, **usage}},
        {"type": "message_stop"},
    ]


def test_a_legal_stream_makes_a_message() -> None:
    said = (opened(0, "text"), went_on(0, "text_delta", "Hel"), went_on(0, "text_delta", "lo"), closed(0))

    message = message_of(stream(started(), *said, *ended()))

    assert message["content"] == [{"type": "text", "text": "Hello"}]
    assert message["stop_reason"] == "end_turn"
    assert message["usage"] == {"input_tokens": 25, "output_tokens": 15}


TEXT = opened(0, "text")


@pytest.mark.parametrize(
    "events",
    [
        [TEXT, closed(0), *ended()],
        [started(), started(), *ended()],
        [started(), TEXT, *ended()],
        [started(), TEXT, opened(1, "text"), closed(1), closed(0), *ended()],
        [started(), TEXT, went_on(0, "thinking_delta", "hm"), closed(0), *ended()],
        [started(), TEXT, went_on(0, "input_json_delta", "{}"), closed(0), *ended()],
        [started(), TEXT, closed(0), went_on(0, "text_delta", "late"), *ended()],
        [started(), opened(1, "text"), closed(1), *ended()],
        [started(), TEXT, closed(0), ended()[1]],
        [started(), TEXT, closed(0), ended()[0]],
        [started(), opened(0, "tool_use", id="t1", name=""), closed(0), *ended("tool_use")],
    ],
)
def test_an_illegal_stream_is_noticed(events: list[dict[str, Any]]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        message_of(stream(*events))
