"""How the events of an upstream's stream become what the client is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from registry.errors import UpstreamError
from router.dialects.chat import ChatPassage
from router.passing import Stream, frames_of

ONE, TWO = (b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % word for word in (b"one", b"two"))


def passed(*arrived: list[bytes]) -> tuple[list[bytes], Stream, UpstreamError | None]:
    """Return what a client is written of events by how they arrived, the stream, and how it broke."""
    stream = Stream(ChatPassage(None, wants_usage=False, json_text=False))
    written: list[bytes] = []

    async def source() -> AsyncGenerator[list[bytes], None]:
        for each in arrived:
            yield each

    async def read() -> None:
        async for frames in frames_of(stream, source(), "vendor"):
            written.append(frames)  # noqa: PERF401  what was written before an error counts

    try:
        asyncio.run(read())
    except UpstreamError as error:
        return written, stream, error
    return written, stream, None


def test_what_arrived_together_is_written_together_and_the_rest_at_once() -> None:
    written, stream, error = passed([ONE, TWO], [ONE], [b"[DONE]"])
    assert written == [b"data: %b\n\ndata: %b\n\n" % (ONE, TWO), b"data: %b\n\n" % ONE]
    assert error is None
    assert "onetwoone" in str(stream.assembly.completion())


def test_what_came_before_a_broken_event_is_written_and_nothing_behind_the_end_mark_is() -> None:
    written, _, error = passed([ONE, b"{", TWO])
    assert written == [b"data: %b\n\n" % ONE]
    assert "not JSON" in str(error)

    assert passed([ONE, b"[DONE]", TWO])[0] == [b"data: %b\n\n" % ONE]


@pytest.mark.parametrize("arrived", [[], [ONE]])
def test_a_stream_without_its_end_mark_is_not_whole(arrived: list[bytes]) -> None:
    assert "without the end mark" in str(passed(arrived)[2])
