"""One answer as upstreams of each dialect say it: whole, or as the frames of a stream, cut into deltas by a seed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from random import Random
from typing import Any

from typing_extensions import override

CHAT, COMPLETIONS = "openai.chat", "openai.completions"
RESPONSES, MESSAGES = "openai.responses", "anthropic.messages"
MODEL = "model-0101"
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool; `arguments` is the model's own text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says; `finish` in OpenAI's words, no counts where the upstream reports none."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    counts: tuple[int, int] | None = (11, 7)

    def replacing(self, old: str, new: str) -> Answer:
        """Return it with a text in place of another wherever a model can say one."""
        calls = tuple(replace(call, arguments=call.arguments.replace(old, new)) for call in self.calls)
        text, reasoning = self.text.replace(old, new), self.reasoning.replace(old, new)
        return replace(self, text=text, reasoning=reasoning, calls=calls)


class Cutter:
    """Cuts texts into deltas, and mixes those of parallel calls, as a seed decides."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def pieces(self, text: str) -> list[str]:
        """Return a text in a few pieces, none of them empty, cut anywhere."""
        places = [self._random.randint(0, len(text)) for _ in range(self._random.randint(0, 5))]
        cuts = sorted({0, len(text), *places})
        return [text[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]

    def mixed(self, tracks: list[list[Any]]) -> Iterator[Any]:
        """Yield what is on several tracks, each in its own order."""
        while waiting := [track for track in tracks if track]:
            yield self._random.choice(waiting).pop(0)

    def bytes(self, whole: bytes) -> list[bytes]:
        """Return bytes as they may arrive: cut anywhere, also inside a character."""
        size = self._random.choice((1, 7, 64, 1 << 16))
        found, at = [], 0
        while at < len(whole):
            step = self._random.randint(1, size)
            found.append(whole[at : at + step])
            at += step
        return found


class Wordwise(Cutter):
    """Cuts between words, and says one call after the other."""

    def __init__(self) -> None:
        super().__init__(0)

    @override
    def pieces(self, text: str) -> list[str]:
        """Return the words, each with the space behind it."""
        return [word for word in re.split(r"(?<= )", text) if word]

    @override
    def mixed(self, tracks: list[list[Any]]) -> Iterator[Any]:
        """Yield the tracks one behind the other."""
        return chain.from_iterable(tracks)


def whole(surface: str, answer: Answer) -> bytes:
    """Return the body of a whole answer."""
    return json.dumps(_WHOLE[surface](answer), ensure_ascii=False).encode()


def frames(surface: str, answer: Answer, cutter: Cutter) -> list[bytes]:
    """Return the frames of a stream; the last one is the mark of its end."""
    if surface in (CHAT, COMPLETIONS):
        events = _chat_events(answer, cutter) if surface == CHAT else _text_events(answer, cutter)
        return [*(b"data: " + _json(event) + b"\n\n" for event in events), b"data: [DONE]\n\n"]
    events = _message_events(answer, cutter) if surface == MESSAGES else _numbered(_response_events(answer, cutter))
    return [b"event: %s\ndata: %s\n\n" % (event["type"].encode(), _json(event)) for event in events]


def error_frame(surface: str) -> bytes:
    """Return the frame by which an upstream breaks a stream off."""
    said = {"type": "server_error", "message": "ran out of luck", "code": "luck", "param": None}
    match surface:
        case "anthropic.messages":
            return b"event: error\ndata: " + _json({"type": "error", "error": said}) + b"\n\n"
        case "openai.responses":
            return b"event: error\ndata: " + _json({**said, "type": "error", "sequence_number": 9}) + b"\n\n"
        case _:
            return b"data: " + _json({"error": said}) + b"\n\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _counted(answer: Answer) -> dict[str, Any]:
    if answer.counts is None:
        return {}
    asked, said = answer.counts
    return {"usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}}


def _message(answer: Answer) -> dict[str, Any]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in answer.calls
    ]
    return {
        "role": "assistant",
        "content": answer.text or None,
        **({"reasoning_content": answer.reasoning} if answer.reasoning else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _completion(answer: Answer) -> dict[str, Any]:
    choice = {"index": 0, "message": _message(answer), "logprobs": None, "finish_reason": answer.finish}
    head = {"id": "chatcmpl-u", "object": "chat.completion", "created": 1, "model": MODEL}
    return {**head, "choices": [choice], **_counted(answer)}


def _text_completion(answer: Answer) -> dict[str, Any]:
    choice = {"index": 0, "text": answer.text, "logprobs": None, "finish_reason": answer.finish}
    head = {"id": "cmpl-u", "object": "text_completion", "created": 1, "model": MODEL}
    return {**head, "choices": [choice], **_counted(answer)}


def _anthropic_counts(answer: Answer) -> dict[str, int]:
    asked, said = answer.counts or (0, 0)
    return {"input_tokens": asked, "output_tokens": said}


def _anthropic_message(answer: Answer) -> dict[str, Any]:
    thought = {"type": "thinking", "thinking": answer.reasoning, "signature": "c2lnbmVk"}
    called = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments or "{}")}
        for call in answer.calls
    ]
    said = [{"type": "text", "text": answer.text}] if answer.text else []
    return {
        "id": "msg_u",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [*([thought] if answer.reasoning else []), *said, *called],
        "stop_reason": _STOPS[answer.finish],
        "stop_sequence": None,
        "usage": _anthropic_counts(answer),
    }


def _items(answer: Answer) -> list[dict[str, Any]]:
    """Return the output of a response."""
    summary = {"type": "summary_text", "text": answer.reasoning}
    thought = {"type": "reasoning", "id": "rs_u", "summary": [summary]}
    part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
    state = "incomplete" if answer.finish == "length" else "completed"
    said = {"type": "message", "id": "msg_u", "role": "assistant", "status": state, "content": [part]}
    called = [
        {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": "completed",
        }
        for call in answer.calls
    ]
    return [*([thought] if answer.reasoning else []), *([said] if answer.text else []), *called]


