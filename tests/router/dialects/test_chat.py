from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Usage
from registry.errors import UpstreamError
from router.assembly import ChunkAssembly, upstream_usage
from router.chat import delta_chunk
from router.dialects.chat import Chat, ChatPassage
from router.dialects.protocol import AnswerFacts
from router.problems import InvalidRequestError
from router.redaction.masking import Masker
from router.redaction.redactor import default_redactor
from tests.router.making import NOON, delta, task

SECRET = "bob@example.org"


def masker(text: str = f"write to {SECRET}") -> Masker:
    return default_redactor().redact({"text": text}).masker


def passed(passage: ChatPassage, *chunks: Any) -> list[Any]:
    """Return the chunks that the client gets of a whole stream."""
    found = b"".join(passage.forward(json.dumps(chunk).encode())[0] for chunk in chunks) + passage.finish()
    return [json.loads(frame[6:]) for frame in found.split(b"\n\n") if frame not in (b"", b"data: [DONE]")]


def assembled(passage: ChatPassage, *chunks: Any) -> ChunkAssembly:
    """Return what the ledger keeps of them."""
    assembly = ChunkAssembly()
    for chunk in chunks:
        for kept in passage.forward(json.dumps(chunk).encode())[1]:
            assembly.add(kept)
    return assembly


def text_of(chunks: list[Any], field: str = "content") -> str:
    return "".join(chunk["choices"][0]["delta"].get(field) or "" for chunk in chunks if chunk["choices"])


def plain(**more: Any) -> ChatPassage:
    return ChatPassage(None, **{"wants_usage": False, "json_text": False, **more})


def test_unmasked_chunks_pass_byte_for_byte() -> None:
    data = b'{"choices": [ {"index":0,"delta":{"content":"a"}} ],  "vendor": 1}'

    assert plain().forward(data) == (b"data: " + data + b"\n\n", [json.loads(data)])


def test_done_ends_the_passage_and_is_not_passed_on() -> None:
    passage = plain()

    assert passage.forward(b"[DONE]") == (b"", [])
    assert passage.ended
    assert passage.finish() == b"data: [DONE]\n\n"


def test_r09_what_ends_a_choice_waits_for_the_end_of_the_stream() -> None:
    passage = plain(wants_usage=True)
    ended, counted = (json.dumps(one).encode() for one in (delta("b", finish="stop"), USAGE))

    assert passage.forward(json.dumps(delta("a")).encode())[0]
    assert passage.forward(ended)[0] == b""
    assert passage.forward(counted)[0] == b""
    passage.forward(b"[DONE]")
    assert passage.finish() == b"data: " + ended + b"\n\ndata: " + counted + b"\n\ndata: [DONE]\n\n"


def parsed(body: Any) -> Any:
    return Chat().read(json.dumps(body).encode())


def test_a_request_is_read_and_kept_whole() -> None:
    request = parsed(task(stream=True, stream_options={"include_usage": True}, vendor_field=[1]))

    assert (request.model, request.stream, request.wants_usage) == ("gpt-5.4", True, True)
    assert request.body["vendor_field"] == [1]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": [{"role": "user"}]}, "model"),
        ({"model": " ", "messages": [{}]}, "model"),
        ({"model": "m"}, "messages"),
        ({"model": "m", "messages": []}, "messages"),
        ({"model": "m", "messages": ["x"]}, "messages"),
        ({"model": "m", "messages": [{}], "stream": "yes"}, "stream"),
        ({"model": "m", "messages": [{}], "stream_options": 1}, "stream_options"),
        ({"model": "m", "messages": [{}], "metadata": [1]}, "metadata"),
        ([1], None),
    ],
)
def test_a_request_that_cannot_be_routed_names_the_field(body: Any, param: str | None) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parsed(body)

    assert caught.value.param == param


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        Chat().read(raw)


USAGE = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}


def test_the_usage_chunk_is_stripped_unless_asked_for_and_always_counted() -> None:
    silent, asked = plain(), plain(wants_usage=True)

    assert passed(silent, USAGE) == []
    assert passed(asked, USAGE) == [USAGE]
    assert upstream_usage(assembled(plain(), USAGE).usage) == Usage(5, 2, "upstream")


def test_usage_beside_choices_is_counted_and_passed() -> None:
    chunk = {**delta("x"), "usage": USAGE["usage"]}
    passage = plain()

    assert passed(passage, chunk) == [chunk]
    assert upstream_usage(assembled(plain(), chunk).usage) == Usage(5, 2, "upstream")


@pytest.mark.parametrize("data", [b"nonsense", b"[1]", b'{"error":{"message":"boom"}}', b'{"error":"boom"}'])
def test_what_is_no_chunk_is_an_upstream_error(data: bytes) -> None:
    with pytest.raises(UpstreamError):
        plain().forward(data)


def test_an_upstreams_own_error_is_quoted() -> None:
    with pytest.raises(UpstreamError, match="boom"):
        plain().forward(b'{"error":{"message":"boom"}}')


