from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.errors import UpstreamError
from router.assembly import ChunkAssembly
from router.dialects.protocol import Passage, Request
from router.dialects.responses.dialect import Responses
from router.redaction.masking import Masker
from router.redaction.placeholders import placeholder
from router.redaction.redactor import default_redactor
from tests.router.dialects.test_responses_decoding import CREATED, cuts, event, pieces_of
from tests.router.dialects.test_responses_encoding import REQUEST, called, chunk, encoded, of, parsed

DIALECT = Responses()
SECRET = 'pass"word\\1'
EMAIL = "bob@example.org"


def masker() -> Masker:
    """Return a masker of two values, one of which JSON must escape."""
    made = default_redactor().redact({"text": f"write to {EMAIL}"}).masker
    made._placeholders[SECRET], made._values["SECRET1"] = placeholder("SECRET", 1, SECRET), SECRET
    return made


def passage(values: Masker | None = None, **fields: Any) -> Passage:
    return DIALECT.passage(values, Request({**REQUEST, **fields}, "m", stream=True, wants_usage=True))


def passed(way: Passage, events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return the events that the client gets, and the chat chunks for the ledger."""
    found = [way.forward(json.dumps(one).encode()) for one in events]
    frames = b"".join(frames for frames, _ in found) + way.finish()
    return parsed(frames), [one for _, chunks in found for one in chunks]


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [one["sequence_number"] for one in events]


def test_unmasked_events_pass_byte_for_byte() -> None:
    data = b'{"type":"response.output_text.delta", "delta": "a",  "vendor": 1}'

    for way in (passage(), passage(masker())):
        frames, chunks = way.forward(data)
        assert frames == b"event: response.output_text.delta\ndata: " + data + b"\n\n"
        assert chunks[0]["choices"][0]["delta"]["content"] == "a"


def test_data_of_several_lines_stays_one_event() -> None:
    frames, _ = passage().forward(b'{"type":\n"response.queued"}')

    assert frames == b'event: response.queued\ndata: {"type":\ndata: "response.queued"}\n\n'


def test_the_final_response_waits_for_the_end() -> None:
    for kind in ("completed", "incomplete"):
        way, data = passage(), json.dumps(event(kind, response={"status": kind, "output": []})).encode()

        assert way.forward(data)[0] == b""
        assert way.ended
        assert way.finish() == b"event: response." + kind.encode() + b"\ndata: " + data + b"\n\n"


def test_a_surplus_end_mark_is_not_passed_on() -> None:
    way = passage()

    assert way.forward(b"[DONE]") == (b"", [])
    assert not way.ended


@pytest.mark.parametrize("data", [b"nonsense", b"[1]", b'{"type":"error","message":"boom"}'])
def test_what_is_no_event_is_an_upstream_error(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        passage().forward(data)


def test_text_held_back_comes_as_one_more_delta_and_later_events_are_renumbered() -> None:
    sent = encoded(chunk({"content": "see PIIEMAIL1"}))
    came, _ = passed(passage(masker()), sent)

    assert [one["delta"] for one in of(came, "output_text.delta")] == ["see ", EMAIL]
    assert numbers(came) == [*range(len(sent) + 1)]
    (done,) = of(came, "output_text.done")
    assert done["text"] == f"see {EMAIL}"


def test_the_last_words_come_even_where_a_server_sends_no_done_event() -> None:
    delta = event("output_text.delta", delta="PIIEMAIL1", content_index=0)
    end = event("completed", sequence_number=1, response={"status": "completed", "output": []})
    way = passage(masker())
    frames = [way.forward(json.dumps(one).encode())[0] for one in (CREATED, delta, end)]

    (added,) = [json.loads(line[6:]) for line in frames[2].split(b"\n") if line.startswith(b"data: ")]
    assert (added["delta"], added["sequence_number"]) == (EMAIL, 1)
    assert b'"sequence_number":2' in way.finish()


def test_arguments_stay_json_and_free_text_stays_plain() -> None:
    sent = encoded(
        chunk(called(0, '{"to":"SECRET1"}', "f", "c1")), chunk(called(1, '{"input":"SECRET1"}', "apply_patch", "c2"))
    )
    came, _ = passed(passage(masker()), sent)

    (arguments,) = of(came, "function_call_arguments.done")
    assert json.loads(arguments["arguments"]) == {"to": SECRET}
    assert "".join(one["delta"] for one in of(came, "function_call_arguments.delta")) == arguments["arguments"]
    assert of(came, "custom_tool_call_input.done")[0]["input"] == SECRET
    assert [item.get("input") or item["arguments"] for item in came[-1]["response"]["output"]] == [
        arguments["arguments"],
        SECRET,
    ]


@pytest.mark.parametrize("wanted", ["json_object", "json_schema"])
def test_an_answer_that_is_json_stays_json(wanted: str) -> None:
    sent = encoded(*(chunk({"content": piece}) for piece in ('{"a":"SEC', 'RET1"}')))
    came, _ = passed(passage(masker(), text={"format": {"type": wanted}}), sent)

    assert json.loads("".join(one["delta"] for one in of(came, "output_text.delta"))) == {"a": SECRET}


def test_an_unknown_text_that_comes_in_deltas_is_restored_too() -> None:
    way = passage(masker())
    kind = "code_interpreter_call_code"
    deltas = [event(f"{kind}.delta", delta=piece) for piece in ("mail PIIEM", "AIL1")]
    frames = b"".join(way.forward(json.dumps(one).encode())[0] for one in [*deltas, event(f"{kind}.done", code="x")])

    assert "".join(one["delta"] for one in of(parsed(frames), f"{kind}.delta")) == f"mail {EMAIL}"


def test_the_ledger_gets_masked_chunks() -> None:
    _, chunks = passed(passage(masker()), encoded(chunk({"content": "see PIIEMAIL1"}), chunk(finish="stop")))

    assembly = ChunkAssembly()
    for one in chunks:
        assembly.add(one)
    whole: Any = assembly.completion()
    assert whole["choices"][0]["message"]["content"] == "see PIIEMAIL1"


TOLD = "Dear PIIEMAIL1, SECRET1 not PIIEMAIL12 bye piiemail1"
ARGUMENTS = '{"a":"PIIEMAIL1 \\"SECRET1\\" \\u0041 PIIEMAIL1","PIIEMAIL1":[1]}'


@settings(max_examples=200, deadline=None)
@given(cuts, cuts, cuts, st.randoms(use_true_random=False))
def test_any_split_equals_the_whole_restored(first: list[int], second: list[int], third: list[int], order: Any) -> None:
    said = [chunk({"content": piece}) for piece in pieces_of(TOLD, first)]
    calls = [[chunk(called(place, "", "f", f"c{place}"))] for place in (0, 1)]
    for place, edges in enumerate((second, third)):
        calls[place] += [chunk(called(place, piece)) for piece in pieces_of(ARGUMENTS, edges)]
    mixed: list[dict[str, Any]] = []
    while any(calls):
        mixed.append(order.choice([call for call in calls if call]).pop(0))
    sent = encoded(*said, *mixed, chunk(finish="tool_calls"))
    values = masker()

    came, _ = passed(passage(values), sent)

    assert numbers(came) == [*range(len(came))]
    assert "".join(one["delta"] for one in of(came, "output_text.delta")) == values.restore(TOLD)
    for place in (1, 2):
        deltas = [one for one in of(came, "function_call_arguments.delta") if one["output_index"] == place]
        assert "".join(one["delta"] for one in deltas) == values.restore_json_text(ARGUMENTS)
        assert len({one["item_id"] for one in deltas}) == 1
    for before, after in zip(of(sent, "output_item.done"), of(came, "output_item.done"), strict=True):
        assert after["item"] == values.restore_json(before["item"])
    assert came[-1]["response"] == values.restore_json(sent[-1]["response"])
