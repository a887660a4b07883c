from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import UpstreamError
from router.assembly import ChunkAssembly
from router.dialects.messages.dialect import Messages
from router.dialects.protocol import Passage, Request
from router.redaction.masking import Masker
from router.redaction.redactor import default_redactor
from router.sse import EventReader
from tests.router.dialects.test_messages_decoding import DOCUMENTED
from tests.router.dialects.test_messages_grammar import closed, ended, message_of, opened, started, stream, went_on

SECRET = "bob@example.org"
QUOTED = 'password = "q\\"uote-9s8d7f6g5h"'
FORM = {"type": "json_schema", "schema": {}}


def masker() -> Masker:
    return default_redactor().redact({"text": f"write to {SECRET}"}).masker


def passage(by: Masker | None, **body: Any) -> Passage:
    return Messages().passage(by, Request(body, "m", True, True))


def passed(way: Passage, raw: bytes) -> bytes:
    return b"".join(way.forward(data)[0] for data in EventReader().feed(raw)) + way.finish()


def test_without_a_masker_every_byte_passes() -> None:
    assert passed(passage(None), DOCUMENTED) == DOCUMENTED


def test_with_a_masker_events_without_placeholders_pass_byte_for_byte() -> None:
    assert passed(passage(masker()), DOCUMENTED) == DOCUMENTED


def test_the_end_is_held_back_until_the_finish() -> None:
    way = passage(None)
    *before, reason, end = EventReader().feed(DOCUMENTED)
    for data in before:
        way.forward(data)
    assert way.forward(reason)[0] == b""
    assert not way.ended

    frames, chunks = way.forward(end)

    assert frames == b""
    assert way.ended
    assert [chunk["choices"] for chunk in chunks] == [[]]
    assert DOCUMENTED.endswith(way.finish())
    assert way.finish().startswith(b"event: message_delta\n")


def test_what_a_block_holds_back_comes_before_its_end() -> None:
    raw = stream(started(), opened(0, "text"), went_on(0, "text_delta", "see PIIEMAIL1"), closed(0), *ended())

    shown = [json.loads(line[6:]) for line in passed(passage(masker()), raw).split(b"\n") if line.startswith(b"data: ")]

    assert shown[2:5] == [went_on(0, "text_delta", "see "), went_on(0, "text_delta", SECRET), closed(0)]


def test_names_and_inputs_of_a_blocks_start_are_put_back() -> None:
    start = opened(0, "tool_use", id="t", name="PIIEMAIL1", input={"to": ["PIIEMAIL1"]})

    message = message_of(passed(passage(masker()), stream(started(), start, closed(0), *ended("tool_use"))))

    assert message["content"] == [
        {"type": "tool_use", "id": "t", "name": SECRET, "input": {"to": [SECRET]}, "json": ""}
    ]


def test_text_of_a_blocks_start_goes_on_in_its_deltas() -> None:
    start = opened(0, "text", text="PIIEM")
    raw = stream(started(), start, went_on(0, "text_delta", "AIL1"), closed(0), *ended())

    message = message_of(passed(passage(masker()), raw))

    assert message["content"] == [{"type": "text", "text": SECRET}]


def test_a_value_in_arguments_stays_json() -> None:
    redaction = default_redactor().redact({"text": QUOTED})
    placeholder = next(word for word in str(redaction.body["text"]).replace('"', " ").split() if "SECRET" in word)
    deltas = [went_on(0, "input_json_delta", part) for part in ('{"key": "SEC', f'{placeholder[3:]}"}}')]
    raw = stream(started(), opened(0, "tool_use", id="t", name="f"), *deltas, closed(0), *ended("tool_use"))

    block = message_of(passed(passage(redaction.masker), raw))["content"][0]

    restored = json.loads(block["json"])["key"]
    assert restored != placeholder
    assert redaction.masker.mask(restored) == placeholder


@pytest.mark.parametrize("config", [{}, {"output_config": {"format": FORM}}, {"output_format": FORM}])
def test_text_that_is_json_stays_json_where_a_schema_was_asked_for(config: dict[str, Any]) -> None:
    redaction = default_redactor().redact({"text": 'password = "a\\"b-9s8d7f6g5h"'})
    value = redaction.masker.restore("SECRET1")
    raw = stream(started(), opened(0, "text"), went_on(0, "text_delta", '{"a":"SECRET1"}'), closed(0), *ended())

    said = message_of(passed(passage(redaction.masker, **config), raw))["content"][0]["text"]

    assert said == (json.dumps({"a": value}, separators=(",", ":")) if config else '{"a":"' + value + '"}')


def test_the_ledger_gets_what_the_upstream_said() -> None:
    raw = stream(started(), opened(0, "text"), went_on(0, "text_delta", "see PIIEMAIL1"), closed(0), *ended())
    way, assembly = passage(masker()), ChunkAssembly()

    for data in EventReader().feed(raw):
        for chunk in way.forward(data)[1]:
            assembly.add(chunk)

    whole: Any = assembly.completion()
    assert whole["choices"][0]["message"]["content"] == "see PIIEMAIL1"
    assert whole["usage"]["completion_tokens"] == 15


@pytest.mark.parametrize(
    "data", [b"nonsense", b"[]", b"{}", b'{"type":"a\\nb"}', b'{"type":"error","error":{"message":"boom"}}']
)
def test_what_is_no_event_is_an_upstream_error(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        passage(None).forward(data)


WORDS = st.lists(
    st.sampled_from(["PIIEMAIL1", "PIIEMAIL12", "piiemail1", "PIIE", "dear", " ", ", ", "P", "ü", '"', "\\n", "."]),
    max_size=8,
).map("".join)


def cut(draw: Any, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=5)) | {0, len(text)})
    return [text[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]


@st.composite
def masked_answers(draw: Any) -> list[dict[str, Any]]:
    """Return the events of an answer that names masked values anywhere."""
    events = [started()]
    for index, kind in enumerate(draw(st.lists(st.sampled_from(["text", "thinking", "tool_use"]), max_size=4))):
        said = json.dumps({"to": draw(WORDS)}) if kind == "tool_use" else draw(WORDS)
        named = {"id": f"t{index}", "name": draw(st.sampled_from(["f", "PIIEMAIL1"]))} if kind == "tool_use" else {}
        delta = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}[kind]
        events += [opened(index, kind, **named), *(went_on(index, delta, part) for part in cut(draw, said))]
        events += [went_on(index, "signature_delta", "PIIEMAIL1")] if kind == "thinking" else []
        events.append(closed(index))
    return [*events, *ended()]


@settings(max_examples=200)
@given(masked_answers())
def test_a_stream_cut_anywhere_is_restored_as_a_whole_answer_is(events: list[dict[str, Any]]) -> None:
    by, raw = masker(), stream(*events)

    shown = message_of(passed(passage(by), raw))

    for block, told in zip(shown["content"], message_of(raw)["content"], strict=True):
        assert block.get("name") == by.restore_json(told.get("name"))
        for name in ("text", "thinking"):
            assert block.get(name) == by.restore_json(told.get(name))
        if "json" in told:
            assert json.loads(block["json"]) == by.restore_json(json.loads(told["json"]))
        assert block.get("signature") == told.get("signature")
