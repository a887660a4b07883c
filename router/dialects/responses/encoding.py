"""The frames of a stream for a client."""

from __future__ import annotations

from collections.abc import Iterable

import orjson
from typing_extensions import override

from registry.entities import Json, Usage
from router.chat import JsonObject
from router.dialects.protocol import AnswerFacts, Encoder
from router.dialects.responses.writing import AnswerWriter


class ResponsesEncoder(Encoder):
    """Writes one stream."""

    def __init__(self, facts: AnswerFacts, request: JsonObject) -> None:
        """Take what the answer says of itself, and the request in this dialect."""
        self._writer = AnswerWriter(facts, request)

    @override
    def feed(self, chunk: JsonObject) -> bytes:
        """Return the frames for one chunk."""
        return _frames(self._writer.add(chunk))

    @override
    def finish(self, usage: Usage | None) -> bytes:
        """Return the frames that close what is open, and response.completed or response.incomplete."""
        return _frames(self._writer.end(usage))


def event_frame(kind: Json, data: bytes) -> bytes:
    """Return one server-sent event; its name is the type that its data says."""
    name = b"event: " + kind.encode() + b"\n" if isinstance(kind, str) and kind.isprintable() else b""
    return name + b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def _frames(events: Iterable[JsonObject]) -> bytes:
    return b"".join(event_frame(event["type"], orjson.dumps(event)) for event in events)
