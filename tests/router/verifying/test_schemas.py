"""Compiled schemas say what jsonschema says, but for patterns, and never run away."""

from __future__ import annotations

import asyncio
import warnings

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry

from registry.entities import Json
from router.verifying.schemas import (
    MAX_BRANCHES,
    MAX_PATTERNS,
    MAX_SCHEMA_BYTES,
    MAX_SCHEMA_DEPTH,
    CheckedSchema,
    SchemaShelf,
    UnusableSchemaError,
)


def checked(schema: Json) -> CheckedSchema:
    return asyncio.run(SchemaShelf().checked(schema))


def flaw(schema: Json, value: Json) -> str:
    return checked(schema).flaw(value)


ORDER: Json = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "rows": {"type": "array", "items": {"$ref": "#/$defs/row"}},
    },
    "required": ["id"],
    "additionalProperties": False,
    "$defs": {"row": {"type": "object", "properties": {"day": {"format": "date"}}, "required": ["day"]}},
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"id": 1, "rows": [{"day": "2026-11-21"}]}, ""),
        ({"rows": []}, "$: 'id' is a required property"),
        ({"id": 0}, "$.id does not satisfy minimum 1"),
        ({"id": True}, '$.id does not satisfy type "integer"'),
        ({"id": 1, "rows": [{}]}, "$.rows[0]: 'day' is a required property"),
        ({"id": 1, "rows": [{"day": "21 Nov"}]}, '$.rows[0].day does not satisfy format "date"'),
        ({"id": 1, "secret": "x"}, "$ has a property that is not allowed"),
        ([], '$ does not satisfy type "object"'),
    ],
)
def test_a_flaw_says_where_and_what_but_quotes_no_value(value: Json, expected: str) -> None:
    assert flaw(ORDER, value) == expected


