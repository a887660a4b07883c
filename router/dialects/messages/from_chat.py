"""Chat requests in the Messages form, such that every model of both versions takes it.

Left out: `temperature`, `top_p` and penalties, which version 2026-10-21 and newer models refuse; `json_object`, `seed`,
`logprobs`, `logit_bias`, `service_tier`, `store` and `metadata`, which have no form; effort `none` and reasoning that
has no signature. What would change the answer's meaning is refused: several choices, sound, tools that are no
functions, arguments that are no JSON object.
"""

from __future__ import annotations

import re

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.messages.content import blocks_from, text_blocks
from router.dialects.messages.request import UNSIGNED
from router.dialects.messages.tools import forces_tool, tools_from_chat
from router.dialects.messages.wire import fields, objects, text, tool_id
from router.problems import InvalidRequestError

DEFAULT_MAX_TOKENS = 32_000
"""The limit where a chat request sets none, which Anthropic does not allow: the least that Claude 4 and later take."""

_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
# Anthropic refuses what looks like an address or a number of a person.
_OPAQUE_USER = re.compile(r"[A-Za-z0-9_-]{1,256}")


def request_from_chat(body: JsonObject) -> JsonObject:
    """Return a chat request in the Messages form; see `Dialect.from_chat`.

    Raises:
        InvalidRequestError: it cannot be said there.

    """
    _refuse(body)
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_MAX_TOKENS
    sent: JsonObject = {"model": body.get("model"), "max_tokens": limit, **_conversation(body)}
    stops = body.get("stop")
    visible: list[Json] = [stop for stop in (stops if isinstance(stops, list) else [stops]) if text(stop).strip()]
    if visible:
        sent["stop_sequences"] = visible
    if body.get("stream"):
        sent["stream"] = True
    if _OPAQUE_USER.fullmatch(text(body.get("user"))):
        sent["metadata"] = {"user_id": body["user"]}
    sent |= tools_from_chat(body)
    return {**sent, **_output(body, sent.get("tool_choice"))}


def tool_use(call: JsonObject) -> JsonObject | None:
    """Return a chat tool call as a block, None where its arguments are no JSON object.

    No arguments at all are an empty input, which Anthropic must have.
    """
    function = fields(call.get("function"))
    try:
        given = orjson.loads(text(function.get("arguments")).strip() or "{}")
    except orjson.JSONDecodeError:
        return None
    called: JsonObject = {"type": "tool_use", "id": tool_id(text(call.get("id"))), "name": function.get("name")}
    return {**called, "input": given} if isinstance(given, dict) else None


def signed_thinking(message: JsonObject) -> list[Json]:
    """Return the thinking blocks that a message carries and that Anthropic would know again as its own."""
    return [
        block
        for block in objects(message.get("thinking_blocks"))
        if block.get("type") == "redacted_thinking" or block.get("signature") not in (None, "", UNSIGNED)
    ]


def _refuse(body: JsonObject) -> None:
    if body.get("n") not in (None, 1):
        raise InvalidRequestError(f"n is {body['n']!r}; an Anthropic upstream gives one answer at a time", "n")
    if body.get("functions"):
        raise InvalidRequestError("functions cannot be said to an Anthropic upstream; send them as tools", "functions")
    if body.get("audio") or body.get("modalities") not in (None, [], ["text"]):
        raise InvalidRequestError("an Anthropic upstream answers in text only; leave modalities out", "modalities")


def _conversation(body: JsonObject) -> JsonObject:
    """Return system and messages; all system texts go to the front, as only newer models take them elsewhere."""
    system: list[Json] = []
    turns: list[Json] = []
    results: list[Json] = []
    for place, message in enumerate(objects(body.get("messages"))):
        at = f"messages.{place}"
        match message.get("role"):
            case "system" | "developer":
                system += blocks_from(message.get("content"), f"{at}.content")
            case "tool":
                if not results:
                    turns.append({"role": "user", "content": results})
                results.append(_result(message, at))
            case "user" | "assistant" as role:
                results = []
                blocks = _assistant(message, at) if role == "assistant" else _user(message, at)
                turns += [{"role": role, "content": blocks}] if blocks else []
            case role:
                raise InvalidRequestError(f"{at}.role is {role!r}, which an Anthropic upstream lacks", f"{at}.role")
    return {"messages": turns, **({"system": _plain(system)} if system else {})}


def _user(message: JsonObject, at: str) -> Json:
    return _plain(blocks_from(message.get("content"), f"{at}.content"))


def _plain(blocks: list[Json]) -> Json:
    """Return one text as a string, which means the same."""
    match blocks:
        case [{"type": "text", "text": only}]:
            return only
        case _:
            return blocks


def _assistant(message: JsonObject, at: str) -> Json:
    said = [*blocks_from(message.get("content"), f"{at}.content"), *text_blocks(text(message.get("refusal")))]
    calls: list[Json] = []
    for place, call in enumerate(objects(message.get("tool_calls"))):
        block = tool_use(call)
        if block is None:
            param = f"{at}.tool_calls.{place}.function.arguments"
            raise InvalidRequestError(f"{param} is no JSON object, which an Anthropic upstream demands", param)
        calls.append(block)
    return _plain([*signed_thinking(message), *said, *calls])


def _result(message: JsonObject, at: str) -> JsonObject:
    content = message.get("content")
    said = content if isinstance(content, str) else blocks_from(content, f"{at}.content")
    result: JsonObject = {"type": "tool_result", "tool_use_id": tool_id(text(message.get("tool_call_id")))}
    return {**result, "content": said} if said else result


def _output(body: JsonObject, choice: Json) -> JsonObject:
    """Return how hard to think and the form of the answer; adaptive thinking is what models since 4.6 take."""
    config: JsonObject = {}
    effort = _EFFORTS.get(text(body.get("reasoning_effort")))
    if effort:
        config["effort"] = effort
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            config["format"] = {"type": "json_schema", "schema": schema}
        case _:
            pass
    thinking: JsonObject = {"thinking": {"type": "adaptive"}} if effort and not forces_tool(choice) else {}
    return {**thinking, **({"output_config": config} if config else {})}
