"""Schemas of requests, compiled once and bounded: in size, in nesting, in the work of a check, in what `$ref` reaches.

jsonschema decides, with the bounded keywords of `keywords.py`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from jsonschema import Draft3Validator, Draft202012Validator, FormatChecker  # type: ignore[import-untyped]  # it ships no types
from jsonschema.exceptions import SchemaError, UnknownType, ValidationError  # type: ignore[import-untyped]
from jsonschema.protocols import Validator  # type: ignore[import-untyped]
from jsonschema.validators import validator_for  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

from registry.entities import Json
from registry.errors import DataError
from router.chat import JsonObject
from router.verifying.keywords import CURRENT, Check, TooMuchWorkError, bounded
from router.verifying.patterns import Matcher, UnusablePatternError, compile_pattern

MAX_SCHEMA_BYTES = 1 << 16
MAX_SCHEMA_DEPTH = 64
MAX_PATTERNS = 32
MAX_BRANCHES = 256
"""Alternatives in one place: jsonschema spells out the whole value in the complaint of each that does not fit."""
CACHED = 128
"""Compiled schemas that a shelf keeps, of 64 KiB of text each at the most."""

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_LAST = ("unevaluatedItems", "unevaluatedProperties")
_FORMATS = ("date", "email", "ipv4", "ipv6", "uuid")


class UnusableSchemaError(DataError):
    """A schema cannot be checked against here."""


@dataclass(frozen=True, slots=True)
class CheckedSchema:
    """A compiled schema; it may be used from many threads."""

    validator: Validator
    matchers: dict[str, Matcher] = field(default_factory=dict)

    def flaw(self, value: Json) -> str:
        """Say in one line where a value does not satisfy the schema, empty where it does.

        Of the value it quotes nothing but keys on the way to the flaw. A check that takes too much work is a flaw.
        """
        token = CURRENT.set(Check(self.matchers))
        try:
            error = next(iter(self.validator.iter_errors(value)), None)
        except TooMuchWorkError as error:
            return str(error)
        except RecursionError:
            return "it nests too deep to be compared"
        except (Unresolvable, UnusablePatternError, UnknownType) as problem:
            return f"its schema cannot be checked: {_line(str(problem))}"
        finally:
            CURRENT.reset(token)
        return _told(error) if error is not None else ""


class SchemaShelf:
    """Keeps compiled schemas, the last used ones; for one event loop."""

    def __init__(self, size: int = CACHED) -> None:
        """Start with an empty shelf for `size` schemas."""
        self._size = size
        self._known: OrderedDict[bytes, CheckedSchema | UnusableSchemaError] = OrderedDict()
        self._dialects: dict[str, type[Validator]] = {}

    def __len__(self) -> int:
        return len(self._known)

    async def checked(self, schema: Json) -> CheckedSchema:
        """Return a schema ready to check with; a new one is compiled in a thread, which takes milliseconds.

        Raises:
            UnusableSchemaError: it is no schema, or not within bounds; that is remembered as well.

        """
        text = _text_of(schema)
        key = hashlib.sha256(text).digest()
        found = self._known.get(key)
        if found is None:
            found = await asyncio.to_thread(self._compiled, orjson.loads(text))
            self._known[key] = found
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        if isinstance(found, UnusableSchemaError):
            raise UnusableSchemaError(*found.args)
        return found

    def _compiled(self, schema: Json) -> CheckedSchema | UnusableSchemaError:
        try:
            matchers = {pattern: compile_pattern(pattern) for pattern in _surveyed(schema)}
            return CheckedSchema(self._validator(schema), matchers)
        except RecursionError:
            return UnusableSchemaError("the schema nests too deep; make it flatter")
        except SchemaError as error:
            return UnusableSchemaError(f"the schema is not valid: {_told(error)}; mend it")
        except UnusablePatternError as error:
            return UnusableSchemaError(str(error))
        except UnusableSchemaError as error:
            return error

    def _validator(self, schema: Json) -> Validator:
        dialect = validator_for(schema, default=Draft202012Validator)
        if dialect is Draft3Validator:
            raise UnusableSchemaError("the schema is of draft 3, which nobody writes any more; use 2020-12")
        dialect.check_schema(schema, format_checker=None)
        keywords = self._dialects.setdefault(dialect.__name__, bounded(dialect))
        # A schema that names its dialect would make jsonschema go on with its own keywords for that dialect.
        bare = {key: value for key, value in schema.items() if key != "$schema"} if isinstance(schema, dict) else schema
        return keywords(bare, registry=Registry(), format_checker=FormatChecker(_FORMATS))


def _text_of(schema: Json) -> bytes:
    try:
        text = orjson.dumps(schema)
    except orjson.JSONEncodeError as error:
        raise UnusableSchemaError("the schema nests too deep; make it flatter") from error
    if len(text) > MAX_SCHEMA_BYTES:
        raise UnusableSchemaError(f"the schema has {len(text):,} bytes, at most {MAX_SCHEMA_BYTES:,} are read")
    return text


def _surveyed(schema: Json) -> set[str]:
    """Bring the keywords of a schema into a safe order and return its patterns.

    Raises:
        UnusableSchemaError: it is not within bounds.

    """
    if not isinstance(schema, (dict, bool)):
        raise UnusableSchemaError("the schema is neither an object nor true or false; mend it")
    patterns: set[str] = set()
    for part, depth in _objects(schema):
        flaw = _flaw(part, depth)
        if flaw:
            raise UnusableSchemaError(f"the schema {flaw}")
        for key in _LAST:
            if key in part:
                # These follow references without counting, so they come after the keywords that do count.
                part[key] = part.pop(key)
        patterns |= _patterns(part)
        if len(patterns) > MAX_PATTERNS:
            raise UnusableSchemaError(f"the schema has more than {MAX_PATTERNS} patterns")
    return patterns


def _flaw(part: JsonObject, depth: int) -> str:
    """Say how a part of a schema is out of bounds, empty where it is not."""
    if depth > MAX_SCHEMA_DEPTH:
        return f"nests deeper than {MAX_SCHEMA_DEPTH}; make it flatter"
    if depth and isinstance(part.get("$schema"), str):
        return "names a dialect of its own for a part; name one for the whole"
    targets = [target for key in _REFERENCES if isinstance(target := part.get(key), str)]
    far = [target for target in targets if not target.startswith("#")]
    if far:
        return f"refers to {far[0]!r}; only its own parts (#…) are looked up"
    branches = [branches for key in ("anyOf", "oneOf") if isinstance(branches := part.get(key), list)]
    if max(map(len, branches), default=0) > MAX_BRANCHES:
        return f"has more than {MAX_BRANCHES} alternatives in one place"
    # jsonschema looks at both together, and that by `re`.
    both = isinstance(part.get("patternProperties"), dict) and "unevaluatedProperties" in part
    return "has patternProperties beside unevaluatedProperties; leave one of them" if both else ""


def _objects(schema: Json) -> Iterator[tuple[JsonObject, int]]:
    """Yield every object within a schema with its depth, without recursion."""
    waiting = [(schema, 0)]
    while waiting:
        part, depth = waiting.pop()
        if isinstance(part, dict):
            yield part, depth
            waiting += [(inner, depth + 1) for inner in part.values()]
        elif isinstance(part, list):
            waiting += [(inner, depth + 1) for inner in part]


def _patterns(part: JsonObject) -> set[str]:
    single, many = part.get("pattern"), part.get("patternProperties")
    return {*([single] if isinstance(single, str) else ()), *(many if isinstance(many, dict) else ())}


def _told(error: ValidationError | SchemaError) -> str:
    if error.validator in ("required", "dependentRequired"):
        return _line(f"{error.json_path}: {error.message}")
    if error.validator == "additionalProperties":
        return _line(f"{error.json_path} has a property that is not allowed")
    wanted = orjson.dumps(error.validator_value).decode()
    return _line(f"{error.json_path} does not satisfy {error.validator} {wanted}")


def _line(text: str) -> str:
    return " ".join(text.split())
