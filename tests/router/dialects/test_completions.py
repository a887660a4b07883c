from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Usage
from registry.errors import UpstreamError
from router.chat import answer_text, delta_chunk
from router.dialects.completions import Completions
from router.dialects.protocol import AnswerFacts, Request
from router.problems import InvalidRequestError
from router.redaction.redactor import default_redactor
from tests.router.making import NOON

SECRET = "bob@example.org"
FACTS = AnswerFacts("i1", "gpt-5.4", NOON)


def read(**more: Any) -> Request:
    return Completions().read(json.dumps({"model": "m", "prompt": "def f(", **more}).encode())


def chunk(text: str, finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "text": text, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "text_completion", "choices": [choice]}).encode()


def datas(frames: bytes) -> list[Any]:
    return [json.loads(frame[6:]) for frame in frames.split(b"\n\n") if frame and frame != b"data: [DONE]"]


def test_a_prompt_is_one_user_turn_and_its_suffix_stays_beside_it() -> None:
    request = read(suffix=")", max_tokens=5, vendor=1, logprobs=2)

    chat = Completions().to_chat(request.body)

    assert chat["messages"] == [{"role": "user", "content": "def f("}]
    assert (chat["suffix"], chat["max_tokens"], chat["logprobs"]) == (")", 5, True)
    assert Completions().outgoing(request.body, "n")["vendor"] == 1


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"model": ""}, "model"),
        ({"stream": 3}, "stream"),
        ({"metadata": 3}, "metadata"),
    ],
)
def test_what_cannot_be_routed_or_inspected_names_its_field(more: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(**more)

    assert caught.value.param == param


def test_a_whole_answer_survives_to_chat_and_back() -> None:
    native: Any = {"id": "x", "choices": [{"index": 0, "text": "a, b", "finish_reason": "stop", "logprobs": None}]}

    chat = Completions().answer_to_chat(native)
    back: Any = Completions().answer_from_chat(chat, FACTS, {})

    assert answer_text(chat) == "a, b"
    assert back["choices"] == native["choices"]
    assert (back["object"], back["id"]) == ("text_completion", "cmpl-i1")
    with pytest.raises(UpstreamError):
        Completions().answer_to_chat({"error": 1})


def test_a_specialist_s_stream_is_text_chunks() -> None:
    encoder = Completions().encoder(FACTS, read(stream=True, stream_options={"include_usage": True}))

    first = encoder.feed(delta_chunk({"role": "assistant", "content": "x"}))
    assert encoder.feed(delta_chunk({}, "stop")) == b""
    end = encoder.finish(Usage(2, 1, "tokenizer"))
    last, counted = datas(end)

    assert [(one["choices"][0]["text"], one["choices"][0]["finish_reason"]) for one in (*datas(first), last)] == [
        ("x", None),
        ("", "stop"),
    ]
    assert counted["usage"]["total_tokens"] == 3
    assert end.endswith(b"data: [DONE]\n\n")


@given(st.lists(st.integers(0, 30), max_size=6))
def test_values_are_put_back_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    told = "to PIIEMAIL1, not PIIEMAIL12"
    masker = default_redactor().redact({"prompt": f"write to {SECRET}"}).masker
    edges = sorted({0, len(told), *(cut for cut in cuts if cut < len(told))})
    passage = Completions().passage(masker, read(stream=True))

    passed = [passage.forward(chunk(told[a:b])) for a, b in zip(edges, edges[1:], strict=False)]
    passed += [passage.forward(chunk("", "stop")), (passage.finish(), [])]

    shown = "".join(one["choices"][0]["text"] for frames, _ in passed for one in datas(frames))
    kept: Any = [kept for _, chunks in passed for kept in chunks]
    assert shown == f"to {SECRET}, not PIIEMAIL12"
    assert "".join(one["choices"][0]["delta"]["content"] for one in kept) == told


def test_unmasked_bytes_pass_and_the_end_mark_waits() -> None:
    passage = Completions().passage(None, read(stream=True))

    assert passage.forward(chunk("a"))[0] == b"data: " + chunk("a") + b"\n\n"
    assert passage.forward(b"[DONE]") == (b"", [])
    assert passage.ended
    assert passage.finish() == b"data: [DONE]\n\n"


def test_r09_what_ends_a_choice_waits_for_the_end_of_the_stream() -> None:
    passage = Completions().passage(None, read(stream=True))

    assert passage.forward(chunk("b", "stop"))[0] == b""
    passage.forward(b"[DONE]")
    assert passage.finish() == b"data: " + chunk("b", "stop") + b"\n\ndata: [DONE]\n\n"
