"""Writes a JSON schema as GBNF, so that one more decoding gives arguments of the right shape. Pure.

llama-cpp-python has `json_schema_to_gbnf`, but to import it loads llama.cpp into the daemon, and what it writes counts
by {m,n}, which the engine refuses. What a grammar here cannot say (patterns, lengths, ranges) it leaves open, so
what was decoded under it is verified again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import reduce

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.engine.protocol import MAX_GRAMMAR_CHARS, MAX_GRAMMAR_RULES
from router.verifying.schemas import MAX_SCHEMA_DEPTH, UnusableSchemaError

MAX_ITEMS = 16
"""Array bounds up to here are written out; larger ones are left open."""
MAX_DIGITS = 18
"""Of an integer: what fits into 64 bits. A model that counts on and on would say a number that nobody can parse."""

_PRIMITIVES = {
    "value": 'string | number | "true" | "false" | "null" | object | array',
    "object": '"{" (string ":" gap value ("," gap string ":" gap value)*)? "}"',
    "array": '"[" (value ("," gap value)*)? "]"',
    "string": r'"\"" ([^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" hex hex hex hex))* "\""',
    "hex": "[0-9a-fA-F]",
    "integer": r'"-"? ("0" | [1-9] digits)',
    "number": r'integer ("." [0-9] digits)? ([eE] [-+]? [0-9] [0-9]?)?',
    "gap": '" "?',
}
_TYPES = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": '("true" | "false")',
    "null": '"null"',
}
_UNWRITABLE = re.compile(r'[\\"\x00-\x1f\x7f]')


def schema_grammar(schema: Json) -> str:
    """Return the GBNF of JSON values that a schema takes: properties in its order, at most one space after `,` and `:`.

    Properties that it does not name are only written where it names none.

    Raises:
        UnusableSchemaError: no value fits it, it refers to what is not there, or its grammar would be too large.

    """
    writer = _Writer(schema)
    root = writer.value(schema, 0)
    more_digits = _up_to("[0-9]", MAX_DIGITS - 1)
    primitives = [f"{name} ::= {rule}" for name, rule in (_PRIMITIVES | {"digits": more_digits}).items()]
    text = "\n".join([f"root ::= {root}", *writer.rules, *primitives, ""])
    if len(text) > MAX_GRAMMAR_CHARS or text.count("::=") > MAX_GRAMMAR_RULES:
        raise UnusableSchemaError(f"the schema's grammar would have {len(text):,} characters; make it simpler")
    return text


class _Writer:
    """Writes a rule for every object and array of a schema, and one for every part that is referred to."""

    def __init__(self, schema: Json) -> None:
        self.rules: list[str] = []
        self._root = schema
        self._named: dict[str, str] = {}

    def value(self, schema: Json, depth: int) -> str:
        """Return an expression for the values that a schema takes."""
        if depth > MAX_SCHEMA_DEPTH or len(self.rules) > MAX_GRAMMAR_RULES:
            raise UnusableSchemaError("the schema is too deep or too large for a grammar; make it simpler")
        if schema is False:
            raise UnusableSchemaError("no value fits a part of the schema, which is false")
        if not isinstance(schema, dict):
            return "value"
        if "$ref" in schema:
            return self._reference(str(schema["$ref"]), depth)
        choices = [schema["const"]] if "const" in schema else schema.get("enum")
        if isinstance(choices, list):
            return self._one_of(_literal(choice) for choice in choices)
        return self._composed(schema, depth)

    def _composed(self, schema: JsonObject, depth: int) -> str:
        for key in ("anyOf", "oneOf"):
            if isinstance(branches := schema.get(key), list) and "properties" not in schema:
                return self._one_of(self.value(branch, depth + 1) for branch in branches)
        if parts := _list(schema.get("allOf")):
            return self.value(reduce(_merged, map(self._looked_up, parts), {**schema, "allOf": []}), depth + 1)
        return self._typed(schema, depth)

    def _typed(self, schema: JsonObject, depth: int) -> str:
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._one_of(self._typed({**schema, "type": kind}, depth) for kind in kinds)
        if kinds == "object" or (kinds is None and "properties" in schema):
            return self._object(schema, depth + 1)
        if kinds == "array" or (kinds is None and ("items" in schema or "prefixItems" in schema)):
            return self._array(schema, depth + 1)
        return _TYPES.get(str(kinds), "value")

    def _object(self, schema: JsonObject, depth: int) -> str:
        properties = _fields(schema.get("properties"))
        required = {str(name) for name in _list(schema.get("required"))}
        rest = schema.get("additionalProperties", True)
        unnamed: JsonObject = dict.fromkeys(sorted(required - set(properties)), rest)
        named = {name: part for name, part in properties.items() if part is not False or name in required}
        if named or unnamed:
            return self._rule(f'"{{" {self._members(named | unnamed, required, depth)} "}}"')
        if rest is False:
            return '"{}"'
        member = self._rule(f'string ":" gap {self.value(rest, depth)}')
        return self._rule(f'"{{" ({member} ("," gap {member})*)? "}}"')

    def _members(self, members: Mapping[str, Json], required: set[str], depth: int) -> str:
        """Return an expression for members in their order, of which only some must be there."""
        after = self._rule('""')
        starts: list[str] = []
        for name, part in reversed(list(members.items())):
            member = self._rule(f'{_literal(name)} ":" gap {self.value(part, depth)}')
            starts = [f"{member} {after}", *([] if name in required else starts)]
            more = f'"," gap {member}'
            after = self._rule(f"{more} {after}" if name in required else f"({more})? {after}")
        return f"({' | '.join(starts)}){'' if required else '?'}"

    def _array(self, schema: JsonObject, depth: int) -> str:
        first = [self.value(part, depth) for part in _list(schema.get("prefixItems"))]
        rest = schema.get("items", True)
        low, high = _bound(schema.get("minItems")) or 0, _bound(schema.get("maxItems"))
        if rest is False or high == 0:
            return self._rule(f'"[" {_joined(first[:high])} "]"')
        item = self._rule(self.value(rest, depth))
        items = [*first, *[item] * (low - len(first))][:high]
        more = f'("," gap {item})*' if high is None else _up_to(f'"," gap {item}', high - max(1, len(items)))
        body = f"{_joined(items)} {more}" if items else f"({item} {more})?"
        return self._rule(f'"[" {body} "]"')

    def _reference(self, pointer: str, depth: int) -> str:
        if pointer not in self._named:
            # Named before it is written, so that a schema may refer to itself.
            self._named[pointer] = f"ref{len(self._named)}"
            target = self._at(pointer)
            body = self.value(target, depth + 1)
            self.rules.append(f"{self._named[pointer]} ::= {body}")
        return self._named[pointer]

    def _looked_up(self, part: Json) -> JsonObject:
        for _ in range(MAX_SCHEMA_DEPTH):
            if not isinstance(part, dict) or "$ref" not in part:
                return _fields(part)
            part = self._at(str(part["$ref"]))
        raise UnusableSchemaError("a part of the schema only refers to itself")

    def _at(self, pointer: str) -> Json:
        part = self._root
        for step in pointer.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            part = _fields(part).get(key)
        if part is None or not (pointer == "#" or pointer.startswith("#/")):
            raise UnusableSchemaError(f"the schema refers to {pointer[:100]!r}, which it does not have")
        return part

    def _one_of(self, expressions: Iterable[str]) -> str:
        choices = list(dict.fromkeys(expressions))
        if not choices:
            raise UnusableSchemaError("no value fits a part of the schema, which offers no choice")
        return f"({' | '.join(choices)})"

    def _rule(self, body: str) -> str:
        self.rules.append(f"r{len(self.rules)} ::= {body}")
        return f"r{len(self.rules) - 1}"


def _merged(one: JsonObject, two: JsonObject) -> JsonObject:
    """Return what satisfies two object schemas, where they do not contradict each other."""
    properties: JsonObject = {**_fields(one.get("properties")), **_fields(two.get("properties"))}
    lists: JsonObject = {key: [*_list(one.get(key)), *_list(two.get(key))] for key in ("required", "allOf")}
    lists = {key: value for key, value in lists.items() if value}
    rest: JsonObject = {key: value for key, value in (one | two).items() if key not in ("required", "allOf")}
    return {**rest, **lists, **({"properties": properties} if properties else {})}


def _up_to(expression: str, times: int) -> str:
    """Return an expression for nothing, or an expression up to so many times."""
    return reduce(lambda inner, _: f"({expression} {inner})?", range(times), "")


def _joined(items: Iterable[str]) -> str:
    return ' "," gap '.join(items)


def _bound(value: Json) -> int | None:
    return value if isinstance(value, int) and 0 <= value <= MAX_ITEMS else None


def _literal(value: Json) -> str:
    """Return a JSON value as GBNF takes its text."""
    return '"' + _UNWRITABLE.sub(_escaped, orjson.dumps(value).decode()) + '"'


def _escaped(found: re.Match[str]) -> str:
    return f"\\{found[0]}" if found[0] in '\\"' else f"\\x{ord(found[0]):02X}"


def _fields(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