def _response(answer: Answer) -> dict[str, Any]:
    cut = answer.finish == "length"
    asked, said = answer.counts or (0, 0)
    counts = {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }
    return {
        **_begun_response(),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": _items(answer),
        "usage": counts if answer.counts else None,
    }


def _begun_response() -> dict[str, Any]:
    return {
        "id": "resp_u",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "error": None,
        "incomplete_details": None,
    }


_WHOLE = {CHAT: _completion, COMPLETIONS: _text_completion, MESSAGES: _anthropic_message, RESPONSES: _response}


def _chat_events(answer: Answer, cutter: Cutter) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        head = {"id": "chatcmpl-u", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def called(place: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {**more.pop("function", {}), "arguments": arguments}
        return chunk({"tool_calls": [{"index": place, **more, "function": function}]})

    yield chunk({"role": "assistant", "content": ""})
    for piece in cutter.pieces(answer.reasoning):
        yield chunk({"reasoning_content": piece})
    for piece in cutter.pieces(answer.text):
        yield chunk({"content": piece, **({"tool_calls": []} if answer.calls else {})})
    tracks = []
    for place, call in enumerate(answer.calls):
        first, *rest = ["", *cutter.pieces(call.arguments)]
        named = called(place, first, id=call.id, type="function", function={"name": call.name})
        tracks.append([named, *(called(place, piece) for piece in rest)])
    yield from cutter.mixed(tracks)
    yield chunk({}, answer.finish)
    if answer.counts:
        yield {**chunk({}), "choices": [], **_counted(answer)}


def _text_events(answer: Answer, cutter: Cutter) -> Iterator[dict[str, Any]]:
    head = {"id": "cmpl-u", "object": "text_completion", "created": 1, "model": MODEL}
    for piece in cutter.pieces(answer.text):
        yield {**head, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": answer.finish}]}
    if answer.counts:
        yield {**head, "choices": [], **_counted(answer)}


def _message_events(answer: Answer, cutter: Cutter) -> Iterator[dict[str, Any]]:
    counts = _anthropic_counts(answer)
    begun = {**_anthropic_message(Answer()), "stop_reason": None, "usage": {**counts, "output_tokens": 1}}
    yield {"type": "message_start", "message": begun}
    yield {"type": "ping"}
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if answer.reasoning:
        thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in cutter.pieces(answer.reasoning)]
        signed = {"type": "signature_delta", "signature": "c2lnbmVk"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signed]))
    if answer.text:
        texts = [{"type": "text_delta", "text": piece} for piece in cutter.pieces(answer.text)]
        blocks.append(({"type": "text", "text": ""}, texts))
    for call in answer.calls:
        given = [{"type": "input_json_delta", "partial_json": piece} for piece in cutter.pieces(call.arguments)]
        blocks.append(({"type": "tool_use", "id": call.id, "name": call.name, "input": {}}, given))
    for index, (start, deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    stop = {"stop_reason": _STOPS[answer.finish], "stop_sequence": None}
    yield {"type": "message_delta", "delta": stop, "usage": {"output_tokens": counts["output_tokens"]}}
    yield {"type": "message_stop"}


def _numbered(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(events):
        yield {**event, "sequence_number": number}


def _response_events(answer: Answer, cutter: Cutter) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": _begun_response()}
    yield {"type": "response.in_progress", "response": _begun_response()}
    calls = []
    for place, item in enumerate(_items(answer)):
        events = [{**event, "output_index": place} for event in _item_events(item, cutter)]
        if item["type"] == "function_call":
            calls.append(events)
        else:
            yield from events
    yield from cutter.mixed(calls)
    ended = "incomplete" if answer.finish == "length" else "completed"
    yield {"type": f"response.{ended}", "response": _response(answer)}


def _item_events(item: dict[str, Any], cutter: Cutter) -> Iterator[dict[str, Any]]:
    match item["type"]:
        case "reasoning":
            yield {"type": "response.output_item.added", "item": {**item, "summary": []}}
            yield from _part_events(item, "reasoning_summary", "summary_index", item["summary"][0], cutter)
        case "message":
            yield {"type": "response.output_item.added", "item": {**item, "status": "in_progress", "content": []}}
            yield from _part_events(item, "content", "content_index", item["content"][0], cutter)
        case _:
            yield {
                "type": "response.output_item.added",
                "item": {**item, "status": "in_progress", "arguments": ""},
            }
            named, at = "response.function_call_arguments", {"item_id": item["id"]}
            for piece in cutter.pieces(item["arguments"]):
                yield {"type": f"{named}.delta", **at, "delta": piece}
            yield {"type": f"{named}.done", **at, "name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "item": item}


def _part_events(
    item: dict[str, Any], kind: str, number: str, part: dict[str, Any], cutter: Cutter
) -> Iterator[dict[str, Any]]:
    """Yield the events of an item's one part, a text."""
    at = {"item_id": item["id"], number: 0}
    spoken = "response.reasoning_summary_text" if kind == "reasoning_summary" else "response.output_text"
    odds: dict[str, Any] = {} if kind == "reasoning_summary" else {"logprobs": []}
    yield {"type": f"response.{kind}_part.added", **at, "part": {**part, "text": ""}}
    for piece in cutter.pieces(part["text"]):
        yield {"type": f"{spoken}.delta", **at, "delta": piece, **odds}
    yield {"type": f"{spoken}.done", **at, "text": part["text"], **odds}
    yield {"type": f"response.{kind}_part.done", **at, "part": part}
