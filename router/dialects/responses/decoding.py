"""An upstream's stream as chat completion chunks."""

from __future__ import annotations

from typing_extensions import override

from router.chat import JsonObject
from router.dialects.deltas import read_event
from router.dialects.protocol import Decoder
from router.dialects.responses.reading import AnswerReader

SURPLUS_END = b"[DONE]"
"""Some servers send chat's end mark too; in this dialect it says nothing."""


class ResponsesDecoder(Decoder):
    """Reads one stream; response.completed or response.incomplete is its end."""

    def __init__(self) -> None:
        self._reader = AnswerReader()

    @property
    @override
    def ended(self) -> bool:
        """Whether the final response has come."""
        return self._reader.ended

    @override
    def feed(self, data: bytes) -> list[JsonObject]:
        """Return the chunks that one event makes; see `Decoder.feed`."""
        return [] if data.strip() == SURPLUS_END else self._reader.read(read_event(data))
