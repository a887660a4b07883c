"""Find what all training answers of a workflow keep to, and write it as GBNF for the engine. Pure.

Either they form a small closed set, or all are JSON of one shape; else there is no grammar. Calibration and holdout
answers are never looked at, so that both measure what a grammar costs.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from breeder.dataset import Dataset
from breeder.json_layout import Layout, depth, layout_of, spelled
from registry.entities import Json
from router.engine.protocol import MAX_GRAMMAR_CHARS, MAX_GRAMMAR_RULES

UNSEEN = 0.02
"""The most of the next tasks that may want what no training answer has, over all places of a JSON shape together. A
grammar can thus cost 2 points, if a free specialist had said all that it lacks; the default margin is 5."""
MAX_LABELS = 200
MAX_LABEL_CHARS = 200
MAX_DEPTH = 8

_UNWRITABLE = re.compile(r'[\\"\x00-\x1f\x7f]')

_PRIMITIVES = {
    "string": r'"\"" ([^"\\\x00-\x1F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex))* "\""',
    "hex": "[0-9a-fA-F]",
    "integer": r'"-"? ("0" | [1-9] [0-9]*)',
    "number": r'integer ("." [0-9]+)? ([eE] [-+]? [0-9]+)?',
}


def dataset_grammar(dataset: Dataset) -> str:
    """Return the GBNF that a dataset's training answers keep to, empty where there is none."""
    return find_grammar([row.answer for row in dataset.rows["train"]])


def grammar_name(grammar: str) -> str:
    """Return what a specialist's record calls its grammar, as in `one of 12 labels`."""
    first = grammar.partition("\n")[0]
    return first.removeprefix("# ") if first.startswith("# ") else "a grammar without a name" if grammar else "none"


def find_grammar(answers: Sequence[str]) -> str:
    """Return the GBNF of these answers, with its name as a comment in the first line; empty where there is none.

    Every one of the answers satisfies it.
    """
    if is_closed(answers):
        labels = sorted(set(answers))
        text = f"# one of {len(labels)} labels\nroot ::= {_one_of(labels)}\n"
    else:
        text = _json_grammar(answers)
    return text if len(text) <= MAX_GRAMMAR_CHARS and text.count("::=") <= MAX_GRAMMAR_RULES else ""


def is_closed(values: Sequence[str]) -> bool:
    """Say whether texts are few and short enough, and each seen often enough, for a closed set."""
    counts = Counter(values)
    # llama.cpp ends every text at a NUL.
    sayable = all(len(value) <= MAX_LABEL_CHARS and "\0" not in value for value in counts)
    return sayable and _little_unseen(counts, len(values))


def _little_unseen(counts: Mapping[str, int], n: int) -> bool:
    return len(counts) <= MAX_LABELS and _at_most(_seen_once(counts)) <= UNSEEN * n


def _seen_once(counts: Mapping[str, int]) -> int:
    return sum(count == 1 for count in counts.values())


def _at_most(seen_once: int) -> float:
    """Return a 95 % upper bound on how many of n answers are expected to be seen once.

    Good and Turing estimate the share of the next answers that are new by what was seen once, of all. Their estimate
    alone closed sets that lack 6 %, because a set is closed where it happens to be low; so the count, a Poisson
    variable, gets its upper bound (chi-squared's or up to 1.5 more). Nothing closes on fewer than 150 answers.
    """
    return seen_once + 1.65 * math.sqrt(seen_once) + 3


def _json_grammar(answers: Sequence[str]) -> str:
    try:
        values = [spelled(answer) for answer in answers]
        deepest = max(map(depth, values), default=0)
    except (ValueError, RecursionError):
        return ""
    of_one_kind = {type(value) for value in values} in ({dict}, {list})
    layout = layout_of(answers, values) if of_one_kind and deepest <= MAX_DEPTH else None
    if layout is None:
        return ""
    writer = _Writer(layout, len(answers))
    root = writer.value(values, 0)
    primitives = [f"{name} ::= {rule}" for name, rule in _PRIMITIVES.items()]
    return "\n".join([f"# JSON {_told(values)}", f"root ::= {root}", *writer.rules, *primitives, ""])


def _told(values: Sequence[Json]) -> str:
    objects = [value for value in values if isinstance(value, dict)]
    if not objects:
        return "array"
    keys = _key_counts(objects)
    known = _little_unseen(keys, len(objects)) and _order(objects)
    return f"object with {len(keys)} keys" if known else "object"


def _key_counts(objects: Sequence[Mapping[str, Json]]) -> Counter[str]:
    return Counter(key for one in objects for key in one)


def _order(objects: Sequence[Mapping[str, Json]]) -> list[str]:
    """Return the keys in the order that every object keeps to, empty where there is none."""
    order: TopologicalSorter[str] = TopologicalSorter()
    for one in objects:
        before: str | None = None
        for key in one:
            order.add(key, *([before] if before is not None else []))
            before = key
    try:
        return list(order.static_order())
    except CycleError:
        return []