leaves = st.sampled_from(
    [
        {"type": "string"}, {"type": "integer"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"},
        {"type": ["string", "null"]}, {"enum": ["a", 1, None]}, {"const": 1}, {"const": True}, {"minimum": 1},
        {"maxLength": 1}, {"type": "string", "minLength": 1}, {"multipleOf": 2}, {"format": "ipv4"}, {}, True, False,
        {"minItems": 1}, {"required": ["a"]}, {"uniqueItems": True}, {"pattern": "^a"}, {"exclusiveMaximum": 2},
        {"$ref": "#/$defs/d"}, {"properties": {"a": {"$ref": "#"}}}, {"title": "t", "type": "array", "unknown": 1},
    ]
)  # fmt: skip


def larger(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
    names = st.sampled_from(["a", "b", "aa"])
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        *(st.fixed_dictionaries({key: some}) for key in ("allOf", "anyOf", "oneOf")),
        st.fixed_dictionaries({"prefixItems": some, "items": inner}),
        *(st.fixed_dictionaries({key: inner}) for key in ("not", "items", "contains", "propertyNames")),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries(
            {"properties": st.dictionaries(names, inner, max_size=3)},
            optional={
                "additionalProperties": inner,
                "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=2),
                "required": st.lists(names, max_size=2, unique=True),
                "dependentRequired": st.just({"a": ["b"]}),
            },
        ),
        st.fixed_dictionaries({"allOf": some, "unevaluatedProperties": inner, "properties": st.just({"a": True})}),
    )


schemas = st.recursive(leaves, larger, max_leaves=8)
values = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 2, 1.5, 2.0, "", "a", "bab", "1.2.3.4"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "aa", "c"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=200)
@given(schemas, leaves.filter(lambda leaf: leaf != {"$ref": "#/$defs/d"}), values)
def test_it_finds_what_jsonschema_finds(schema: Json, definition: Json, value: Json) -> None:
    whole = {**schema, "$defs": {"d": definition}} if isinstance(schema, dict) else schema
    plain = Draft202012Validator(whole, registry=Registry(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    found = flaw(whole, value)

    assert (found == "") is plain.is_valid(value)
    assert "\n" not in found


@pytest.mark.parametrize("cut", range(12))
def test_a_damaged_schema_is_refused_or_used_but_never_an_unknown_error(cut: int) -> None:
    spoilt = [1, "x", None, [], {"type": 7}, {"type": "strange"}, {"required": "a"}, {"properties": []},
              {"enum": 3}, {"$ref": 5}, {"pattern": 4}, {"minimum": "1"}][cut]  # fmt: skip
    with pytest.raises(UnusableSchemaError):
        checked(spoilt)


def test_the_dialect_that_a_schema_names_is_used_without_its_own_patterns() -> None:
    schema: Json = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "items": [{"type": "string"}, {"pattern": r"^(a+)+$"}],
        "additionalItems": False,
    }
    Draft7Validator.check_schema(schema)

    assert flaw(schema, ["x", "aaa"]) == ""
    assert flaw(schema, ["x", "aaa", 1]) != ""
    assert flaw(schema, ["x", "a" * 40 + "!"]) == '$[1] does not satisfy pattern "^(a+)+$"'
    with pytest.raises(UnusableSchemaError, match="draft 3"):
        checked({"$schema": "http://json-schema.org/draft-03/schema#"})


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": r"^(a+)+$"},
        {"items": {"pattern": r"^(a+)+$"}},
        {"additionalProperties": False, "patternProperties": {r"^(a+)+$": True}},
        {"propertyNames": {"pattern": r"^(a+)+$"}},
        {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "items": {"$ref": "#"},
            "pattern": r"^(a+)+$",
        },
        {
            "allOf": [{"$ref": "#/elsewhere/x"}],
            "elsewhere": {"x": {"patternProperties": {r"^(a+)+$": {"type": "null"}}}},
        },
    ],
)
def test_no_pattern_of_a_schema_takes_exponential_time(schema: Json) -> None:
    hard = "a" * 5000 + "!"

    for value in (hard, [hard], {hard: 1}):
        checked(schema).flaw(value)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"$ref": "https://example.com/s.json"}, "only its own parts"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "only its own parts"),
        ({"items": {"$dynamicRef": "other#x"}}, "only its own parts"),
        ({"properties": {"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}}, "dialect of its own"),
        ({"pattern": "(?=a)"}, "look-around"),
        ({"type": "strange"}, "not valid"),
        ({"description": "x" * MAX_SCHEMA_BYTES}, "at most"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "leave one"),
        ({"anyOf": [{"const": i} for i in range(MAX_BRANCHES + 1)]}, "alternatives"),
        ({"allOf": [{"pattern": f"a{i}"} for i in range(MAX_PATTERNS + 1)]}, "patterns"),
    ],
)
def test_a_schema_out_of_bounds_is_refused_with_the_reason(schema: Json, why: str) -> None:
    with pytest.raises(UnusableSchemaError, match=why):
        checked(schema)


def test_a_reference_to_what_is_not_there_is_a_flaw_and_asks_nobody() -> None:
    assert "cannot be checked" in flaw({"$ref": "#/$defs/none"}, 1)
    assert "cannot be checked" in flaw({"$id": "https://example.com/a", "allOf": [{"$ref": "#nowhere"}]}, 1)


@pytest.mark.parametrize("depth", [MAX_SCHEMA_DEPTH, 120, 200, 5000])
def test_a_schema_that_nests_too_deep_is_refused(depth: int) -> None:
    schema: Json = {"type": "string"}
    for _ in range(depth):
        schema = {"not": schema}
    with pytest.raises(UnusableSchemaError, match="deep|flat"):
        checked({"not": schema})


def test_a_schema_may_nest_up_to_the_bound() -> None:
    schema: Json = {"type": "string"}
    for _ in range(MAX_SCHEMA_DEPTH):
        schema = {"not": schema}

    assert flaw(schema, "x") == ""


def test_names_that_look_like_keywords_are_properties_all_the_same() -> None:
    schema: Json = {"properties": {"$ref": {"type": "string"}, "pattern": {"type": "integer"}, "$schema": True}}

    assert flaw(schema, {"$ref": "https://example.com", "pattern": 1, "$schema": 1}) == ""
    assert flaw(schema, {"pattern": "x"}) != ""


def test_definitions_that_double_at_each_step_run_out_of_steps() -> None:
    definitions: Json = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    assert isinstance(definitions, dict)
    definitions["d40"] = {"type": "integer"}

    assert "steps" in flaw({"$ref": "#/$defs/d0", "$defs": definitions}, 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"not": {"$ref": "#"}},
        {"anyOf": [{"$ref": "#"}, True]},
        {"if": {"$dynamicRef": "#"}},
        {"unevaluatedProperties": False, "$ref": "#"},
        {"unevaluatedItems": False, "allOf": [{"$ref": "#"}]},
        {"unevaluatedProperties": False, "dependentSchemas": {"a": {"$ref": "#"}}},
    ],
)
def test_a_schema_that_leads_back_to_itself_ends_as_a_flaw(schema: Json) -> None:
    for value in ({"a": 1}, [1]):
        found = flaw(schema, value)
        assert "deeper" in found or "dependentSchemas" in str(schema)


