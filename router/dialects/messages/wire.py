"""Careful reading of JSON that others wrote, and the frames of Anthropic's event streams."""

from __future__ import annotations

import re

import orjson

from registry.entities import Json
from router.chat import JsonObject

_TOO_MANY = 10**12
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")


def fields(value: Json) -> JsonObject:
    """Return an object as it is, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: Json) -> list[JsonObject]:
    """Return the objects of a list, none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: Json) -> str:
    """Return a text as it is, an empty one for anything else."""
    return value if isinstance(value, str) else ""


def count(value: Json) -> int:
    """Return a number of tokens, 0 where there is none that can be one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _TOO_MANY else 0


def blocks_of(content: Json) -> list[JsonObject]:
    """Return the blocks of a message's content; a string is short for one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else objects(content)


def tool_id(name: str) -> str:
    """Return the id of a tool call with what Anthropic refuses in ids replaced, the same for call and result."""
    return _NOT_IN_IDS.sub("_", name)


def event_frame(event: JsonObject) -> bytes:
    """Return one event as a whole frame."""
    return frame(text(event.get("type")), orjson.dumps(event))


def frame(kind: str, data: bytes) -> bytes:
    """Return data of an event as a whole frame, its bytes unchanged."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data.replace(b"\n", b"\ndata: "))
