"""What vendors refuse of a request: a translation that only a lenient server takes is none."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.clients.scripting import Body

_CHAT_TOOL = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MESSAGES_TOOL = re.compile(r"[A-Za-z0-9_-]{1,128}")
_REFUSED_SINCE_2026 = ("temperature", "top_p", "top_k")
_CHAT_FIELDS = frozenset({
    "model", "messages", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls", "prediction",
    "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature",
    "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
})  # fmt: skip
"""All of OpenAI's but `web_search_options`, which only its search models take."""
_MESSAGES_FIELDS = frozenset({
    "model", "messages", "max_tokens", "system", "tools", "tool_choice", "metadata", "stop_sequences", "stream",
    "temperature", "top_p", "top_k", "thinking", "service_tier", "container", "context_management", "mcp_servers",
    "output_config", "output_format", "cache_control", "speed", "inference_geo",
})  # fmt: skip
_BLOCK_FIELDS = {
    "text": {"type", "text", "cache_control", "citations"},
    "thinking": {"type", "thinking", "signature"},
    "tool_use": {"type", "id", "name", "input", "cache_control", "caller"},
    "tool_result": {"type", "tool_use_id", "content", "is_error", "cache_control"},
}


def refusal(path: str, body: Body, version: str | None) -> str | None:
    """Return why a vendor would answer 400, None where it would not."""
    checks = {"/chat/completions": _chat, "/messages": _messages, "/responses": _responses}
    if path not in checks:
        return None
    newer = path == "/messages" and (version or "") >= "2026"
    refused = [f"{name} is refused" for name in _REFUSED_SINCE_2026 if newer and name in body]
    return next(iter([*refused, *checks[path](body)]), None)


def _chat(body: Body) -> Iterator[str]:
    yield from (f"unrecognized request argument supplied: {name}" for name in sorted(body.keys() - _CHAT_FIELDS))
    yield from _names(_CHAT_TOOL, [tool.get("function", {}).get("name") for tool in body.get("tools") or ()])
    if body.get("tools") == []:
        yield "tools is empty"
    if "tool_choice" in body and not body.get("tools"):
        yield "tool_choice is only allowed when tools are specified"
    if not body.get("stream") and body.get("stream_options") is not None:
        yield "stream_options is only allowed when stream is true"
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                yield "a message of role tool must follow a message with its tool_calls"
            waiting = [name for name in waiting if name != message.get("tool_call_id")]
        elif waiting:
            yield f"tool_calls without an answer: {waiting}"
        else:
            waiting = [call["id"] for call in message.get("tool_calls") or ()]
    if waiting:
        yield f"tool_calls without an answer: {waiting}"


def _messages(body: Body) -> Iterator[str]:
    yield from (f"{name}: extra inputs are not permitted" for name in sorted(body.keys() - _MESSAGES_FIELDS))
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: field required"
    yield from _names(_MESSAGES_TOOL, [tool.get("name") for tool in body.get("tools") or ()])
    own = [tool for tool in body.get("tools") or () if tool.get("type", "custom") == "custom"]
    yield from (f"{tool['name']}: input_schema.type: field required" for tool in own if not _takes_object(tool))
    waiting: set[str] = set()
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        for block in blocks:
            extra = block.keys() - _BLOCK_FIELDS.get(block["type"], block.keys())
            yield from (f"{block['type']}.{name}: extra inputs are not permitted" for name in sorted(extra))
        given = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if given != waiting:
            yield f"tool_use ids {sorted(waiting)} were followed by tool_result of {sorted(given)}"
        waiting = {block["id"] for block in blocks if block["type"] == "tool_use"}
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            yield "text content blocks must contain non-whitespace text"
        if message["content"] in ("", []):
            yield "messages must have non-empty content"


def _responses(body: Body) -> Iterator[str]:
    items = body["input"] if isinstance(body["input"], list) else []
    called = {item["call_id"] for item in items if item.get("type") in ("function_call", "custom_tool_call")}
    given = {item["call_id"] for item in items if str(item.get("type")).endswith("_call_output")}
    if given != called:
        yield f"calls {sorted(called)} were followed by outputs of {sorted(given)}"
    if any(item.get("type") == "reasoning" and not item.get("encrypted_content") for item in items):
        yield "a reasoning item was not found; nothing is stored"


def _takes_object(tool: Body) -> bool:
    return (tool.get("input_schema") or {}).get("type") == "object"


def _names(allowed: re.Pattern[str], names: list[str | None]) -> Iterator[str]:
    yield from (f"tool name {name!r} does not match" for name in names if not allowed.fullmatch(name or ""))
    if len(set(names)) < len(names):
        yield "tool names must be unique"
