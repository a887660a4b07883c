"""Input items to chat messages and back; what one turn of the model said and called is one message in chat."""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.responses.content import content_from_chat, content_to_chat
from router.dialects.responses.fields import kind_of, objects, table, text
from router.dialects.responses.tools import custom_arguments, tool_name


def messages_of(body: JsonObject) -> list[Json]:
    """Return the messages of a request; `instructions` are the first, as system."""
    thread = _Thread()
    if body.get("instructions"):
        thread.messages.append({"role": "system", "content": body["instructions"]})
    if isinstance(body.get("input"), str):
        thread.messages.append({"role": "user", "content": body["input"]})
    for item in objects(body.get("input")):
        thread.add(item)
    return [*thread.messages]


class _Thread:
    """The messages so far, and the reasoning that the next of the model's own will carry."""

    def __init__(self) -> None:
        self.messages: list[JsonObject] = []
        self._reasoning: list[str] = []

    def add(self, item: JsonObject) -> None:
        """Take the next item; hosted tools' calls and what is encrypted have no chat form."""
        match kind_of(item):
            case "message" if item.get("role") == "assistant":
                self._say(item.get("content"))
            case "message" | "agent_message":
                content = content_to_chat(item.get("content"))
                self._other({"role": item.get("role") or "user", "content": content})
            case "reasoning":
                self._reasoning += [text(part.get("text")) for part in objects(item.get("summary"))]
                self._reasoning += [text(part.get("text")) for part in objects(item.get("content"))]
            case "function_call":
                self._call(item, text(item.get("arguments")))
            case "custom_tool_call":
                self._call(item, custom_arguments(text(item.get("input"))))
            case "function_call_output" | "custom_tool_call_output":
                output = content_to_chat(item.get("output"))
                self._other({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})

    def _other(self, message: JsonObject) -> None:
        self._reasoning = []
        self.messages.append(message)

    def _own(self, *, joined: bool) -> JsonObject:
        """Return the model's message that is put together: the last one where it can be joined, else a new one."""
        last = self.messages[-1] if self.messages else {}
        if last.get("role") != "assistant" or not joined:
            last = {"role": "assistant", "content": None}
            self.messages.append(last)
        if self._reasoning:
            said = [text(last.get("reasoning_content")), *self._reasoning]
            last["reasoning_content"] = "\n\n".join(part for part in said if part)
            self._reasoning = []
        return last

    def _say(self, content: Json) -> None:
        # Text behind calls belongs to the same turn: their outputs must follow the calls' message at once.
        message = self._own(joined=bool(self.messages and self.messages[-1].get("tool_calls")))
        match content:
            case [{"type": "refusal", "refusal": refusal}]:
                message["refusal"] = refusal
            case _:
                message["content"] = _joined(message["content"], content_to_chat(content))

    def _call(self, item: JsonObject, arguments: str) -> None:
        message = self._own(joined=True)
        calls = message.setdefault("tool_calls", [])
        function: JsonObject = {"name": tool_name(item).in_chat, "arguments": arguments}
        if isinstance(calls, list):
            calls.append({"id": item.get("call_id"), "type": "function", "function": function})


def _joined(first: Json, second: Json) -> Json:
    if not first:
        return second
    if isinstance(first, str) and isinstance(second, str):
        return first + second
    return [*_parts(first), *_parts(second)]


def _parts(content: Json) -> list[Json]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def items_of(messages: Json) -> tuple[str | None, list[Json]]:
    """Return the instructions and input items of chat messages; a system message before all others is instructions."""
    turns = objects(messages)
    instructions: str | None = None
    match turns:
        case [{"role": "system", "content": str() as first}, _, *_] if first:
            instructions, turns = first, turns[1:]
    customs = {
        call.get("id") for turn in turns for call in objects(turn.get("tool_calls")) if call.get("type") == "custom"
    }
    items: list[Json] = []
    for turn in turns:
        if turn.get("role") == "assistant":
            items += _items_of_own(turn)
        elif turn.get("role") == "tool":
            kind = "custom_tool_call_output" if turn.get("tool_call_id") in customs else "function_call_output"
            output = content_from_chat(turn.get("content"), "tool")
            items.append({"type": kind, "call_id": turn.get("tool_call_id"), "output": output})
        elif turn.get("role") in ("user", "system", "developer"):
            items.append(_message(turn.get("role"), turn.get("content")))
    return instructions, items


def _items_of_own(turn: JsonObject) -> list[Json]:
    content, refusal, calls = turn.get("content"), turn.get("refusal"), objects(turn.get("tool_calls"))
    items: list[Json] = []
    if content or not (refusal or calls):
        items.append(_message("assistant", content or ""))
    if refusal:
        items.append(_message("assistant", [{"type": "refusal", "refusal": refusal}]))
    return [*items, *map(_call_item, calls)]


def _message(role: Json, content: Json) -> JsonObject:
    return {"type": "message", "role": role, "content": content_from_chat(content, role)}


def _call_item(call: JsonObject) -> JsonObject:
    if call.get("type") == "custom":
        return {"type": "custom_tool_call", "call_id": call.get("id"), **table(call.get("custom"))}
    function = table(call.get("function"))
    name, arguments = function.get("name"), function.get("arguments")
    return {"type": "function_call", "call_id": call.get("id"), "name": name, "arguments": arguments}