def test_long_data_is_not_taken_for_deep_data() -> None:
    assert flaw(ORDER, {"id": 1, "rows": [{"day": "2026-11-21"}] * 500}) == ""


def test_data_may_nest_as_deep_as_a_schema_that_refers_to_itself_allows() -> None:
    assert "deep" in flaw({"properties": {"a": {"$ref": "#"}}}, nested(900))
    assert flaw({"properties": {"a": {"$ref": "#"}}, "type": "object"}, nested(20)) == ""


def nested(depth: int) -> Json:
    value: Json = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_many_objects_that_must_differ_run_out_of_steps_rather_than_of_time() -> None:
    assert "steps" in flaw({"uniqueItems": True}, [{"a": i} for i in range(20_000)])
    assert flaw({"uniqueItems": True}, [{"a": i} for i in range(500)]) == ""
    assert flaw({"uniqueItems": True}, [f"{i}" for i in range(20_000)]) == ""
    assert flaw({"uniqueItems": True}, [{"a": 1}, {"a": 1}]) != ""


@given(st.text(max_size=40))
def test_whatever_an_answer_holds_the_flaw_is_one_line(text: str) -> None:
    found = flaw({"type": "object", "properties": {"a": {"maxLength": 3}}, "additionalProperties": False}, {text: text})

    assert found.isprintable() or "\n" not in found


@pytest.mark.parametrize("number", ["1e308", "-1e308", "123456789012345678901234567890", "0.1", "1e-300", "-0.0"])
def test_numbers_at_the_edges_are_judged_without_an_error(number: str) -> None:
    schema: Json = {"type": "number", "multipleOf": 0.01, "minimum": -1e300, "allOf": [{"multipleOf": 3}]}

    checked(schema).flaw(orjson.loads(number))


def test_a_shelf_compiles_a_schema_once_and_keeps_only_the_last_used() -> None:
    async def use() -> tuple[bool, int, bool]:
        shelf = SchemaShelf(size=3)
        first = await shelf.checked({"const": 0})
        for i in range(1, 3):
            await shelf.checked({"const": i})
        again = await shelf.checked({"const": 0})
        await shelf.checked({"const": 3})
        kept = await shelf.checked({"const": 0})
        return first is again is kept, len(shelf), (await shelf.checked({"const": 1})) is not None

    assert asyncio.run(use()) == (True, 3, True)


def test_a_refusal_is_remembered_and_raised_afresh() -> None:
    async def use() -> tuple[str, str, int]:
        shelf, said = SchemaShelf(), []
        for _ in range(2):
            try:
                await shelf.checked({"type": "strange"})
            except UnusableSchemaError as error:
                said.append(str(error))
        return said[0], said[1], len(shelf)

    one, two, kept = asyncio.run(use())
    assert one == two
    assert kept == 1


def test_schemas_are_compiled_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert flaw({"$schema": "https://unknown.example/dialect", "type": "integer"}, 1) == ""
