"""A stream that stays in this dialect: values put back, and a copy for the ledger as chat chunks."""

from __future__ import annotations

from typing import TypeAlias, cast

import orjson
from typing_extensions import override

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.deltas import read_event
from router.dialects.protocol import Passage
from router.dialects.responses.decoding import SURPLUS_END
from router.dialects.responses.encoding import event_frame
from router.dialects.responses.fields import text
from router.dialects.responses.reading import AnswerReader
from router.redaction.masking import Masker
from router.redaction.placeholders import StreamRestorer

_Key: TypeAlias = tuple[str, Json, Json]
"""A text that comes in deltas: its kind, its item's place, its part of the item."""
_PART_NUMBERS = ("summary_index", "content_index", "command_index")


class ResponsesPassage(Passage):
    """One stream; the bytes of an event pass unchanged wherever nothing in it was put back."""

    def __init__(self, masker: Masker | None, *, json_text: bool) -> None:
        """Take no masker where nothing has to be put back, and whether the answer's text is JSON."""
        self._reader = AnswerReader()
        self._events = EventRestorer(masker, json_text=json_text) if masker else None
        self._end = b""

    @property
    @override
    def ended(self) -> bool:
        """Whether the final response has come."""
        return self._reader.ended

    @override
    def forward(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        """Return the frames of one event and its chat chunks; see `Passage.forward`."""
        if data.strip() == SURPLUS_END:
            return b"", []
        event = read_event(data)
        chunks = self._reader.read(event)
        frames = [event_frame(event.get("type"), data)] if self._events is None else self._restored(event, data)
        if self.ended:
            self._end = frames.pop()
        return b"".join(frames), chunks

    def _restored(self, event: JsonObject, data: bytes) -> list[bytes]:
        restored = self._events.restore(event) if self._events else [event]
        return [event_frame(one.get("type"), data if one == event else orjson.dumps(one)) for one in restored]

    @override
    def finish(self) -> bytes:
        """Return the frame of the final response."""
        return self._end


class EventRestorer:
    """Puts masked values back into events; every text that comes in deltas is a stream of its own.

    What a stream holds back comes as one more delta before the event that ends it, and later events are renumbered.
    """

    def __init__(self, masker: Masker, *, json_text: bool) -> None:
        """Take whether the answer's text is itself JSON, which must stay valid."""
        self._masker = masker
        self._json_text = json_text
        self._streams: dict[_Key, tuple[StreamRestorer, JsonObject]] = {}
        self._added = 0

    def restore(self, event: JsonObject) -> list[JsonObject]:
        """Return an event with values put back, behind those that had to be added."""
        field, _, moment = text(event.get("type")).rpartition(".")
        said = event.get("delta")
        if moment == "delta" and isinstance(said, str):
            key = _key(field, event)
            stream, _ = self._streams.get(key) or (self._restorer(field), event)
            self._streams[key] = stream, event
            return [self._numbered({**event, "delta": stream.feed(said)})]
        found: list[JsonObject] = []
        for key in self._ended(field, event):
            rest = self._rest(key)
            if rest:
                found.append(self._numbered({**rest, "sequence_number": event.get("sequence_number")}))
                self._added += 1
        return [*found, self._numbered(cast("JsonObject", self._masker.restore_json(event)))]

    def _restorer(self, field: str) -> StreamRestorer:
        is_json = "arguments" in field or (field == "response.output_text" and self._json_text)
        return self._masker.restorer(json_text=is_json)

    def _ended(self, field: str, event: JsonObject) -> list[_Key]:
        """Return the streams that an event ends: its own, all of its item, or all."""
        match event.get("type"):
            case "response.completed" | "response.incomplete":
                return [*self._streams]
            case "response.output_item.done":
                return [key for key in self._streams if key[1] == event.get("output_index")]
            case _:
                return [key for key in (_key(field, event),) if key in self._streams]

    def _rest(self, key: _Key) -> JsonObject:
        """Return the delta of what a stream has held back, empty where it has nothing."""
        stream, last = self._streams.pop(key)
        rest = stream.flush()
        delta: JsonObject = {name: value for name, value in last.items() if name not in ("obfuscation", "logprobs")}
        logprobs: JsonObject = {"logprobs": []} if "logprobs" in last else {}
        return {**delta, **logprobs, "delta": rest} if rest else {}

    def _numbered(self, event: JsonObject) -> JsonObject:
        number = event.get("sequence_number")
        return {**event, "sequence_number": number + self._added} if isinstance(number, int) else event


def _key(field: str, event: JsonObject) -> _Key:
    parts = [event[name] for name in _PART_NUMBERS if name in event]
    return field, event.get("output_index"), parts[0] if parts else None
