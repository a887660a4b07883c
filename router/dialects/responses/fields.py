"""Reads fields of JSON that a stranger wrote: a value of another type counts as missing."""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject

_TOO_MANY = 10**12


def objects(value: Json) -> list[JsonObject]:
    """Return the objects of a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def table(value: Json) -> JsonObject:
    """Return an object, empty where there is none."""
    return value if isinstance(value, dict) else {}


def text(value: Json) -> str:
    """Return a string, empty where there is none."""
    return value if isinstance(value, str) else ""


def count(value: Json) -> int:
    """Return a number of tokens or a place, 0 where there is none that can be one."""
    return value if isinstance(value, int) and 0 <= value < _TOO_MANY else 0


def given(**fields: Json) -> JsonObject:
    """Return the fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def kind_of(item: JsonObject) -> str:
    """Return the type of an input item, empty where it has none: messages and references need not say theirs."""
    if item.get("type") is not None:
        return text(item["type"])
    if "role" in item:
        return "message"
    return "item_reference" if "id" in item else ""
