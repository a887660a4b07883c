"""What clients of each dialect send and understand; what they get is checked by the official SDKs' own types."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from functools import cache
from typing import Any, get_args

from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Answer, Call
from tests.router.dialects.test_messages_grammar import events_of, message_of

PATHS = {
    CHAT: "/v1/chat/completions",
    COMPLETIONS: "/v1/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
}
END_MARKS = {
    CHAT: (b"[DONE]", b'"finish_reason":"stop"', b'"finish_reason": "stop"'),
    COMPLETIONS: (b"[DONE]", b'"finish_reason":"stop"', b'"finish_reason": "stop"'),
    RESPONSES: (b"response.completed", b"response.incomplete", b"[DONE]"),
    MESSAGES: (b"message_stop", b'"end_turn"'),
}
"""What only a whole answer has."""
ERROR_MARKS = {
    CHAT: b'data: {"error":{"message":',
    COMPLETIONS: b'data: {"error":{"message":',
    RESPONSES: b"event: response.failed\n",
    MESSAGES: b"event: error\n",
}
_FINISH = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
_RESPONSE_EVENTS = {
    get_args(one.model_fields["type"].annotation)[0]: one for one in get_args(get_args(ResponseStreamEvent)[0])
}
_SCHEMA = {"type": "object", "properties": {}, "additionalProperties": True}


def request(surface: str, model: str, text: str, *, stream: bool, tools: tuple[str, ...] = (), **more: Any) -> bytes:
    """Return the body of a request of one turn; `more` may ask for `reasoning` and for `json`."""
    body: dict[str, Any] = {"model": model, "stream": stream}
    functions = [{"name": name, "description": "a tool"} for name in tools]
    reasoning, json_schema = more.get("reasoning", False), more.get("json", False)
    match surface:
        case "openai.completions":
            body |= {"prompt": text, "max_tokens": 64}
            body |= {"stream_options": {"include_usage": True}} if stream else {}
        case "openai.chat":
            body |= {"messages": [{"role": "user", "content": text}]}
            body |= {"tools": [{"type": "function", "function": {**one, "parameters": _SCHEMA}} for one in functions]}
            body |= {"reasoning_effort": "low"} if reasoning else {}
            schema = {"name": "answer", "schema": _SCHEMA}
            body |= {"response_format": {"type": "json_schema", "json_schema": schema}} if json_schema else {}
            body |= {"stream_options": {"include_usage": True}} if stream else {}
        case "openai.responses":
            body |= {"input": text, "store": False}
            body |= {
                "tools": [{"type": "function", **one, "parameters": _SCHEMA, "strict": False} for one in functions]
            }
            body |= {"reasoning": {"effort": "low", "summary": "auto"}} if reasoning else {}
            form = {"type": "json_schema", "name": "answer", "schema": _SCHEMA}
            body |= {"text": {"format": form}} if json_schema else {}
        case _:
            body |= {"max_tokens": 4096, "messages": [{"role": "user", "content": text}]}
            body |= {"tools": [{**one, "input_schema": _SCHEMA} for one in functions]}
            body |= {"thinking": {"type": "enabled", "budget_tokens": 1024}} if reasoning else {}
            body |= {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}} if json_schema else {}
    if not body.get("tools"):
        body.pop("tools", None)
    return json.dumps(body, ensure_ascii=False).encode()


@cache
def _anthropic() -> tuple[TypeAdapter[Any], TypeAdapter[Any]] | None:
    """Return what checks a message and an event of one, None where the SDK is not installed."""
    if importlib.util.find_spec("anthropic") is None:
        return None
    from anthropic.types import Message, RawMessageStreamEvent

    return TypeAdapter(Message), TypeAdapter(RawMessageStreamEvent)


def read_whole(surface: str, body: bytes) -> Answer:
    """Return what a client understands of a whole answer; fail where it is not valid in its dialect."""
    value = json.loads(body)
    match surface:
        case "openai.chat":
            ChatCompletion.model_validate(value)
            (choice,) = value["choices"]
            return _from_message(choice["message"], choice["finish_reason"], value.get("usage"))
        case "openai.completions":
            Completion.model_validate(value)
            (choice,) = value["choices"]
            return Answer(choice["text"], "", (), choice["finish_reason"], _counts(value.get("usage")))
        case "openai.responses":
            return _from_response(value)
        case _:
            validators = _anthropic()
            if validators:
                validators[0].validate_python(value)
            return _from_blocks(value)


def read_stream(surface: str, body: bytes) -> Answer:
    """Return what a client understands of a whole stream; fail where it is not valid in its dialect."""
    match surface:
        case "openai.chat":
            return _from_chunks(_data(body))
        case "openai.completions":
            return _from_texts(_data(body))
        case "openai.responses":
            return _from_events(body)
        case _:
            validators = _anthropic()
            for event in events_of(body):
                if validators and event["type"] != "ping":
                    validators[1].validate_python(event)
            return _from_blocks(message_of(body))


def _data(body: bytes) -> list[dict[str, Any]]:
    """Return the chunks of a stream that ends as OpenAI's do."""
    *events, last, rest = [event for event in body.decode().split("\n\n") if not event.startswith(":")]
    assert (last, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [json.loads(event[6:]) for event in events]


def _counts(usage: dict[str, Any] | None) -> tuple[int, int] | None:
    return (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None


def _from_message(message: dict[str, Any], finish: str, usage: dict[str, Any] | None) -> Answer:
    calls = tuple(
        Call(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    )
    return Answer(message.get("content") or "", message.get("reasoning_content") or "", calls, finish, _counts(usage))


def _from_chunks(chunks: Iterable[dict[str, Any]]) -> Answer:
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": {}}
    finish, usage = "", None
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            assert not finish, "a choice goes on after its end"
            finish = choice["finish_reason"] or ""
            for field in ("content", "reasoning_content"):
                message[field] += choice["delta"].get(field) or ""
            for call in choice["delta"].get("tool_calls") or ():
                _add_call(message["tool_calls"], call)
    calls = [{**call, "function": dict(call["function"])} for _, call in sorted(message["tool_calls"].items())]
    return _from_message({**message, "tool_calls": calls}, finish, usage)


def _add_call(calls: dict[int, dict[str, Any]], delta: dict[str, Any]) -> None:
    function = delta.get("function") or {}
    if delta["index"] not in calls:
        # Some SDKs read id, type and name off the first delta of a call, and nowhere else.
        assert delta["id"] and delta["type"] == "function" and function["name"]
        calls[delta["index"]] = {"id": delta["id"], "function": {"name": function["name"], "arguments": ""}}
    calls[delta["index"]]["function"]["arguments"] += function.get("arguments") or ""


def _from_texts(chunks: Iterable[dict[str, Any]]) -> Answer:
    text, finish, usage = "", "", None
    for chunk in chunks:
        # The SDK's type has no word for an answer that goes on, which OpenAI's own streams are full of.
        going_on = [{**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
        Completion.model_validate({**chunk, "choices": going_on})
        usage = chunk.get("usage") or usage
        for choice in chunk["choices"]:
            text += choice["text"]
            finish = choice["finish_reason"] or finish
    return Answer(text, "", (), finish, _counts(usage))


def _from_events(body: bytes) -> Answer:
    events = events_of(b"".join(f + b"\n\n" for f in body.split(b"\n\n")[:-1] if not f.startswith(b":")))
    deltas: dict[tuple[str, int], str] = {}
    for number, event in enumerate(events):
        _RESPONSE_EVENTS[event["type"]].model_validate(event)
        assert event["sequence_number"] == number
        if event["type"].endswith(".delta"):
            key = (event["type"], event["output_index"])
            deltas[key] = deltas.get(key, "") + event["delta"]
    assert events[0]["type"] == "response.created"
    assert events[-1]["type"] in ("response.completed", "response.incomplete")
    found = _from_response(events[-1]["response"])
    said = {name: "".join(text for (kind, _), text in sorted(deltas.items()) if name in kind) for name in _SPOKEN}
    whole = (found.text, found.reasoning, "".join(call.arguments for call in found.calls))
    assert tuple(said.values()) == whole, "the deltas say something other than the whole answer"
    return found


_SPOKEN = ("output_text", "reasoning_summary_text", "function_call_arguments")


def _from_response(response: dict[str, Any]) -> Answer:
    Response.model_validate(response)
    text, reasoning, calls = "", "", []
    for item in response["output"]:
        match item["type"]:
            case "message":
                text += "".join(part["text"] for part in item["content"])
            case "reasoning":
                reasoning += "".join(part["text"] for part in item["summary"])
            case "function_call":
                calls.append(Call(item["call_id"], item["name"], item["arguments"]))
    finish = "length" if response["status"] == "incomplete" else "tool_calls" if calls else "stop"
    usage = response.get("usage")
    counts = (usage["input_tokens"], usage["output_tokens"]) if usage else None
    return Answer(text, reasoning, tuple(calls), finish, counts)


def _from_blocks(message: dict[str, Any]) -> Answer:
    """Return an Anthropic message; `json` is the text of an input that came in deltas."""
    text, reasoning, calls = "", "", []
    for block in message["content"]:
        match block["type"]:
            case "text":
                text += block["text"]
            case "thinking":
                reasoning += block["thinking"]
            case "tool_use":
                said = block["json"] if "json" in block else json.dumps(block["input"])
                calls.append(Call(block["id"], block["name"], said))
    usage = message["usage"]
    finish = _FINISH[message["stop_reason"]]
    return Answer(text, reasoning, tuple(calls), finish, (usage["input_tokens"], usage["output_tokens"]))
