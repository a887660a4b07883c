"""Reads request bodies, and refuses whatever refers to state: no lane, redactor or ledger here could see it."""

from __future__ import annotations

from collections.abc import Mapping

from registry.entities import Json
from router.chat import JsonObject, parse_object
from router.dialects.protocol import Request
from router.dialects.responses.fields import kind_of
from router.hints import without_hints
from router.problems import InvalidRequestError

OWN_REASONING = "rs_own_"
"""How the ids of reasoning items begin that the router itself wrote; no vendor knows them."""

_STATEFUL = ("previous_response_id", "conversation", "prompt")
_ROLES = ("user", "assistant", "system", "developer")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "instructions": ((str,), "a string"),
    "tools": ((list,), "a list of objects"),
    "tool_choice": ((str, dict), "a string or an object"),
    "text": ((dict,), "an object"),
    "reasoning": ((dict,), "an object"),
    "metadata": ((dict,), "an object of strings"),
    "stream": ((bool,), "true or false"),
}
# What an item needs to be brought into another form; each is a string.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id",),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id",),
}


def read_request(raw: bytes) -> Request:
    """Read the body of POST /v1/responses.

    Raises:
        InvalidRequestError: it is not JSON, it refers to state, or a field that routing or translation needs is
            missing or of another type.

    """
    body = parse_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model.strip():
        raise InvalidRequestError("model must be a name such as 'auto' or 'gpt-5.4'", "model")
    _refuse_state(body)
    for field, (types, wanted) in _TYPES.items():
        if body.get(field) is not None and not isinstance(body[field], types):
            raise InvalidRequestError(f"{field} must be {wanted}, not a {type(body[field]).__name__}", field)
    _check_input(body.get("input"))
    _check_tools(body.get("tools"), "tools")
    return Request(body, model.strip(), stream=body.get("stream") is True, wants_usage=True)


def outgoing_request(body: JsonObject, model: str) -> JsonObject:
    """Return a request as an upstream of this dialect gets it: model named, our hints and client telemetry gone."""
    sent = {**body, "model": model}
    sent.pop("client_metadata", None)
    metadata = without_hints(sent.pop("metadata", None))
    if metadata is not None:
        sent["metadata"] = metadata
    items = sent.get("input")
    if isinstance(items, list):
        sent["input"] = [item for item in items if not (isinstance(item, dict) and _is_own_reasoning(item))]
    return sent


def _is_own_reasoning(item: JsonObject) -> bool:
    """Tell reasoning of a translated answer: an upstream has no such item and nothing to read in it, and refuses it."""
    if item.get("type") != "reasoning" or item.get("encrypted_content") or item.get("content"):
        return False
    name = item.get("id")
    return not isinstance(name, str) or name.startswith(OWN_REASONING)


def _refuse_state(body: JsonObject) -> None:
    for field in _STATEFUL:
        if body.get(field) is not None:
            raise InvalidRequestError(
                f"{field} refers to what a server has stored; this router keeps no state and could neither redact nor "
                "record it: send the whole conversation as input",
                field,
            )
    if body.get("background"):
        raise InvalidRequestError(
            "background answers are fetched later, and this router keeps none; send background: false", "background"
        )


def _check_input(value: Json) -> None:
    if isinstance(value, str):
        return
    if not isinstance(value, list) or not value:
        raise InvalidRequestError("input must be a string or a list of at least one item", "input")
    for place, item in enumerate(value):
        _check_item(item, f"input[{place}]")


def _check_item(item: Json, param: str) -> None:
    if not isinstance(item, dict):
        raise InvalidRequestError(f"{param} must be an object", param)
    kind = kind_of(item)
    if not kind:
        raise InvalidRequestError(f"{param} has no type; send one such as 'message'", param)
    if kind == "item_reference":
        raise InvalidRequestError(f"{param} refers to a stored item; this router keeps none: send the item", param)
    for field in _NEEDED.get(kind, ()):
        if not isinstance(item.get(field), str):
            raise InvalidRequestError(f"{param}.{field} must be a string", f"{param}.{field}")
    if kind == "message":
        if item.get("role") not in _ROLES:
            raise InvalidRequestError(f"{param}.role must be one of {', '.join(_ROLES)}", f"{param}.role")
        _check_content(item.get("content"), f"{param}.content")
    elif kind in ("function_call_output", "custom_tool_call_output"):
        _check_content(item.get("output"), f"{param}.output")


def _check_content(content: Json, param: str) -> None:
    parts = content if isinstance(content, list) else []
    if not isinstance(content, str | list) or not all(isinstance(part, dict) for part in parts):
        raise InvalidRequestError(f"{param} must be a string or a list of parts", param)


def _check_tools(tools: Json, param: str) -> None:
    for place, tool in enumerate(tools if isinstance(tools, list) else []):
        at = f"{param}[{place}]"
        if not isinstance(tool, dict):
            raise InvalidRequestError(f"{at} must be an object", at)
        kind = tool.get("type")
        if kind in ("function", "custom", "namespace") and not isinstance(tool.get("name"), str):
            raise InvalidRequestError(f"{at}.name must be a string; here tools are flat: type, name, parameters", at)
        if kind == "namespace":
            _check_tools(tool.get("tools"), f"{at}.tools")
