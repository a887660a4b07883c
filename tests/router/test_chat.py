from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.entities import Usage
from router.chat import ChunkWriter, answer_text, completion, last_user_text, model_list, outgoing_body, parse_chat
from router.problems import InvalidRequestError
from tests.router.making import NOON, task


def parsed(body: Any) -> Any:
    return parse_chat(json.dumps(body).encode())


def test_a_request_is_read_and_kept_whole() -> None:
    request = parsed(task(stream=True, stream_options={"include_usage": True}, vendor_field=[1]))

    assert (request.model, request.stream, request.wants_usage) == ("gpt-5.4", True, True)
    assert request.body["vendor_field"] == [1]
    assert len(request.messages) == 1


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
        parse_chat(raw)


def test_an_upstream_gets_its_model_name_and_always_counts_its_tokens() -> None:
    body = task(stream=True, stream_options={"other": 1}, metadata={"workflow": "w"})

    sent = outgoing_body(body, "gpt-6", None)
    plain = outgoing_body(task(), "gpt-6", {"user": "7"})

    assert sent["model"] == "gpt-6"
    assert sent["stream_options"] == {"other": 1, "include_usage": True}
    assert "metadata" not in sent
    assert "stream_options" not in plain
    assert plain["metadata"] == {"user": "7"}
    assert body["stream_options"] == {"other": 1}


def test_the_last_user_text_may_stand_in_parts() -> None:
    turns: list[Any] = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "no"},
        {"role": "user", "content": [{"type": "text", "text": "se"}, {"type": "text", "text": "cond"}]},
    ]

    assert last_user_text(turns) == "second"
    assert last_user_text([]) == ""


def test_an_answer_reads_back_as_written() -> None:
    whole = completion("i1", "gpt-5.4", NOON, text="fix", finish="stop", usage=Usage(3, 1, "tokenizer"))

    assert answer_text(whole) == "fix"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    assert answer_text({"choices": []}) is None


def test_frames_are_events_of_one_completion() -> None:
    chunks = ChunkWriter("i1", "gpt-5.4", NOON)
    first, last = chunks.text("fi", first=True), chunks.finish("stop")

    assert first.startswith(b"data: {")
    assert first.endswith(b"}\n\n")
    assert json.loads(first[6:])["choices"][0]["delta"] == {"role": "assistant", "content": "fi"}
    assert json.loads(last[6:])["choices"][0]["finish_reason"] == "stop"
    assert json.loads(first[6:])["id"] == json.loads(last[6:])["id"] == "chatcmpl-i1"
    assert json.loads(chunks.usage(Usage(3, 1, "tokenizer"))[6:])["choices"] == []


def test_the_model_list_serves_both_sdks() -> None:
    listed = model_list({"auto": "modelbreeder", "gpt-5.4": "openai"}, NOON)

    assert listed["object"] == "list"
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("auto", "gpt-5.4", False)
    assert listed["data"][1] == {  # type: ignore[index]  # Json
        "id": "gpt-5.4",
        "object": "model",
        "created": int(NOON.timestamp()),
        "owned_by": "openai",
        "type": "model",
        "display_name": "gpt-5.4",
        "created_at": "2026-11-21T12:00:00Z",
    }
