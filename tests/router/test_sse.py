from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import UpstreamError
from router.sse import MAX_EVENT_BYTES, EventReader

STREAM = (
    b'\xef\xbb\xbf: ping\r\ndata: {"a": "\xc3\xa9"}\r\n\r\nevent: x\n'
    b'data:{"b":1}\n\ndata: one\ndata: two\n\ndata: [DONE]\n\n'
)
EVENTS = [b'{"a": "\xc3\xa9"}', b'{"b":1}', b"one\ntwo", b"[DONE]"]


def read(pieces: list[bytes]) -> list[bytes]:
    reader = EventReader()
    return [event for piece in pieces for event in reader.feed(piece)]


def test_any_legal_line_ending_comment_and_spacing_is_read() -> None:
    assert read([STREAM]) == EVENTS
    assert read([b"data: a\r\rdata: b\r\n\r\n"]) == [b"a", b"b"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_events_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = sorted({0, len(STREAM), *cuts})

    assert read([STREAM[left:right] for left, right in zip(edges, edges[1:], strict=False)]) == EVENTS


def test_an_event_without_its_blank_line_is_not_complete() -> None:
    assert read([b"data: half\n"]) == []


@pytest.mark.parametrize("line", [b"data: " + b"x" * 4096, b"data: y\n" + b"data: " + b"x" * 4096 + b"\n"])
def test_an_event_that_never_ends_is_an_error(line: bytes) -> None:
    with pytest.raises(UpstreamError, match="bytes"):
        read([line] * (MAX_EVENT_BYTES // 4096 + 2))
