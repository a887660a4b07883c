"""Edits inside JSON values, and inside text that is itself JSON (tool arguments), which stays valid JSON.

Only the characters of an edit change: spacing, escapes and the order of keys around it stay as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from registry.errors import RedactionError
from router.redaction.assignments import inherited

# Strings, brackets, and whole numbers long enough to be an id or a card, not the many short ones and fractions of data.
_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\]]|(?<![0-9.eE+-])[0-9]{5,}+(?![.eE])', re.DOTALL)
# What the dialects call their own fields: nobody's secret, and most of the keys of a request.
_FIELDS: Final = frozenset(
    {
        "arguments", "content", "description", "enum", "function", "id", "input", "input_schema", "items", "max_tokens",
        "messages", "metadata", "model", "name", "parameters", "properties", "required", "role", "stream", "strict",
        "system", "temperature", "text", "tool_call_id", "tool_calls", "tool_use_id", "tools", "type",
    }
)  # fmt: skip
# Pairs, as of environment variables and headers: the name says what the value is.
_NAMES: Final = ("name", "Name", "key", "Key", "header")
_VALUES: Final = frozenset({"value", "Value"})
_LONG_NUMBER: Final = 1_000_000
_COLON: Final = re.compile(r"\s*:")
_OPTION: Final = "--"
_UNIT: Final = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|[^\\]", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Edit:
    """Replaces `text[start:end]`; edits of one text are ordered and disjoint."""

    start: int
    end: int
    replacement: str


# Gives the edits of a text; its second argument is the key that the text is the value of, "" where there is none.
Editor = Callable[[str, str], Iterable[Edit]]


def edit_value(value: object, editor: Editor, key: str = "") -> object:
    """Return a JSON value with every string in it edited, keys included; a long number that must go becomes a string.

    Raise RedactionError for what JSON cannot hold, such as bytes.
    """
    if isinstance(value, str):
        return edit_leaf(value, editor, key)
    if is_long_number(value):
        edits = list(editor(str(value), key))
        return apply(str(value), edits) if edits else value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {
            _edit_key(name, editor): edit_value(item, editor, named_by(value, name, key))
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [edit_value(item, editor, name) for name, item in named_items(value, key)]
    raise _not_json(value)


def is_long_number(value: object) -> bool:
    """Tell whether a JSON value is a whole number that may be somebody's: a token's number in a prompt is shorter."""
    return isinstance(value, int) and value >= _LONG_NUMBER


def named_by(pairs: Mapping[str, object], key: str, parent: str) -> str:
    """Return what says what the value of a key is: the key, or the name where the two are a pair, or the key above."""
    pair = (name for said in _NAMES if isinstance(name := pairs.get(said), str)) if key in _VALUES else iter(())
    return inherited(next(pair, key), parent)


def named_items(items: Sequence[object], key: str) -> Iterator[tuple[str, object]]:
    """Yield the items of a list, each with what says what it is: the list's key, or the option before it."""
    name = key
    for item in items:
        yield name, item
        name = item if isinstance(item, str) and item.startswith(_OPTION) else key


def edit_leaf(text: str, editor: Editor, key: str = "") -> str:
    """Return one string with its edits made, as JSON if it is JSON."""
    return apply(text, leaf_edits(text, editor, key))


def apply(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with the edits made."""
    pieces: list[str] = []
    position = 0
    for edit in edits:
        pieces += (text[position : edit.start], edit.replacement)
        position = edit.end
    return "".join((*pieces, text[position:]))


def escape(text: str) -> str:
    """Return `text` as it stands between the quotes of a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def is_json(text: str) -> bool:
    """Tell whether a text is a JSON object or array."""
    if text.lstrip(" \t\r\n")[:1] not in ("{", "["):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def leaf_edits(text: str, editor: Editor, key: str) -> Iterable[Edit]:
    """Return the edits of one string that is the value of a key; of one that is JSON, those of the strings in it."""
    return _edits_in_json(text, editor) if is_json(text) else editor(text, key)


def _edits_in_json(text: str, editor: Editor) -> list[Edit]:
    edits: list[Edit] = []
    above: list[tuple[str, str]] = []  # the open objects and lists, and what they are the values of
    key = name = ""
    for token in _TOKEN.finditer(text):
        start, raw = token.start(), token[0]
        if raw in "{[":
            above.append((raw, key))
        elif raw in "]}":
            above.pop()
            key, name = _of_items(above), ""
        elif raw[0] != '"':
            # A number that must go becomes a string: a bare placeholder would not be JSON.
            edits += [Edit(start, token.end(), f'"{apply(raw, found)}"') for found in [list(editor(raw, key))] if found]
        elif _COLON.match(text, token.end()):
            said = orjson.loads(raw)
            edits += _in_string(raw, start, editor(said, ""))
            key = inherited(name if name and said in _VALUES else said, above[-1][1])
        else:
            value = orjson.loads(raw)
            edits += _in_string(raw, start, leaf_edits(value, editor, key))
            name = value if key in _NAMES else name
            key = value if value.startswith(_OPTION) else _of_items(above)
    return edits


def _of_items(above: Sequence[tuple[str, str]]) -> str:
    """Return what the next item of the innermost list is the value of; the next of an object has a key."""
    return above[-1][1] if above and above[-1][0] == "[" else ""


def _in_string(raw: str, start: int, edits: Iterable[Edit]) -> list[Edit]:
    """Move edits of a decoded string into the JSON text that holds it as `raw` at `start`."""
    edits = list(edits)
    if not edits:
        return []
    at = [start + 1 + offset for offset in _raw_offsets(raw[1:-1])]
    return [Edit(at[edit.start], at[edit.end], escape(edit.replacement)) for edit in edits]


def _raw_offsets(body: str) -> Iterable[int]:
    """Return where each decoded character begins in the body of a JSON string, and where the last one ends."""
    if "\\" not in body:
        return range(len(body) + 1)
    return [*(unit.start() for unit in _UNIT.finditer(body)), len(body)]


def key_edits(name: str, editor: Editor) -> Iterable[Edit]:
    """Return the edits of a key of an object."""
    return () if name in _FIELDS else editor(name, "")


def _edit_key(name: object, editor: Editor) -> str:
    if not isinstance(name, str):
        raise _not_json(name)
    return name if name in _FIELDS else apply(name, editor(name, ""))


def _not_json(value: object) -> RedactionError:
    kind = type(value).__name__
    return RedactionError(
        f"a value of type {kind} cannot be inspected for secrets; send text, numbers, lists and objects"
    )
