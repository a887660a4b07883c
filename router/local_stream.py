"""A specialist's answer on its way to the client: whole, or while it is decoded: held back, judged, released."""

from __future__ import annotations

import orjson

from registry.entities import Usage
from router.assessment import HELD_HEADER, weak_header
from router.attempts import Attempt
from router.chat import JsonObject, completion, delta_chunk
from router.dialects.protocol import Encoder
from router.engine.protocol import Piece
from router.exchange import Wire
from router.fitness import wants_json
from router.local_answer import LocalAnswer, restored, unsure_of
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
        first = not self.begun
        if first:
            said = {HELD_HEADER: str(self._hold), **weak_header(self.weakness)}
            await self.attempt.wire.begin({**self.attempt.headers, **said})
            self.begun = True
        if text or first:
            await self.attempt.wire.write(self.encoder.feed(text_chunk(text, first=first)))


def text_chunk(text: str, *, first: bool) -> JsonObject:
    """Return a chunk of answer text; the first one names the role."""
    role: JsonObject = {"role": "assistant"} if first else {}
    return delta_chunk({**role, "content": text})


async def end_stream(wire: Wire, encoder: Encoder, answer: LocalAnswer) -> None:
    """Say why an answer ended, and how many tokens it took."""
    await wire.write(encoder.feed(delta_chunk({}, answer.finish)))
    await wire.write(encoder.finish(answer.usage))
    await wire.end()


async def give(attempt: Attempt, answer: LocalAnswer, weakness: str) -> None:
    """Give a held answer whole, as the client asked for it; a weak one is marked."""
    incoming, wire = attempt.routed.incoming, attempt.wire
    request, dialect = incoming.request, incoming.dialect
    text = restored(attempt, answer.text)
    headers = {**attempt.headers, HELD_HEADER: "answer", **weak_header(weakness)}
    if not request.stream:
        at, usage = attempt.intent.at_utc, answer.usage or Usage(0, 0, "tokenizer")
        whole = completion(attempt.id, request.model, at, text=text, finish=answer.finish, usage=usage)
        await wire.answer(headers, orjson.dumps(dialect.answer_from_chat(whole, attempt.facts, request.body)))
        return
    await wire.begin(headers)
    encoder = dialect.encoder(attempt.facts, request)
    await wire.write(encoder.feed(text_chunk(text, first=True)))
    await end_stream(wire, encoder, answer)
