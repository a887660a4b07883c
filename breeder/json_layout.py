"""JSON texts as they were written: strings as spelled, and the white space between them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from registry.entities import Json

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SCALAR = re.compile(r"[^\s{}\[\],:]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """How JSON is laid out, in the words of `json.dumps`."""

    item: str
    key: str
    indent: str | None = None

    def line(self, depth: int) -> str:
        """Return the white space before what stands at a depth."""
        return "" if self.indent is None else "\n" + self.indent * depth

    def dump(self, value: Json) -> str:
        """Return a value in this layout."""
        return json.dumps(value, ensure_ascii=False, indent=self.indent, separators=(self.item, self.key))


LAYOUTS = (
    *(Layout(item, key) for item in (",", ", ") for key in (":", ": ")),
    *(Layout(",", ": ", indent) for indent in (" ", "  ", "   ", "    ", "\t")),
)


def spelled(text: str) -> Json:
    """Return parsed JSON in which every string is as it was spelled, escapes and all.

    Raises:
        ValueError: the text is no JSON.
    """
    json.loads(text, parse_constant=_refuse)
    quoted = _STRING.sub(lambda found: json.dumps(found[1], ensure_ascii=False), text)
    value: Json = json.loads(quoted)
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _skeleton(text: str) -> str:
    """Return JSON with every scalar as 0: what is left is its layout."""
    return _SCALAR.sub("0", _STRING.sub("0", text))


def depth(value: Json) -> int:
    """Return how deep a value nests, 1 for a scalar."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


def layout_of(texts: Sequence[str], values: Sequence[Json]) -> Layout | None:
    """Return the layout that all texts share; `values` are what they spell.

    None where they differ, or one names a key twice: its value has only one of the two.
    """
    skeletons = [_skeleton(text) for text in texts]

    def fits(layout: Layout) -> bool:
        return all(_skeleton(layout.dump(value)) == seen for value, seen in zip(values, skeletons, strict=True))

    return next(filter(fits, LAYOUTS), None)
