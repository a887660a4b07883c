"""jsonschema's keywords, bounded: they count their work, match patterns in linear time, and pass plain types quickly.

As they come they match patterns by `re`, compare all pairs for `uniqueItems` and follow a `$ref` as often as it stands
there: 30 short definitions can mean 2^30 checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, cast

from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]  # it ships no types
from jsonschema.protocols import Validator  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

from router.verifying.patterns import Matcher, compile_pattern

MAX_STEPS = 50_000
"""Keywords that one check may try: about half a second."""

MAX_NESTING = 120
"""Keywords within keywords, each some four Python frames. Past Python's own limit the Rust library that jsonschema
keeps its maps in panics, which no `except Exception` catches."""

_PLAIN = frozenset(
    (
        *("title", "description", "default", "examples", "$comment", "deprecated"),
        *("type", "enum", "const", "format", "pattern", "minLength", "maxLength", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "required"),
    )
)
"""Keywords that look at nothing but the value and the schema that they stand in."""

_KINDS = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    list: ("array",),
    dict: ("object",),
    type(None): ("null",),
}

# A keyword gets the validator, its own value, the instance and the schema around it.
_Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class TooMuchWorkError(Exception):
    """A check has tried as many keywords as it may, or went as deep."""


@dataclass(slots=True)
class Check:
    """What the keywords of one check share."""

    matchers: dict[str, Matcher]
    left: int = MAX_STEPS
    depth: int = 0

    def spend(self, steps: int) -> None:
        """Count work, or raise TooMuchWorkError."""
        self.left -= steps
        if self.left < 0:
            raise TooMuchWorkError(f"its check takes more than {MAX_STEPS:,} steps")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Count a level of nesting, or raise TooMuchWorkError."""
        if self.depth >= MAX_NESTING:
            raise TooMuchWorkError(f"its check goes deeper than {MAX_NESTING} keywords")
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1


CURRENT: ContextVar[Check] = ContextVar("check")


def bounded(dialect: type[Validator]) -> type[Validator]:
    """Return a dialect whose keywords count their work and match in linear time."""
    keywords: dict[str, _Keyword] = dict(dialect.VALIDATORS)
    own = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "properties": _properties,
        "items": _items_of(keywords["items"]),
        "uniqueItems": _unique_items_of(keywords["uniqueItems"]),
    }
    counted = {
        name: (_counted if name in _PLAIN else _nested)(own.get(name, keyword)) for name, keyword in keywords.items()
    }
    return cast("type[Validator]", extend(dialect, counted))


def _counted(keyword: _Keyword) -> _Keyword:
    def count(validator: Any, value: Any, instance: Any, schema: Any) -> Iterable[ValidationError] | None:
        CURRENT.get().spend(_steps(value))
        return keyword(validator, value, instance, schema)

    return count


def _nested(keyword: _Keyword) -> _Keyword:
    def go_deeper(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        check = CURRENT.get()
        check.spend(_steps(value))
        with check.deeper():
            yield from keyword(validator, value, instance, schema) or ()

    return go_deeper


def _steps(value: Any) -> int:
    return 1 + len(value) // 16 if isinstance(value, (list, dict)) else 1


def _matches(pattern: str, text: str) -> bool:
    matchers = CURRENT.get().matchers
    if pattern not in matchers:
        matchers[pattern] = compile_pattern(pattern)
    return matchers[pattern](text)


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield ValidationError("no match")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for name in [name for name in instance if _matches(pattern, name)]:
            yield from validator.descend(instance[name], subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, subschema: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict) or subschema is True:
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in [name for name in instance if name not in known]:
        if any(_matches(pattern, name) for pattern in patterns):
            continue
        if subschema is False:
            yield ValidationError("unknown")
        else:
            yield from validator.descend(instance[name], subschema, path=name)


def _properties(validator: Any, properties: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for name, subschema in properties.items():
        if name in instance and not _fits_plainly(validator, instance[name], subschema):
            yield from validator.descend(instance[name], subschema, path=name, schema_path=name)


def _items_of(keyword: _Keyword) -> _Keyword:
    def items(validator: Any, subschema: Any, instance: Any, schema: Any) -> Iterable[ValidationError] | None:
        if not isinstance(instance, list):
            return ()
        CURRENT.get().spend(len(instance))
        plain = "prefixItems" not in schema and all(_fits_plainly(validator, item, subschema) for item in instance)
        return () if plain else keyword(validator, subschema, instance, schema)

    return items


def _fits_plainly(validator: Any, value: Any, subschema: Any) -> bool:
    """Say whether a value fits a subschema of plain keywords; False also says that jsonschema has to look.

    It makes a validator for every subschema that it descends to, which takes longer than all that this one does.
    """
    if not isinstance(subschema, dict) or not subschema.keys() <= _PLAIN:
        return False
    kinds, keywords = _KINDS.get(type(value), ()), validator.VALIDATORS
    for key, wanted in subschema.items():
        if key in keywords and not (key == "type" and wanted in kinds):
            for _ in keywords[key](validator, wanted, value, subschema) or ():
                return False
    return True


def _unique_items_of(keyword: _Keyword) -> _Keyword:
    def unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterable[ValidationError] | None:
        kinds = {type(item) for item in instance} if isinstance(instance, list) else set()
        if not (kinds <= {int, float} or kinds <= {str}):
            # What cannot be sorted is compared in pairs.
            CURRENT.get().spend(len(instance) ** 2 // 8)
        return keyword(validator, wanted, instance, schema)

    return unique_items
