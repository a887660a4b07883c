"""Upstreams in memory that answer, fail or break off as told, and let a test see what reached whom."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.errors import UpstreamError
from registry.settings import UpstreamSettings
from router.upstream import CloudReply, CloudRequest, UnreachableError, UpstreamTimeoutError
from tests.faults.answers import Answer, Wordwise, frames, whole
from tests.leaks.classed import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES

MOODS = ("well", "well", "500", "429", "400", "context", "content", "unreachable", "late", "cut", "garbage", "mended")
"""What an upstream does next; `mended` fails once and would answer when it is asked again."""
_SPOKEN_AT = {
    "/chat/completions": CHAT,
    "/completions": COMPLETIONS,
    "/responses": RESPONSES,
    "/messages": MESSAGES,
    "/embeddings": EMBEDDINGS,
}
_SAID = {
    "context": {"message": "maximum context length is 8 tokens", "code": "context_length_exceeded"},
    "content": {"message": "not wanted", "code": "content_filter", "type": "content_filter"},
}


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it reached an upstream."""

    upstream: str
    model: str
    private: bool
    body: bytes
    on_record: bool
    """Whether the ledger held the intent to send it there when it came."""


@dataclass
class Reply:
    """An answer in memory."""

    status: int
    pieces: list[bytes]
    breaks: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the pieces; break off where told so."""
        for piece in self.pieces:
            yield piece
        if self.breaks:
            raise UpstreamError("the connection broke")

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Watching:
    """One upstream, which hands what it gets to `watch` before it answers."""

    name: str
    settings: UpstreamSettings
    watch: Callable[[str, str, bool, bytes], None]
    mood: str = "well"
    text: str = "fix"

    async def open(self, request: CloudRequest) -> CloudReply:
        """Answer as the mood is."""
        asked = json.loads(request.body)
        model = str(asked.get("model"))
        # Told here by the name alone: what is tested must not say itself what is private.
        self.watch(self.name, model, self.settings.trust == "private" and "cloud" not in model, request.body)
        mood = self.mood
        if mood == "mended":
            self.mood = "well"
        if mood == "unreachable":
            raise UnreachableError("nobody listens")
        if mood == "late":
            raise UpstreamTimeoutError("no answer in time")
        if mood in ("500", "429", "mended"):
            status = 503 if mood == "mended" else int(mood)
            return Reply(status, [b'{"error":{"message":"no"}}'], headers={"retry-after-ms": "0"})
        if mood in ("400", *_SAID):
            said = _SAID.get(mood, {"message": "cannot"})
            return Reply(400, [json.dumps({"error": {"type": "invalid_request_error", **said}}).encode()])
        return self._answer(request, asked)

    def _answer(self, request: CloudRequest, asked: dict[str, Any]) -> Reply:
        surface = _SPOKEN_AT[request.path]
        if self.mood == "garbage":
            return Reply(200, [b"<html>"])
        if surface == EMBEDDINGS:
            return Reply(200, [b'{"object":"list","data":[],"model":"m","usage":{"prompt_tokens":1,"total_tokens":1}}'])
        answer = Answer(self.text)
        pieces = frames(surface, answer, Wordwise()) if asked.get("stream") else [whole(surface, answer)]
        if self.mood == "cut":
            pieces = pieces[:-2] if asked.get("stream") else [pieces[0][:10]]
        return Reply(200, pieces, breaks=self.mood == "cut")

    async def aclose(self) -> None:
        """Nothing is open."""
