"""A specialist's answer on its way to the client while it is decoded: held back, judged, released."""

from __future__ import annotations

from router.attempts import Attempt
from router.chat import JsonObject, delta_chunk
from router.dialects.protocol import Encoder
from router.engine.protocol import Piece
from router.fitness import wants_json
from router.judging import HELD_HEADER, weak_header
from router.local_answer import LocalAnswer, unsure_of
from router.verifying.holding import Decision, HeldStream, Hold


class LocalStream:
    """A streamed answer as far as it has come: what is held of it, and what the client has."""

    def __init__(self, attempt: Attempt, hold: Hold, encoder: Encoder) -> None:
        self.attempt = attempt
        self.encoder = encoder
        self.pieces: list[str] = []
        self.begun = False
        self._hold = hold
        self._held = HeldStream(hold, attempt.specialist.threshold)
        self._restorer = attempt.routed.redaction.masker.restorer(json_text=wants_json(attempt.routed.chat))

    @property
    def answer(self) -> LocalAnswer:
        """What has come, which is no whole answer."""
        return LocalAnswer("".join(self.pieces), confidence=self._held.confidence, finish="length")

    @property
    def weakness(self) -> str:
        """Why the beginning is weak, empty where it is not or nothing is known yet."""
        if self._held.decision is not Decision.WEAK:
            return ""
        return f"{unsure_of(self._held.confidence, self.attempt.specialist)} after {len(self.pieces)} tokens"

    async def feed(self, piece: Piece) -> None:
        """Take one piece, and write what may be released."""
        self.pieces.append(piece.text)
        released = self._held.feed(piece.text, piece.logprob)
        if self._held.decision not in (Decision.OPEN, Decision.WEAK):
            await self._write(self._restorer.feed(released))

    async def release(self) -> None:
        """Write what is held of a weak answer that nobody else may give."""
        await self._write(self._restorer.feed(self._held.take()))

    async def finish(self) -> None:
        """Write the rest, where anything was written."""
        if self.begun:
            await self._write(self._restorer.flush())

    async def _write(self, text: str) -> None:
        if not self.begun:
            said = {HELD_HEADER: str(self._hold), **weak_header(self.weakness)}
            await self.attempt.wire.begin({**self.attempt.headers, **said})
        if text or not self.begun:
            await self.attempt.wire.write(self.encoder.feed(text_chunk(text, first=not self.begun)))
        self.begun = True


def text_chunk(text: str, *, first: bool) -> JsonObject:
    """Return a chunk of answer text; the first one names the role."""
    role: JsonObject = {"role": "assistant"} if first else {}
    return delta_chunk({**role, "content": text})
