"""Messages requests in the chat form.

Left out, because chat cannot say it: cache marks, citations, `top_k`, signatures of thinking and redacted thinking,
server tools and their results, context management, containers, speed and service tier.
"""

from __future__ import annotations

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.messages.content import chat_content, chat_parts
from router.dialects.messages.request import answer_format
from router.dialects.messages.tools import tools_to_chat
from router.dialects.messages.wire import blocks_of, fields, objects, text

_SAME = ("model", "temperature", "top_p")
# OpenAI refuses longer ones; agents send whole session names.
_LONGEST_USER = 64
# Budgets of thinking tokens below which an effort stands for them.
_EFFORTS = ((4_096, "low"), (16_384, "medium"))


def request_to_chat(body: JsonObject) -> JsonObject:
    """Return a request in the chat form; see `Dialect.to_chat`."""
    system: list[Json] = [_system(body.get("system"))] if body.get("system") else []
    turns = [turn for message in objects(body.get("messages")) for turn in _turns(message)]
    sent: JsonObject = {name: body[name] for name in _SAME if body.get(name) is not None}
    sent["messages"] = [*system, *turns]
    if "max_tokens" in body:
        sent["max_completion_tokens"] = body["max_tokens"]
    if body.get("stop_sequences"):
        sent["stop"] = body["stop_sequences"]
    if body.get("stream"):
        sent["stream"] = True
    return {**sent, **tools_to_chat(body), **_output(body), **_metadata(fields(body.get("metadata")))}


def arguments_of(block: JsonObject) -> str:
    """Return a tool call's input as JSON text, empty where the block has none."""
    given = block.get("input")
    return orjson.dumps(given).decode() if isinstance(given, dict) else ""


def call_of(block: JsonObject) -> JsonObject:
    """Return a tool_use block as a chat tool call."""
    function: JsonObject = {"name": block.get("name"), "arguments": arguments_of(block)}
    return {"id": block.get("id"), "type": "function", "function": function}


def _turns(message: JsonObject) -> list[Json]:
    content = message.get("content")
    match message.get("role"):
        case "system":
            return [_system(content)]
        case "assistant":
            return [_assistant(blocks_of(content))]
        case _:
            return _user(blocks_of(content))


def _system(content: Json) -> JsonObject:
    parts = [part for block in blocks_of(content) for part in chat_parts(block)]
    return {"role": "system", "content": chat_content(parts)}


def _assistant(blocks: list[JsonObject]) -> JsonObject:
    """Return an assistant's turn; the text of several blocks is one, as it is in an answer."""
    said = "".join(text(block.get("text")) for block in blocks if block.get("type") == "text")
    thought = "".join(text(block.get("thinking")) for block in blocks if block.get("type") == "thinking")
    calls: list[Json] = [call_of(block) for block in blocks if block.get("type") == "tool_use"]
    message: JsonObject = {"role": "assistant", "content": said or (None if calls else "")}
    if thought:
        message["reasoning_content"] = thought
    return {**message, "tool_calls": calls} if calls else message


def _user(blocks: list[JsonObject]) -> list[Json]:
    """Return the results of tools, which come first, and what the user says; pictures in results come with it."""
    results: list[Json] = []
    parts: list[Json] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            inner = [part for item in blocks_of(block.get("content")) for part in chat_parts(item)]
            texts = [part for part in inner if fields(part).get("type") == "text"]
            parts += [part for part in inner if fields(part).get("type") != "text"]
            results.append(_result(block, texts))
        else:
            parts += chat_parts(block)
    return [*results, {"role": "user", "content": chat_content(parts)}] if parts else results


def _result(block: JsonObject, texts: list[Json]) -> JsonObject:
    """Return a tool's result; chat has no mark for a failure, so a text that does not begin with it gets the word."""
    first = text(fields(texts[0]).get("text")) if texts else ""
    if block.get("is_error") is True and not first.lower().startswith("error"):
        texts = [{"type": "text", "text": f"Error: {first}" if first else "Error"}, *texts[1:]]
    return {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": chat_content(texts) or ""}


def _output(body: JsonObject) -> JsonObject:
    """Return how hard to think and the form of the answer."""
    config, thinking = fields(body.get("output_config")), fields(body.get("thinking"))
    sent: JsonObject = {}
    effort = config.get("effort") or _effort(thinking.get("budget_tokens"))
    if effort and thinking.get("type") != "disabled":
        sent["reasoning_effort"] = effort
    form = answer_format(body)
    if form.get("type") == "json_schema":
        schema: JsonObject = {"name": "answer", "schema": form.get("schema")}
        sent["response_format"] = {"type": "json_schema", "json_schema": schema}
    return sent


def _effort(budget: Json) -> str | None:
    if not isinstance(budget, int):
        return None
    return next((effort for below, effort in _EFFORTS if budget < below), "high")


def _metadata(metadata: JsonObject) -> JsonObject:
    """Return who asks, where the name is short enough, and whatever else was said of the request."""
    user = text(metadata.get("user_id"))
    rest: JsonObject = {name: value for name, value in metadata.items() if name != "user_id"}
    return {**({"user": user} if 0 < len(user) <= _LONGEST_USER else {}), **({"metadata": rest} if rest else {})}