@given(st.lists(st.integers(0, 40), max_size=8))
def test_a_placeholder_is_restored_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    told = "Dear PIIEMAIL1, not PIIEMAIL12 bye PIIEMAIL1"
    edges = sorted({0, len(told), *(cut for cut in cuts if cut < len(told))})
    pieces = [told[left:right] for left, right in zip(edges, edges[1:], strict=False)]
    passage = ChatPassage(masker(), wants_usage=False, json_text=False)

    chunks = passed(passage, *(delta(piece) for piece in pieces), delta(finish="stop"))

    assert text_of(chunks) == f"Dear {SECRET}, not PIIEMAIL12 bye {SECRET}"
    kept: Any = assembled(ChatPassage(masker(), wants_usage=False, json_text=False), *map(delta, pieces)).completion()
    assert kept["choices"][0]["message"]["content"] == told


def test_a_placeholder_in_tool_arguments_stays_json() -> None:
    secret = 'password = "q\\"uote-9s8d7f6g5h"'
    redaction = default_redactor().redact({"text": secret})
    placeholder = next(word for word in str(redaction.body["text"]).replace('"', " ").split() if "SECRET" in word)
    passage = ChatPassage(redaction.masker, wants_usage=False, json_text=False)
    arguments = json.dumps({"to": placeholder})
    pieces = [arguments[:9], arguments[9:]]
    calls = [delta(tool_calls=[{"index": 0, "function": {"arguments": piece}}]) for piece in pieces]

    chunks = passed(passage, *calls, delta(finish="tool_calls"))

    sent = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    restored = json.loads("".join(call["function"]["arguments"] for call in sent))
    assert redaction.masker.mask(restored["to"]) == placeholder
    assert restored["to"] != placeholder


def test_text_held_back_comes_with_the_finish() -> None:
    passage = ChatPassage(masker(), wants_usage=False, json_text=False)

    chunks = passed(passage, delta("see PIIEMAIL1"), delta(finish="stop"))

    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["see ", SECRET]


def test_choices_are_restored_apart() -> None:
    passage = ChatPassage(masker(), wants_usage=False, json_text=False)
    first, second = delta("PIIE"), delta("PIIE")
    second["choices"][0]["index"] = 1
    rest = {"choices": [{"index": index, "delta": {"content": "MAIL1 "}, "finish_reason": None} for index in (0, 1)]}

    chunks = passed(passage, first, second, rest)

    assert [choice["delta"]["content"] for choice in chunks[2]["choices"]] == [f"{SECRET} ", f"{SECRET} "]


def test_chunks_are_put_together_as_one_completion() -> None:
    assembly = ChunkAssembly()
    for chunk in (
        delta("", role="assistant"),
        delta("par"),
        delta("is"),
        delta(
            tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a"'}}]
        ),
        delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        delta(finish="tool_calls"),
        USAGE,
    ):
        assembly.add(chunk)  # type: ignore[arg-type]  # Json

    whole: Any = assembly.completion()

    assert whole["object"] == "chat.completion"
    assert whole["model"] == "gpt-5.4-0101"
    assert whole["usage"]["total_tokens"] == 7
    choice = whole["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "paris"
    assert choice["message"]["tool_calls"] == [
        {"type": "function", "id": "c1", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]


def test_usage_that_is_no_count_is_none() -> None:
    assert upstream_usage(None) is None
    assert upstream_usage({"prompt_tokens": "5"}) is None


def test_frames_of_a_local_answer_are_events_of_one_completion() -> None:
    request = parsed(task(stream=True, stream_options={"include_usage": True}))
    encoder = Chat().encoder(AnswerFacts("i1", "gpt-5.4", NOON), request)
    first = encoder.feed(delta_chunk({"role": "assistant", "content": "fi"}))
    assert encoder.feed(delta_chunk({}, "stop")) == b""
    last, counted, done = encoder.finish(Usage(3, 1, "tokenizer")).split(b"\n\n", 2)

    assert first.startswith(b"data: {")
    assert first.endswith(b"}\n\n")
    assert json.loads(first[6:])["choices"][0]["delta"] == {"role": "assistant", "content": "fi"}
    assert json.loads(last[6:])["choices"][0]["finish_reason"] == "stop"
    assert json.loads(first[6:])["id"] == json.loads(last[6:])["id"] == "chatcmpl-i1"
    assert json.loads(counted[6:])["choices"] == []
    assert done == b"data: [DONE]\n\n"


def test_token_counts_are_told_only_where_they_were_asked_for() -> None:
    encoder = Chat().encoder(AnswerFacts("i1", "gpt-5.4", NOON), parsed(task(stream=True)))

    assert encoder.feed(USAGE) == b""
    assert encoder.finish(Usage(3, 1, "tokenizer")) == b"data: [DONE]\n\n"


def test_a_search_that_another_dialect_offers_is_not_asked_of_a_chat_upstream() -> None:
    offered = {**task(), "web_search_options": {}}

    assert Chat().from_chat(offered) == task()
    assert Chat().outgoing(offered, "gpt-5.4")["web_search_options"] == {}
