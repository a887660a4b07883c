"""An Anthropic stream that stays one: masked values put back block by block, every other byte unchanged."""

from __future__ import annotations

from typing import cast

import orjson
from typing_extensions import override

from registry.errors import UpstreamError
from router.chat import JsonObject
from router.dialects.deltas import read_event
from router.dialects.messages.decoding import MessagesDecoder
from router.dialects.messages.wire import count, fields, frame, text
from router.dialects.protocol import Passage
from router.redaction.masking import Masker
from router.redaction.placeholders import StreamRestorer

# Kind of delta to the field with its text; a block of text or thinking starts with a field of that name.
_STREAMED = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


class MessagesPassage(Passage):
    """One stream, from data of events to frames; chunks for the ledger hold what the upstream said."""

    def __init__(self, masker: Masker | None, *, json_text: bool) -> None:
        """Take whether the answer's text is itself JSON, and no masker where nothing has to be put back."""
        self._decoder = MessagesDecoder()
        self._restorer = _EventRestorer(masker, json_text=json_text) if masker else None
        self._end = b""

    @property
    @override
    def ended(self) -> bool:
        """Whether message_stop has come."""
        return self._decoder.ended

    @override
    def forward(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        """Return the frames for one event, and its chunks; see `Passage.forward`."""
        event = read_event(data)
        kind = event.get("type")
        if not isinstance(kind, str) or not kind.isidentifier():
            raise UpstreamError("the upstream sent an event without a type; check that it speaks Anthropic's dialect")
        chunks = self._decoder.take(event)
        if self._decoder.ended or kind == "message_delta":
            # A client may take the reason to stop for the end of a whole answer, so it waits for the end too.
            self._end += frame(kind, data)
            return b"", chunks
        if self._restorer is None:
            return frame(kind, data), chunks
        shown = self._restorer.restore(event)
        return b"".join(
            frame(text(each["type"]), data if each is event else orjson.dumps(each)) for each in shown
        ), chunks

    @override
    def finish(self) -> bytes:
        """Return the reason to stop and message_stop."""
        return self._end


class _EventRestorer:
    """Puts masked values back into events; each block's text is a stream of its own."""

    def __init__(self, masker: Masker, *, json_text: bool) -> None:
        self._masker = masker
        self._json_text = json_text
        self._streams: dict[int, tuple[str, StreamRestorer]] = {}

    def restore(self, event: JsonObject) -> list[JsonObject]:
        """Return the events for the client: the same object where nothing in it was masked."""
        match event:
            case {"type": "content_block_start", "content_block": {"type": "text" | "thinking" as kind}}:
                return self._changed(event, "content_block", kind, f"{kind}_delta")
            case {"type": "content_block_delta", "delta": {"type": str(kind)}} if kind in _STREAMED:
                return self._changed(event, "delta", _STREAMED[kind], kind)
            case {"type": "content_block_stop"}:
                return [*self._rest(count(event.get("index"))), event]
            case {"type": "content_block_delta", "delta": {"type": "signature_delta"}}:
                return [event]
            case _:
                restored = cast("JsonObject", self._masker.restore_json(event))
                return [event if restored == event else restored]

    def _changed(self, event: JsonObject, holder: str, name: str, kind: str) -> list[JsonObject]:
        """Return an event with the text in one field of it as far as it is certain; none where nothing is."""
        held, index = fields(event.get(holder)), count(event.get("index"))
        if index not in self._streams:
            is_json = self._json_text if kind == "text_delta" else kind == "input_json_delta"
            self._streams[index] = kind, self._masker.restorer(json_text=is_json)
        said = text(held.get(name))
        shown = self._streams[index][1].feed(said)
        if shown == said:
            return [event]
        return [{**event, holder: {**held, name: shown}}] if shown or holder == "content_block" else []

    def _rest(self, index: int) -> list[JsonObject]:
        """Return what a block has held back, which comes before its end."""
        kind, stream = self._streams.pop(index, ("", None))
        rest = stream.flush() if stream else ""
        delta: JsonObject = {"type": kind, _STREAMED[kind]: rest} if rest else {}
        return [{"type": "content_block_delta", "index": index, "delta": delta}] if rest else []