class _Writer:
    """Writes rules for the values seen at one place of the shape, place by place.

    Not llama_cpp's json_schema_to_gbnf: that lets white space of its own choice stand after every token, where a
    specialist was trained on one layout.
    """

    def __init__(self, layout: Layout, answers: int) -> None:
        self.rules: list[str] = []
        self._layout = layout
        self._answers = answers
        self._seen_once = 0

    def value(self, values: Sequence[Json], depth: int) -> str:
        """Return an expression that takes every one of these values, written at a depth."""
        strings = [value for value in values if isinstance(value, str)]
        objects = [value for value in values if isinstance(value, dict)]
        arrays = [value for value in values if isinstance(value, list)]
        numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        choices = [
            self._string(strings) if strings else "",
            self._object(objects, depth) if objects else "",
            self._array(arrays, depth) if arrays else "",
            ("integer" if all(isinstance(n, int) for n in numbers) else "number") if numbers else "",
            '"true" | "false"' if any(isinstance(value, bool) for value in values) else "",
            '"null"' if None in values else "",
        ]
        return f"({' | '.join(filter(None, choices))})"

    def _string(self, strings: Sequence[str]) -> str:
        if not is_closed(strings) or not self._afford(Counter(strings)):
            return "string"
        return _one_of([f'"{text}"' for text in sorted(set(strings))])

    def _afford(self, counts: Mapping[str, int]) -> bool:
        """Say whether one more place may be closed, and count what it may lack."""
        seen_once = self._seen_once + _seen_once(counts)
        affordable = _at_most(seen_once) <= UNSEEN * self._answers
        if affordable:
            self._seen_once = seen_once
        return affordable

    def _object(self, objects: Sequence[Mapping[str, Json]], depth: int) -> str:
        filled = [one for one in objects if one]
        members = ""
        if filled:
            keys = _key_counts(filled)
            known = _little_unseen(keys, len(filled)) and self._afford(keys)
            order = _order(filled) if known else []
            inner = depth + 1
            members = self._members(order, filled, inner) if order else self._any_members(known, filled, inner)
        return self._enclosed("{}", members, depth, empty=len(filled) < len(objects))

    def _members(self, keys: Sequence[str], objects: Sequence[Mapping[str, Json]], depth: int) -> str:
        """Return an expression for the known keys in their order, each required that no object lacks."""
        after = self._rule('""')
        starts: list[str] = []
        for key in reversed(keys):
            values = [one[key] for one in objects if key in one]
            name = _literal(f'"{key}"{self._layout.key}')
            member = self._rule(f"{name} {self.value(values, depth)}")
            required = len(values) == len(objects)
            starts = [f"{member} {after}", *([] if required else starts)]
            more = f"{self._separator(depth)} {member}"
            after = self._rule(f"{more} {after}" if required else f"({more})? {after}")
        return f"({' | '.join(starts)})"

    def _any_members(self, known: bool, objects: Sequence[Mapping[str, Json]], depth: int) -> str:
        """Return an expression for any number of members in any order, with known keys or free ones."""
        key = _one_of([f'"{key}"' for key in sorted(_key_counts(objects))]) if known else "string"
        value = self.value([value for one in objects for value in one.values()], depth)
        return self._repeated(self._rule(f"{key} {_literal(self._layout.key)} {value}"), depth)

    def _array(self, arrays: Sequence[Sequence[Json]], depth: int) -> str:
        items = [item for one in arrays for item in one]
        item = self._repeated(self._rule(self.value(items, depth + 1)), depth + 1) if items else ""
        return self._enclosed("[]", item, depth, empty=not all(arrays))

    def _repeated(self, member: str, depth: int) -> str:
        return f"{member} ({self._separator(depth)} {member})*"

    def _separator(self, depth: int) -> str:
        return _literal(self._layout.item + self._layout.line(depth))

    def _enclosed(self, brackets: str, members: str, depth: int, *, empty: bool) -> str:
        """Return the name of a rule for an object or array; `json.dumps` breaks no line within an empty one."""
        first = _literal(brackets[0] + self._layout.line(depth + 1))
        last = _literal(self._layout.line(depth) + brackets[1])
        choices = [f"{first} {members} {last}" if members else "", _literal(brackets) if empty else ""]
        return self._rule(" | ".join(filter(None, choices)))

    def _rule(self, body: str) -> str:
        name = f"r{len(self.rules)}"
        self.rules.append(f"{name} ::= {body}")
        return name


def _one_of(texts: Sequence[str]) -> str:
    return f"({' | '.join(map(_literal, texts))})"


def _literal(text: str) -> str:
    """Return a text as GBNF takes it."""
    return '"' + _UNWRITABLE.sub(_escaped, text) + '"'


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}" if found[0] in '\\"' else f"\\x{ord(found[0]):02X}"
