"""Where what was masked: the places that are told are those of the values, on every kind of leaf."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from router.cli.masking import placed, spans
from router.redaction.places import Place
from router.redaction.redactor import default_redactor
from tests.router.redaction.planted import LINES, SECRETS

REDACTOR = default_redactor()
STEP = re.compile(r"\[(\d+)\]|\['([^']*)'\]|\.?([A-Za-z_][\w-]*)")


def places(body: dict[str, object]) -> list[Place]:
    return REDACTOR.redact(body, sets_aside=True).masker.places(body)


def leaf(body: Any, path: str) -> str:
    for index, quoted, plain in STEP.findall(path):
        body = body[int(index)] if index else body[quoted or plain]
    return str(body)


def test_each_place_names_leaf_offsets_type_and_placeholder() -> None:
    body: dict[str, object] = {
        "messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": "mail ann@corp.co.uk twice"}],
        "tools": [{"function": {"description": "call 8.8.4.5", "name": "x"}}],
    }
    assert places(body) == [
        Place("messages[1].content", 5, 19, "PIIEMAIL", "PIIEMAIL1@masked.invalid", in_key=False),
        Place("tools[0].function.description", 5, 12, "PIIIP", "240.0.0.1", in_key=False),
    ]


def test_places_in_json_inside_a_string_are_those_of_the_string() -> None:
    arguments = '{"to": "caf\\u00e9 ann@corp.co.uk", "card": 4111111111111111, "note": "\\"bob@corp.co.uk\\""}'
    found = places({"arguments": arguments})
    assert [(arguments[one.start : one.end], one.type) for one in found] == [
        ("ann@corp.co.uk", "PIIEMAIL"),
        ("4111111111111111", "PIICARD"),
        ("bob@corp.co.uk", "PIIEMAIL"),
    ]


def test_a_key_is_told_masked() -> None:
    found = places({"metadata": {"ann@corp.co.uk": {"a b": "about customer_7"}}})
    key = "metadata['PIIEMAIL1@masked.invalid']"
    assert found == [
        Place(key, 0, 14, "PIIEMAIL", "PIIEMAIL1@masked.invalid", in_key=True),
        Place(f"{key}['a b']", 6, 16, "CUSTOMER", "CUSTOMER1", in_key=False),
    ]


def test_what_only_a_later_string_gave_away_has_no_place_before_it() -> None:
    found = places({"a": "the word tr0ub4dor stands here", "b": 'password = "tr0ub4dor"', "c": "tr0ub4dor again"})
    assert [one.path for one in found] == ["b", "c"]


def test_the_bytes_of_an_image_count() -> None:
    text = f"see data:image/png;base64,{'iVBOR' * 30} from ann@corp.co.uk"
    (place,) = places({"content": text})
    assert text[place.start : place.end] == "ann@corp.co.uk"


@given(st.integers(0, 2**32))
def test_a_place_holds_what_its_placeholder_stands_for_and_none_is_left_out(seed: int) -> None:
    rng = random.Random(seed)
    lines = [line.format(make(rng)) for line, make in [*LINES.values(), *(("so {} .", m) for m in SECRETS.values())]]
    rng.shuffle(lines)
    body: dict[str, object] = {
        "system": lines[0],
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}]} for text in lines[1:7]],
        "metadata": {"x": json.dumps({"a": lines[7], "b": [lines[8], lines[0]]})},
    }
    redaction = REDACTOR.redact(body)
    found = redaction.masker.places(body)
    written = json.dumps(redaction.body)
    told = {(one.path, one.placeholder) for one in found}

    assert sum(redaction.counts.values()) == len({one.placeholder for one in found})
    for one in found:
        assert one.placeholder in leaf(redaction.body, one.path)
        value = leaf(body, one.path)[one.start : one.end]
        stood = redaction.masker.restore(one.placeholder)
        assert value in (stood, json.dumps(stood)[1:-1])
        assert value not in str(told)
    assert all(one.placeholder in written for one in found)


def test_redact_lists_what_was_found_by_whom_and_what_stands_for_it() -> None:
    text = "ask ann@corp.co.uk, xcustomer_7y"
    assert [(one["type"], one["detector"]) for one in spans(text, REDACTOR)] == [
        ("PIIEMAIL", "email"),
        ("CUSTOMER", "rule:CUSTOMER"),
    ]
    assert [(one["start"], one["end"], one["placeholder"]) for one in placed(text, REDACTOR)] == [
        (4, 18, "PIIEMAIL1@masked.invalid"),
        (20, 32, "CUSTOMER1"),
    ]
