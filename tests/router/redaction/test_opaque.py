from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.redaction.opaque import put_back, set_aside

PICTURE = "iVBORw0KGgoAAAANSUhEUgAA" * 8
URL = f"data:image/png;base64,{PICTURE}"
CHAT_IMAGE = {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}
MESSAGES_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}


def asked(*parts: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "what is it?"}]}]}


@pytest.mark.parametrize(
    "part",
    [
        CHAT_IMAGE,
        MESSAGES_IMAGE,
        {"type": "input_image", "image_url": URL},
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PICTURE}=="}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": f"{PICTURE}=="}},
        {"type": "tool_result", "tool_use_id": "t", "content": [MESSAGES_IMAGE]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": URL}},
        {"type": "text", "text": f"see ![it]({URL}) there"},
        {"type": "text", "text": json.dumps({"shot": URL, "next": [1]})},
        {"type": "text", "text": json.dumps({"shot": URL}).replace("/", "\\/")},
        {"type": "hologram", "payload": {"url": URL}},
    ],
)
def test_bytes_are_set_aside_and_come_back_where_they_were(part: dict[str, Any]) -> None:
    body = asked(part)
    aside = set_aside(body)

    assert aside.kinds
    assert PICTURE[:64] not in json.dumps(aside.body)
    assert PICTURE[:64] not in repr(aside)
    assert put_back(aside.body, aside.payloads) == body


def test_the_kind_says_what_it_is_and_its_type_stays_known() -> None:
    aside = set_aside(asked(CHAT_IMAGE, CHAT_IMAGE))

    assert aside.kinds == ("a part of type image_url", "a data: URL")
    assert [part.get("image_url") for part in aside.body["messages"][0]["content"][:2]] == [  # type: ignore[index]
        {"url": "data:image/png;base64,opaque-1", "detail": "low"},
        {"url": "data:image/png;base64,opaque-2", "detail": "low"},
    ]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "a data:image/png;base64,... URL"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain words"}},
        {"type": "tool_use", "id": "t", "name": "open", "input": {"type": "file", "path": "a.txt"}},
        {"type": "redacted_thinking", "data": PICTURE},
        {"type": "thinking", "thinking": "hm", "signature": PICTURE},
        {"type": "reasoning", "encrypted_content": PICTURE},
    ],
)
def test_text_and_what_a_vendor_wrote_for_itself_is_left(part: dict[str, Any]) -> None:
    body = asked(part)

    assert set_aside(body).kinds == ()
    assert set_aside(body).body == body


def test_a_part_that_only_points_somewhere_is_named_and_has_no_bytes() -> None:
    aside = set_aside(asked({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}))

    assert aside.kinds == ("a part of type image_url",)
    assert aside.payloads == ()


def test_a_users_own_word_like_a_token_stays_a_word() -> None:
    body = asked({"type": "text", "text": "opaque-1, opaque-9 and base64,opaque-1"}, CHAT_IMAGE)
    aside = set_aside(body)

    assert put_back(aside.body, aside.payloads) == body


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=20) | st.sampled_from([URL, PICTURE, "opaque-7", "image", "file"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "data", "source", "input", "content", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["messages", "input", "system"]), JSON, max_size=3))
def test_whatever_is_set_aside_comes_back(body: dict[str, Any]) -> None:
    aside = set_aside(body)

    assert put_back(aside.body, aside.payloads) == body
    assert URL not in json.dumps(aside.body)


def test_many_marks_of_data_urls_take_linear_time() -> None:
    text = "data:image/png;base64,AAAA " * 40_000 + "data:" * 100_000

    assert set_aside({"prompt": text}).kinds == ()
