"""Whole requests to chat and back."""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.responses.conversation import items_of, messages_of
from router.dialects.responses.fields import given, table
from router.dialects.responses.tools import tools_from_chat, tools_to_chat

_SHARED = (
    "model",
    "stream",
    "temperature",
    "top_p",
    "metadata",
    "store",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
)


def request_to_chat(body: JsonObject) -> JsonObject:
    """Return a request in chat's form."""
    shaped = table(body.get("text"))
    return given(
        **{field: body.get(field) for field in _SHARED},
        messages=messages_of(body),
        **tools_to_chat(body),
        max_completion_tokens=body.get("max_output_tokens"),
        reasoning_effort=table(body.get("reasoning")).get("effort"),
        response_format=_format_to_chat(table(shaped.get("format"))),
        verbosity=shaped.get("verbosity"),
    )


def request_from_chat(body: JsonObject) -> JsonObject:
    """Return a chat request in this form; what chat does not store by default is not stored here either."""
    instructions, items = items_of(body.get("messages"))
    shaped = given(format=_format_from_chat(table(body.get("response_format"))), verbosity=body.get("verbosity"))
    limit = body.get("max_completion_tokens")
    return given(
        **{"store": False, **{field: body[field] for field in _SHARED if body.get(field) is not None}},
        instructions=instructions,
        input=items,
        **tools_from_chat(body),
        max_output_tokens=limit if limit is not None else body.get("max_tokens"),
        reasoning=given(effort=body.get("reasoning_effort")) or None,
        text=shaped or None,
    )


def _format_to_chat(wanted: JsonObject) -> Json:
    match wanted.get("type"):
        case "json_schema":
            return {"type": "json_schema", "json_schema": {key: wanted[key] for key in wanted if key != "type"}}
        case "json_object":
            return wanted
        case _:
            return None


def _format_from_chat(wanted: JsonObject) -> Json:
    match wanted.get("type"):
        case "json_schema":
            return {"type": "json_schema", **table(wanted.get("json_schema"))}
        case "json_object":
            return wanted
        case _:
            return None
