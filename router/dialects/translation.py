"""A stream on its way from an upstream's dialect to a client's other one, through chat chunks."""

from __future__ import annotations

import orjson
from typing_extensions import override

from registry.entities import Usage
from router.assembly import upstream_usage
from router.chat import JsonObject
from router.dialects.deltas import DeltaRestorer
from router.dialects.protocol import Decoder, Encoder, Passage
from router.redaction.masking import Masker


class Translation(Passage):
    """Decodes, puts values back, encodes."""

    def __init__(self, decoder: Decoder, encoder: Encoder, masker: Masker | None, *, json_text: bool) -> None:
        """Take whether the answer's text is itself JSON, and no masker where nothing has to be put back."""
        self._decoder = decoder
        self._encoder = encoder
        self._deltas = DeltaRestorer(masker, json_text=json_text) if masker else None
        self._usage: Usage | None = None

    @property
    @override
    def ended(self) -> bool:
        """Whether the upstream's end mark has come."""
        return self._decoder.ended

    @override
    def forward(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        """Return the client's frames for one event, and its chat chunks as they came."""
        chunks = self._decoder.feed(data)
        for chunk in chunks:
            self._usage = upstream_usage(chunk.get("usage")) or self._usage
        return b"".join(self._encoder.feed(shown) for chunk in chunks for shown in self._restored(chunk)), chunks

    def _restored(self, chunk: JsonObject) -> list[JsonObject]:
        # What the ledger keeps stays masked, so a copy is changed.
        return [chunk] if self._deltas is None else self._deltas.restore(orjson.loads(orjson.dumps(chunk)))

    @override
    def finish(self) -> bytes:
        """Return the frames that end the client's stream."""
        return self._encoder.finish(self._usage)
