"""Anthropic's event stream as chat completion chunks.

Text and tool arguments pass as they come. Thinking comes as `reasoning_content`, and at its end once more as the whole
block in `thinking_blocks`, with its signature. What server tools do has no chat form.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override

from registry.entities import Json
from registry.errors import UpstreamError
from router.chat import JsonObject
from router.dialects.deltas import read_event
from router.dialects.messages.answer import THINKING, finish_of, usage_to_chat
from router.dialects.messages.to_chat import arguments_of
from router.dialects.messages.wire import count, fields, text
from router.dialects.protocol import Decoder


@dataclass(slots=True)
class _Block:
    """A content block that is open; `call` is its place among the tool calls, None for any other block."""

    start: JsonObject
    call: int | None
    pieces: list[str] = field(default_factory=list)
    signature: str = ""


class MessagesDecoder(Decoder):
    """Reads one stream until message_stop."""

    def __init__(self) -> None:
        self._ended = False
        self._head: JsonObject = {}
        self._usage: JsonObject = {}
        self._blocks: dict[int, _Block] = {}
        self._calls = 0

    @property
    @override
    def ended(self) -> bool:
        """Whether message_stop has come."""
        return self._ended

    @override
    def feed(self, data: bytes) -> list[JsonObject]:
        """Return the chunks that an event makes; see `Decoder.feed`."""
        return self.take(read_event(data))

    def take(self, event: JsonObject) -> list[JsonObject]:
        """Return the chunks that a parsed event makes; kinds of events that are new pass for pings."""
        match event.get("type"):
            case "message_start":
                return self._begin(fields(event.get("message")))
            case "message_delta":
                self._count(event.get("usage"))
                finish = finish_of(fields(event.get("delta")).get("stop_reason"))
                return [self._chunk({}, finish)] if finish else []
            case "message_stop":
                self._ended = True
                return [{**self._head, "choices": [], "usage": usage_to_chat(self._usage)}]
            case "error":
                raise UpstreamError("the upstream broke off and did not say why; ask again")
            case kind:
                return self._of_block(kind, event)

    def _of_block(self, kind: Json, event: JsonObject) -> list[JsonObject]:
        index = count(event.get("index"))
        match kind:
            case "content_block_start":
                return self._open(index, fields(event.get("content_block")))
            case "content_block_delta":
                return self._continue(self._block(index), fields(event.get("delta")))
            case "content_block_stop":
                return self._close(self._blocks.pop(index, None))
            case _:
                return []

    def _begin(self, message: JsonObject) -> list[JsonObject]:
        self._head = {"id": message.get("id"), "object": "chat.completion.chunk", "model": message.get("model")}
        self._count(message.get("usage"))
        return [self._chunk({"role": "assistant", "content": ""})]

    def _open(self, index: int, start: JsonObject) -> list[JsonObject]:
        block = self._blocks[index] = _Block(start, self._calls if start.get("type") == "tool_use" else None)
        if block.call is not None:
            self._calls += 1
            function: JsonObject = {"name": start.get("name"), "arguments": ""}
            call: JsonObject = {"index": block.call, "id": start.get("id"), "type": "function", "function": function}
            return [self._chunk({"tool_calls": [call]})]
        block.signature = text(start.get("signature"))
        return [*self._said(text(start.get("text"))), *self._thought(block, text(start.get("thinking")))]

    def _block(self, index: int) -> _Block:
        block = self._blocks.get(index)
        if block is None:
            raise UpstreamError(f"the upstream went on with block {index}, which is not open; ask again")
        return block

    def _continue(self, block: _Block, delta: JsonObject) -> list[JsonObject]:
        match delta.get("type"):
            case "text_delta":
                return self._said(text(delta.get("text")))
            case "thinking_delta":
                return self._thought(block, text(delta.get("thinking")))
            case "signature_delta":
                block.signature += text(delta.get("signature"))
            case "input_json_delta" if block.call is not None:
                return self._argued(block, text(delta.get("partial_json")))
            case _:
                pass
        return []

    def _close(self, block: _Block | None) -> list[JsonObject]:
        """Return what only the end of a block tells: thinking with its signature, input that came with the start."""
        if block is None:
            return []
        if block.call is not None:
            return [] if block.pieces else self._argued(block, arguments_of(block.start))
        if block.start.get("type") not in THINKING:
            return []
        whole: JsonObject = dict(block.start)
        if block.start.get("type") == "thinking":
            whole |= {"thinking": "".join(block.pieces), "signature": block.signature}
        return [self._chunk({"thinking_blocks": [whole]})]

    def _said(self, said: str) -> list[JsonObject]:
        return [self._chunk({"content": said})] if said else []

    def _thought(self, block: _Block, thought: str) -> list[JsonObject]:
        block.pieces += [thought] if thought else []
        return [self._chunk({"reasoning_content": thought})] if thought else []

    def _argued(self, block: _Block, arguments: str) -> list[JsonObject]:
        block.pieces += [arguments] if arguments else []
        call: JsonObject = {"index": block.call, "function": {"arguments": arguments}}
        return [self._chunk({"tool_calls": [call]})] if arguments else []

    def _count(self, usage: Json) -> None:
        """Keep the latest counts: those of message_delta are totals, and leave out what message_start has said."""
        self._usage |= {name: value for name, value in fields(usage).items() if value is not None}

    def _chunk(self, delta: JsonObject, finish: str | None = None) -> JsonObject:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
