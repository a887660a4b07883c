"""Where in a request what was masked: for people who ask, never on the way of a request. No value is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from router.redaction.json_text import Edit, Editor, apply, is_long_number, key_edits, leaf_edits, named_by, named_items
from router.redaction.opaque import put_back
from router.redaction.placeholders import Vocabulary

_PLAIN_KEY: Final = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """One masked value: in which string of the request it stood, and what stands there instead."""

    path: str
    """The string, as in `messages[2].content`; keys of objects are written masked."""
    start: int
    """Where the value began, in characters of the string as it came: escapes of JSON inside of it count."""
    end: int
    type: str
    placeholder: str
    in_key: bool
    """Whether the string is a key, the last of its path, and no value."""


@dataclass(frozen=True, slots=True)
class _Leaf:
    path: str
    text: str
    edits: Sequence[Edit]
    in_key: bool = False


def places_in(value: object, editor: Editor, vocabulary: Vocabulary, payloads: Sequence[str] = ()) -> list[Place]:
    """Return the places of all edits in a JSON value, in the order in which `edit_value` makes them.

    `payloads` are the bytes that were set aside before: places count as if they still stood there.
    """
    return [
        Place(
            leaf.path,
            _before(leaf.text, edit.start, payloads),
            _before(leaf.text, edit.end, payloads),
            word.type,
            edit.replacement[word.start : word.end],
            leaf.in_key,
        )
        for leaf in _leaves(value, editor, "", "")
        for edit in leaf.edits
        for word in vocabulary.find(edit.replacement)
    ]


def _leaves(value: object, editor: Editor, key: str, path: str) -> Iterator[_Leaf]:
    if isinstance(value, str):
        yield _Leaf(path, value, list(leaf_edits(value, editor, key)))
    elif is_long_number(value):
        yield _Leaf(path, str(value), list(editor(str(value), key)))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            edits = list(key_edits(name, editor))
            inner = path + _step(apply(name, edits), first=not path)
            yield _Leaf(inner, name, edits, in_key=True)
            yield from _leaves(item, editor, named_by(value, name, key), inner)
    elif isinstance(value, list | tuple):
        for index, (name, item) in enumerate(named_items(value, key)):
            yield from _leaves(item, editor, name, f"{path}[{index}]")


def _step(name: str, *, first: bool) -> str:
    if not _PLAIN_KEY.fullmatch(name):
        return f"[{name!r}]"
    return name if first else f".{name}"


def _before(text: str, place: int, payloads: Sequence[str]) -> int:
    return len(str(put_back(text[:place], payloads)))
