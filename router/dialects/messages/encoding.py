"""Chat completion chunks as Anthropic's event stream: one block open at a time.

Chat may go on with several tool calls in turn, Anthropic may not. Blocks stand in line in the order in which they
began; the first one streams, the others wait until it is whole: text once something follows it, a tool call once its
arguments are a JSON value, everything at the finish.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from typing_extensions import override

from registry.entities import Json, Usage
from registry.errors import UpstreamError
from router.chat import JsonObject, usage_object
from router.dialects.messages.answer import estimated_usage, message_start, stop_of, usage_from_chat
from router.dialects.messages.request import UNSIGNED, asks_for_thinking
from router.dialects.messages.wire import count, event_frame, fields, objects, text, tool_id
from router.dialects.protocol import AnswerFacts, Encoder, Request
from router.redaction.json_text import is_json

_DELTAS = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}


@dataclass(slots=True)
class _Block:
    """A block in line: how it starts, what it says, and how much of that the client has."""

    start: JsonObject
    index: int | None = None
    pieces: list[str] = field(default_factory=list)
    sent: int = 0
    signature: str = ""
    closed: bool = False
    checked: int = 0

    @property
    def kind(self) -> str:
        return text(self.start["type"])

    def is_whole(self) -> bool:
        """Whether nothing can follow; arguments are parsed once after each piece that may have ended them."""
        if self.kind != "tool_use":
            return True
        if self.checked == len(self.pieces) or not self.pieces[-1].rstrip().endswith("}"):
            return False
        self.checked = len(self.pieces)
        return is_json("".join(self.pieces))


class MessagesEncoder(Encoder):
    """Writes the events of one answer."""

    def __init__(self, facts: AnswerFacts, request: Request) -> None:
        self._facts = facts
        self._request = request.body
        self._shows_thinking = asks_for_thinking(request.body)
        self._line: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        self._said: list[Json] = []
        self._begun = 0
        self._started = self._refused = False
        self._finish: Json = None
        self._usage: JsonObject | None = None

    @override
    def feed(self, chunk: JsonObject) -> bytes:
        """Return the events for one chunk; the counts wait for `finish`."""
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        events = self._start()
        for choice in objects(chunk.get("choices")):
            if choice.get("index") in (0, None):
                self._finish = choice.get("finish_reason") or self._finish
                self._take(fields(choice.get("delta")))
                events += self._advance(final=choice.get("finish_reason") is not None)
        return b"".join(map(event_frame, events))

    @override
    def finish(self, usage: Usage | None) -> bytes:
        """Return the events that end the answer, with the upstream's counts, else `usage`, else estimates."""
        events = [*self._start(), *self._advance(final=True)]
        counts = self._usage or (usage_object(usage) if usage else None)
        stop = stop_of(self._finish, calls=bool(self._calls), refused=self._refused)
        ending: JsonObject = {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": usage_from_chat(counts) if counts else estimated_usage(self._request, self._said),
        }
        events += [ending, {"type": "message_stop"}]
        return b"".join(map(event_frame, events))

    def _start(self) -> list[JsonObject]:
        if self._started:
            return []
        self._started = True
        return [{"type": "message_start", "message": message_start(self._facts)}]

    def _take(self, delta: JsonObject) -> None:
        """Put what a delta says in line."""
        thought = text(delta.get("reasoning_content")) or text(delta.get("reasoning"))
        if self._shows_thinking:
            self._say({"type": "thinking", "thinking": "", "signature": ""}, thought)
            for block in objects(delta.get("thinking_blocks")):
                self._sign(block)
        self._refused = self._refused or bool(delta.get("refusal"))
        self._say({"type": "text", "text": ""}, text(delta.get("content")) + text(delta.get("refusal")))
        for call in objects(delta.get("tool_calls")):
            self._call(call)

    def _say(self, start: JsonObject, said: str) -> None:
        if not said:
            return
        if not self._line or self._line[-1].kind != start["type"]:
            self._line.append(_Block(start))
        self._line[-1].pieces.append(said)

    def _sign(self, block: JsonObject) -> None:
        """Take the signature of the thinking that was last in line, or a block that nobody can read."""
        signature = text(block.get("signature"))
        if block.get("type") == "redacted_thinking":
            self._line.append(_Block({"type": "redacted_thinking", "data": text(block.get("data"))}))
        elif signature:
            if not self._line or self._line[-1].kind != "thinking":
                self._line.append(_Block({"type": "thinking", "thinking": "", "signature": ""}))
            self._line[-1].signature = signature

    def _call(self, call: JsonObject) -> None:
        place, function = count(call.get("index")), fields(call.get("function"))
        block = self._calls.get(place)
        if block is None:
            block = self._calls[place] = _Block({"type": "tool_use", "id": "", "name": "", "input": {}})
            self._line.append(block)
        block.start["id"] = block.start["id"] or tool_id(text(call.get("id")))
        block.start["name"] = block.start["name"] or text(function.get("name"))
        arguments = text(function.get("arguments"))
        if block.closed and arguments.strip():
            raise UpstreamError(f"the model went on with the call of {block.start['name']!r} after its end; ask again")
        block.pieces += [arguments] if arguments else []

    def _advance(self, *, final: bool) -> list[JsonObject]:
        """Return the events of the first block in line, and of those behind it for which it has made room."""
        events: list[JsonObject] = []
        while self._line:
            block = self._line[0]
            if block.kind == "tool_use" and not block.start["name"] and not final:
                break
            events += self._flow(block)
            if not final and (len(self._line) == 1 or not block.is_whole()):
                break
            events += self._close(block)
            self._line.popleft()
        return events

    def _flow(self, block: _Block) -> list[JsonObject]:
        """Return the start of a block that has none yet, and what it has said since."""
        events: list[JsonObject] = []
        if block.index is None:
            block.index, self._begun = self._begun, self._begun + 1
            if block.kind == "tool_use" and not block.start["id"]:
                block.start["id"] = f"toolu_{tool_id(self._facts.interaction_id).replace('-', '')}{block.index}"
            events.append({"type": "content_block_start", "index": block.index, "content_block": block.start})
        fresh = block.pieces[block.sent :]
        block.sent = len(block.pieces)
        self._said += fresh
        return [*events, *(self._delta(block, piece) for piece in fresh)]

    def _delta(self, block: _Block, piece: str) -> JsonObject:
        kind, name = _DELTAS[block.kind]
        return {"type": "content_block_delta", "index": block.index, "delta": {"type": kind, name: piece}}

    def _close(self, block: _Block) -> list[JsonObject]:
        block.closed = True
        events: list[JsonObject] = []
        if block.kind == "thinking":
            signed: JsonObject = {"type": "signature_delta", "signature": block.signature or UNSIGNED}
            events.append({"type": "content_block_delta", "index": block.index, "delta": signed})
        return [*events, {"type": "content_block_stop", "index": block.index}]
