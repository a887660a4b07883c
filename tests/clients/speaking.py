"""Replies in the three dialects, whole and in small pieces; shapes are those of the vendors' own references."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.clients.scripting import Body, Call, Reply

PIECE = 4
"""Characters of each delta: placeholders, escapes and numbers are split over several."""
INPUT_TOKENS, OUTPUT_TOKENS = 31, 17
_numbers = itertools.count(1)
# Ids are unique over a test run, as a vendor's are.


def pieces(text: str) -> list[str]:
    """Return a text in the pieces of a stream."""
    return [text[at : at + PIECE] for at in range(0, len(text), PIECE)]


def new_id(prefix: str) -> str:
    """Return an id that no other answer has."""
    return f"{prefix}{next(_numbers):08d}"


# Chat completions


def chat_whole(body: Body, reply: Reply) -> Body:
    """Return a chat completion."""
    message: Body = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = [_chat_call(call) for call in reply.calls]
    choice = {"index": 0, "message": message, "finish_reason": _chat_finish(reply), "logprobs": None}
    return {**_chat_head(body, "chat.completion"), "choices": [choice], "usage": _chat_usage()}


def chat_stream(body: Body, reply: Reply) -> Iterator[bytes]:
    """Yield the frames of a chat completion."""
    head = _chat_head(body, "chat.completion.chunk")

    def chunk(delta: Body, finish: str | None = None) -> bytes:
        return _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    yield chunk({"role": "assistant", "content": ""})
    yield from (chunk({"reasoning_content": piece}) for piece in pieces(reply.reasoning))
    yield from (chunk({"content": piece}) for piece in pieces(reply.text))
    for place, call in enumerate(reply.calls):
        opened = _chat_call(call)
        opened["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": place, **opened}]})
        for piece in pieces(call.text):
            yield chunk({"tool_calls": [{"index": place, "function": {"arguments": piece}}]})
    yield chunk({}, _chat_finish(reply))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _data({**head, "choices": [], "usage": _chat_usage()})
    yield b"data: [DONE]\n\n"


def _chat_head(body: Body, kind: str) -> Body:
    return {"id": new_id("chatcmpl-"), "object": kind, "created": 1_790_000_000, "model": body["model"]}


def _chat_call(call: Call) -> Body:
    return {"id": new_id("call_"), "type": "function", "function": {"name": call.name, "arguments": call.text}}


def _chat_finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else "stop"


def _chat_usage() -> Body:
    return {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }


# Messages


def message_whole(body: Body, reply: Reply) -> Body:
    """Return a message."""
    stop = "tool_use" if reply.calls else "end_turn"
    usage = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
    return {
        **_message_head(body),
        "content": _blocks(reply),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def message_stream(body: Body, reply: Reply) -> Iterator[bytes]:
    """Yield the events of a message."""
    head = {**_message_head(body), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _event(
        {"type": "message_start", "message": {**head, "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1}}}
    )
    yield _event({"type": "ping"})
    for place, block in enumerate(_blocks(reply)):
        opened, deltas = _block_deltas(block)
        yield _event({"type": "content_block_start", "index": place, "content_block": opened})
        yield from (_event({"type": "content_block_delta", "index": place, "delta": delta}) for delta in deltas)
        yield _event({"type": "content_block_stop", "index": place})
    stopped = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": stopped, "usage": {"output_tokens": OUTPUT_TOKENS}})
    yield _event({"type": "message_stop"})


def _message_head(body: Body) -> Body:
    return {"id": new_id("msg_"), "type": "message", "role": "assistant", "model": body["model"]}


def _blocks(reply: Reply) -> list[Body]:
    thought = [{"type": "thinking", "thinking": reply.reasoning, "signature": "c2lnbmVk"}] if reply.reasoning else []
    said = [{"type": "text", "text": reply.text}] if reply.text else []
    called = [
        {"type": "tool_use", "id": new_id("toolu_"), "name": call.name, "input": json.loads(call.text)}
        for call in reply.calls
    ]
    return [*thought, *said, *called]


def _block_deltas(block: Body) -> tuple[Body, list[Body]]:
    match block["type"]:
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]
        case "text":
            return {"type": "text", "text": ""}, [
                {"type": "text_delta", "text": piece} for piece in pieces(block["text"])
            ]
        case _:
            given = json.dumps(block["input"], ensure_ascii=False)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(given)]
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": ""}, *deltas]


# Responses


def response_whole(body: Body, reply: Reply) -> Body:
    """Return a response."""
    return _response(body, new_id("resp_"), "completed", [_done(item) for item in _items(body, reply)])


def response_stream(body: Body, reply: Reply) -> Iterator[bytes]:
    """Yield the events of a response."""
    numbers, name, output = itertools.count(), new_id("resp_"), []

    def event(kind: str, **more: Any) -> bytes:
        return _event({"type": f"response.{kind}", "sequence_number": next(numbers), **more})

    yield event("created", response=_response(body, name, "in_progress", []))
    yield event("in_progress", response=_response(body, name, "in_progress", []))
    for place, item in enumerate(_items(body, reply)):
        yield from _ITEM_EVENTS[item["type"]](event, place, item)
        output.append(_done(item))
        yield event("output_item.done", output_index=place, item=output[-1])
    yield event("completed", response=_response(body, name, "completed", output))


def _items(body: Body, reply: Reply) -> Iterator[Body]:
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        yield {"id": new_id("rs_"), "type": "reasoning", "summary": summary, "encrypted_content": "b3BhcXVl"}
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        yield {"id": new_id("msg_"), "type": "message", "role": "assistant", "content": [part]}
    custom = {tool["name"] for tool in body.get("tools") or () if tool["type"] == "custom"}
    for call in reply.calls:
        named = {"call_id": new_id("call_"), "name": call.name}
        if call.name in custom:
            yield {"id": new_id("ctc_"), "type": "custom_tool_call", **named, "input": call.arguments}
        else:
            yield {"id": new_id("fc_"), "type": "function_call", **named, "arguments": call.text}


def _done(item: Body) -> Body:
    return item if item["type"] == "reasoning" else {**item, "status": "completed"}


def _reasoning_events(event: Callable[..., bytes], place: int, item: Body) -> Iterator[bytes]:
    text, at = item["summary"][0]["text"], {"item_id": item["id"], "output_index": place, "summary_index": 0}
    yield event("output_item.added", output_index=place, item={**item, "summary": []})
    yield event("reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
    yield from (event("reasoning_summary_text.delta", **at, delta=piece) for piece in pieces(text))
    yield event("reasoning_summary_text.done", **at, text=text)
    yield event("reasoning_summary_part.done", **at, part=item["summary"][0])


def _message_events(event: Callable[..., bytes], place: int, item: Body) -> Iterator[bytes]:
    part, at = item["content"][0], {"item_id": item["id"], "output_index": place, "content_index": 0}
    yield event("output_item.added", output_index=place, item={**item, "content": [], "status": "in_progress"})
    yield event("content_part.added", **at, part={**part, "text": ""})
    yield from (event("output_text.delta", **at, delta=piece, logprobs=[]) for piece in pieces(part["text"]))
    yield event("output_text.done", **at, text=part["text"], logprobs=[])
    yield event("content_part.done", **at, part=part)


def _call_events(event: Callable[..., bytes], place: int, item: Body) -> Iterator[bytes]:
    kind, given = (
        ("function_call_arguments", "arguments") if "arguments" in item else ("custom_tool_call_input", "input")
    )
    at = {"item_id": item["id"], "output_index": place}
    yield event("output_item.added", output_index=place, item={**item, given: "", "status": "in_progress"})
    yield from (event(f"{kind}.delta", **at, delta=piece) for piece in pieces(item[given]))
    yield event(
        f"{kind}.done", **at, **{given: item[given]}, **({"name": item["name"]} if given == "arguments" else {})
    )


_ITEM_EVENTS: Mapping[str, Callable[[Callable[..., bytes], int, Body], Iterator[bytes]]] = {
    "reasoning": _reasoning_events,
    "message": _message_events,
    "function_call": _call_events,
    "custom_tool_call": _call_events,
}


def _response(body: Body, name: str, status: str, output: list[Body]) -> Body:
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return {
        "id": name,
        "object": "response",
        "created_at": 1_790_000_000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "usage": usage if status == "completed" else None,
    }


def _data(payload: Body) -> bytes:
    return f"data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


def _event(payload: Body) -> bytes:
    return f"event: {payload['type']}\n".encode() + _data(payload)
