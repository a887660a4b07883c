"""Reading of Messages requests: what routing and translation need is checked, everything else passes.

Both versions of the API are read alike; what a version refuses, the upstream that is asked in it refuses itself.
"""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject, parse_object
from router.dialects.messages.wire import fields, objects
from router.dialects.protocol import Request
from router.hints import without_hints
from router.problems import InvalidRequestError

UNSIGNED = "modelbreeder-unsigned"
"""The signature of thinking that no Anthropic model signed; Anthropic would refuse it, so it never goes there."""

_ROLES = ("user", "assistant", "system")
_OBJECTS = ("thinking", "output_config", "metadata", "tool_choice")
_NAMES = {"str": "a string", "dict": "an object", "list": "a list"}
# Type of a block to the fields that translation reads, each with the type it must have.
_NEEDED: dict[str, dict[str, type[object]]] = {
    "text": {"text": str},
    "image": {"source": dict},
    "document": {"source": dict},
    "tool_use": {"id": str, "name": str, "input": dict},
    "tool_result": {"tool_use_id": str},
    "thinking": {"thinking": str},
    "redacted_thinking": {"data": str},
}


def read(raw: bytes) -> Request:
    """Read the body of POST /v1/messages; see `Dialect.read`."""
    body = count_request(raw)
    limit, stream = body.get("max_tokens"), body.get("stream") or False
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise InvalidRequestError(f"max_tokens must be a whole number such as 1024, not {limit!r}", "max_tokens")
    if not isinstance(stream, bool):
        raise InvalidRequestError(f"stream must be true or false, not {stream!r}", "stream")
    return Request(body, str(body["model"]).strip(), stream, wants_usage=True)


def count_request(raw: bytes) -> JsonObject:
    """Read the body of POST /v1/messages/count_tokens, which has no max_tokens; raise as `Dialect.read` does."""
    body = parse_object(raw)
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not model.strip():
        raise InvalidRequestError("model must be a name such as 'auto' or 'claude-opus-5-5'", "model")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequestError("messages must be a list of at least one message", "messages")
    for place, message in enumerate(messages):
        _check_message(message, f"messages.{place}")
    _check_content(body.get("system") or "", "system", ("text",))
    _check_fields(body)
    return body


def token_count(tokens: int) -> JsonObject:
    """Return the answer of POST /v1/messages/count_tokens."""
    return {"input_tokens": tokens}


def outgoing(body: JsonObject, model: str) -> JsonObject:
    """Return a request as an upstream gets it: model named, our hints and our own unsigned thinking gone."""
    sent: JsonObject = {**body, "model": model}
    metadata = without_hints(sent.pop("metadata", None))
    if metadata is not None:
        sent["metadata"] = metadata
    messages = body.get("messages")
    if any(_is_unsigned(block) for message in objects(messages) for block in objects(message.get("content"))):
        sent["messages"] = [signed for message in objects(messages) for signed in _signed(message)]
    return sent


def asks_for_thinking(body: JsonObject) -> bool:
    """Say whether a client wants to see thinking; one that did not ask may take the first block for the answer."""
    thinking = fields(body.get("thinking"))
    return thinking.get("type", "disabled") != "disabled" and thinking.get("display") != "omitted"


def asks_for_json(body: JsonObject) -> bool:
    """Say whether the answer's text will be JSON."""
    return answer_format(body).get("type") == "json_schema"


def answer_format(body: JsonObject) -> JsonObject:
    """Return the form that the answer's text must have, empty for free text; `output_format` is how betas said it."""
    return fields(fields(body.get("output_config")).get("format")) or fields(body.get("output_format"))


def _signed(message: JsonObject) -> list[Json]:
    """Return a message less our own thinking; none where it was nothing else."""
    content = message.get("content")
    if not isinstance(content, list):
        return [message]
    kept: list[Json] = [block for block in content if not _is_unsigned(block)]
    return [{**message, "content": kept}] if kept or not content else []


def _is_unsigned(block: Json) -> bool:
    return isinstance(block, dict) and block.get("type") == "thinking" and block.get("signature") == UNSIGNED


def _check_message(message: Json, at: str) -> None:
    if not isinstance(message, dict):
        raise InvalidRequestError(f"{at} must be an object with role and content", at)
    role = message.get("role")
    if role not in _ROLES:
        raise InvalidRequestError(f"{at}.role must be one of {', '.join(_ROLES)}, not {role!r}", f"{at}.role")
    _check_content(message.get("content"), f"{at}.content", ("text",) if role == "system" else ())


def _check_content(content: Json, at: str, only: tuple[str, ...] = ()) -> None:
    if isinstance(content, str):
        return
    if not isinstance(content, list):
        raise InvalidRequestError(f"{at} must be a string or a list of blocks", at)
    for place, block in enumerate(content):
        _check_block(block, f"{at}.{place}", only)


def _check_block(block: Json, at: str, only: tuple[str, ...], *, in_result: bool = False) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(block, dict) or not isinstance(kind, str):
        raise InvalidRequestError(f"{at} must be an object with a type", at)
    if (only and kind not in only) or (in_result and kind == "tool_result"):
        raise InvalidRequestError(f"{at} is of type {kind!r}, which may not stand there", f"{at}.type")
    for name, needed in _NEEDED.get(kind, {}).items():
        _check_type(block.get(name), f"{at}.{name}", needed)
    inner = block.get("content") if kind == "tool_result" else None
    for place, part in enumerate(inner if isinstance(inner, list) else []):
        _check_block(part, f"{at}.content.{place}", (), in_result=True)
    if inner is not None and not isinstance(inner, str | list):
        raise InvalidRequestError(f"{at}.content must be a string or a list of blocks", f"{at}.content")


def _check_type(value: Json, param: str, needed: type[object]) -> None:
    if not isinstance(value, needed):
        raise InvalidRequestError(f"{param} must be {_NAMES[needed.__name__]}", param)


def _check_fields(body: JsonObject) -> None:
    """Check the types of the fields that translation looks into."""
    for name in _OBJECTS:
        if body.get(name) is not None:
            _check_type(body[name], name, dict)
    for name in ("tools", "stop_sequences"):
        if body.get(name) is not None:
            _check_type(body[name], name, list)
    tools = body.get("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else []):
        _check_type(tool, f"tools.{place}", dict)
