"""Grammars of schemas: llama.cpp reads them, and whatever a random model says under them is what the schema takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.entities import Json
from registry.errors import EngineError
from router.verifying.gbnf import MAX_ITEMS, schema_grammar
from router.verifying.schemas import SchemaShelf, UnusableSchemaError
from tests.pico import pico_tokenizer, write_pico

pytest.importorskip("llama_cpp")

from router.engine.decoding import Decoder, DecodeTask
from router.engine.llama import Llama
from router.engine.protocol import Done, EngineRequestError, FinishReason, Piece

BOOK: Json = {
    "type": "object",
    "properties": {
        "room": {"$ref": "#/$defs/room"},
        "guests": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        "note": {"type": ["string", "null"]},
        "paid": {"type": "boolean"},
        "price": {"anyOf": [{"type": "number"}, {"const": 'free "of" \\ charge\n'}]},
    },
    "required": ["room", "paid"],
    "additionalProperties": False,
    "$defs": {"room": {"enum": ["red", "größe", 7, None, {"a": [1]}]}},
}
TREE: Json = {
    "type": "object",
    "properties": {"leaf": {"type": "boolean"}, "kids": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["leaf"],
}
MAP: Json = {"type": "object", "additionalProperties": {"type": "array", "prefixItems": [{"const": 1}], "items": False}}
MERGED: Json = {
    "allOf": [{"$ref": "#/$defs/a"}, {"properties": {"b": {"const": 2}}, "required": ["b"]}],
    "$defs": {"a": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}},
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    path: Path = write_pico(tmp_path_factory.mktemp("gbnf") / "base.gguf")
    with closing(Llama(path, threads=1, context=2048)) as loaded:
        yield loaded


def said(llama: Llama, grammar: str, seed: int) -> str | None:
    """Return what a random model says under a grammar, None where it came to no end."""
    task = DecodeTask((3, 4, 5), None, 200, 20.0, (), seed, llama.grammar(grammar))
    *items, done = Decoder(llama).generate(task, lambda: False)
    assert isinstance(done, Done)
    whole = "".join(item.text for item in items if isinstance(item, Piece))
    return whole if done.finish_reason is FinishReason.STOP else None


def takes(llama: Llama, grammar: str, text: str) -> bool:
    """Say whether a grammar takes a whole text, token by token."""
    state = llama.grammar(grammar)
    for token in pico_tokenizer().encode(text, add_special_tokens=False).ids:
        if not state.allows(token):
            return False
        state.accept(token)
    return state.allows(pico_tokenizer().token_to_id("<|im_end|>"))


def flaw(schema: Json, value: Json) -> str:
    async def find() -> str:
        return (await SchemaShelf().checked(schema)).flaw(value)

    return asyncio.run(find())


@pytest.mark.parametrize("schema", [BOOK, TREE, MAP, MERGED], ids=["book", "tree", "map", "merged"])
def test_a_random_model_can_only_say_what_the_schema_takes(llama: Llama, schema: Json) -> None:
    grammar = schema_grammar(schema)
    texts = [text for seed in range(12) if (text := said(llama, grammar, seed)) is not None]

    assert len(texts) > 2
    for text in texts:
        assert flaw(schema, orjson.loads(text)) == "", text


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (BOOK, {"room": "größe", "guests": [1, 2, 3], "note": None, "paid": True, "price": 'free "of" \\ charge\n'}),
        (BOOK, {"room": {"a": [1]}, "paid": False}),
        (BOOK, {"room": 7, "note": 'a " \\ \t b', "paid": False, "price": -1.5e-7}),
        (TREE, {"leaf": False, "kids": [{"leaf": True, "kids": []}, {"leaf": True}]}),
        (MAP, {}),
        (MAP, {"x": [1], "y": [1]}),
        (MERGED, {"a": 1, "b": 2}),
        ({}, {"any": [1, "x", None, {}, []]}),
        (True, 1),
        ({"type": "object"}, {"a": {"b": [True]}}),
        ({"items": {"type": "null"}, "maxItems": MAX_ITEMS}, [None] * MAX_ITEMS),
        ({"items": {"type": "null"}, "maxItems": MAX_ITEMS + 1}, [None] * (MAX_ITEMS + 5)),
        ({"required": ["x"], "properties": {}}, {"x": 1}),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1}, [1]),
        ({"type": "object", "properties": {"a": False, "b": {"const": 1}}}, {"b": 1}),
    ],
)
def test_what_the_schema_takes_may_be_said_compactly_or_as_json_dumps_writes_it(
    llama: Llama, schema: Json, value: Json
) -> None:
    grammar = schema_grammar(schema)
    assert takes(llama, grammar, json.dumps(value, ensure_ascii=False, separators=(",", ":")))
    if value != {"room": {"a": [1]}, "paid": False}:  # a constant has one spelling
        assert takes(llama, grammar, json.dumps(value, ensure_ascii=False))


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (BOOK, '{"paid":true}'),
        (BOOK, '{"room":"red"}'),
        (BOOK, '{"room":"red","paid":true,"extra":1}'),
        (BOOK, '{"room":"red","guests":[],"paid":true}'),
        (BOOK, '{"room":"red","guests":[1,2,3,4],"paid":true}'),
        (BOOK, '{"room":"green","paid":true}'),
        (BOOK, '{"room":"red","paid":true'),
        (MAP, '{"x":[1,2]}'),
        ({"type": "integer"}, "01"),
        ({"type": "string"}, '"\n"'),
        ({"type": "object", "additionalProperties": False}, '{"a":1}'),
        ({"type": "array", "maxItems": 0}, "[1]"),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1}, "[1,2]"),
        ({"properties": {}, "required": ["x"], "additionalProperties": {"type": "string"}}, '{"x":1}'),
    ],
)
def test_what_the_schema_does_not_take_cannot_be_said(llama: Llama, schema: Json, text: str) -> None:
    assert not takes(llama, schema_grammar(schema), text)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (False, "false"),
        ({"properties": {"a": {"anyOf": []}}}, "no choice"),
        ({"$ref": "#/$defs/none"}, "does not have"),
        ({"$ref": "https://example.com"}, "does not have"),
        ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/a"}}}, "refers to itself"),
        ({"enum": [f"{i:0100}" for i in range(2000)]}, "simpler"),
        ({"properties": {f"p{i}": {"type": "string"} for i in range(3000)}}, "simpler"),
    ],
)
def test_a_schema_that_has_no_grammar_is_refused_with_the_reason(schema: Json, why: str) -> None:
    with pytest.raises(UnusableSchemaError, match=why):
        schema_grammar(schema)


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"anyOf": [{"$ref": "#"}, {"type": "string"}]}])
def test_a_grammar_that_leads_back_to_itself_is_refused_by_the_engine_and_kills_nothing(
    llama: Llama, schema: Json
) -> None:
    with pytest.raises(EngineRequestError):
        llama.grammar(schema_grammar(schema))


leaves = st.sampled_from(
    [{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]
    + [{"enum": ["a", 1]}, {"const": None}, {}, True, {"type": ["null", "integer"]}]
)
schemas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"minItems": st.integers(0, 3)}),
        st.fixed_dictionaries({"prefixItems": st.lists(inner, min_size=1, max_size=2), "items": st.just(False)}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("ab\n"), inner, max_size=3)},
            optional={"required": st.lists(st.sampled_from("ab"), unique=True), "additionalProperties": inner},
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(schemas, st.integers(0, 1000))
def test_any_schemas_grammar_is_read_and_gives_only_what_the_schema_takes(
    llama: Llama, schema: Json, seed: int
) -> None:
    try:
        text = said(llama, schema_grammar(schema), seed)
    except EngineRequestError:
        raise
    except EngineError:
        # The tiny vocabulary may lack a piece of text that the grammar wants.
        return
    if text is not None:
        assert flaw(schema, orjson.loads(text)) == "", text
