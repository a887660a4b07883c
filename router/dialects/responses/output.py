"""Output items of an answer under way: each yields the events that tell of it, and is whole at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from typing_extensions import override

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.responses.fields import table
from router.dialects.responses.tools import ToolName

COMPLETED = "completed"
INCOMPLETE = "incomplete"


class OutputItem(ABC):
    """One item; `status` is what it ends as."""

    def __init__(self, item_id: str, index: int) -> None:
        """Take its id and its place in the answer's output."""
        self.id = item_id
        self.index = index
        self.status = "in_progress"

    @abstractmethod
    def whole(self) -> JsonObject:
        """Return the item as it is now."""

    def opened(self) -> Iterator[JsonObject]:
        """Yield the events that begin it."""
        yield {"type": "response.output_item.added", "output_index": self.index, "item": self.whole()}

    def closed(self, status: str) -> Iterator[JsonObject]:
        """Yield the events that end it."""
        yield from self._parts_closed()
        self.status = status
        yield {"type": "response.output_item.done", "output_index": self.index, "item": self.whole()}

    @abstractmethod
    def _parts_closed(self) -> Iterator[JsonObject]:
        """Yield the events that end what is open inside it."""

    def _event(self, kind: str, **fields: Json) -> JsonObject:
        return {"type": f"response.{kind}", "item_id": self.id, "output_index": self.index, **fields}


class ReasoningItem(OutputItem):
    """The model's reasoning, told as its summary."""

    def __init__(self, item_id: str, index: int) -> None:
        super().__init__(item_id, index)
        self._pieces: list[str] = []

    @override
    def whole(self) -> JsonObject:
        summary: list[Json] = [self._part()] if self._pieces else []
        return {"id": self.id, "type": "reasoning", "summary": summary}

    def add(self, text: str) -> Iterator[JsonObject]:
        """Yield the events of more reasoning."""
        if not self._pieces:
            yield self._event("reasoning_summary_part.added", summary_index=0, part=self._part())
        self._pieces.append(text)
        yield self._event("reasoning_summary_text.delta", summary_index=0, delta=text)

    @override
    def _parts_closed(self) -> Iterator[JsonObject]:
        yield self._event("reasoning_summary_text.done", summary_index=0, text="".join(self._pieces))
        yield self._event("reasoning_summary_part.done", summary_index=0, part=self._part())

    def _part(self) -> JsonObject:
        return {"type": "summary_text", "text": "".join(self._pieces)}


@dataclass(frozen=True, slots=True)
class _Part:
    """Text of an answer, or a refusal."""

    refusal: bool
    pieces: list[str] = field(default_factory=list)

    def whole(self) -> JsonObject:
        text = "".join(self.pieces)
        if self.refusal:
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class MessageItem(OutputItem):
    """What the model says: a part of text, then perhaps a refusal."""

    def __init__(self, item_id: str, index: int) -> None:
        super().__init__(item_id, index)
        self._parts: list[_Part] = []

    @override
    def whole(self) -> JsonObject:
        content: list[Json] = [part.whole() for part in self._parts]
        return {"id": self.id, "type": "message", "status": self.status, "role": "assistant", "content": content}

    def add(self, text: str, *, refusal: bool) -> Iterator[JsonObject]:
        """Yield the events of more text."""
        if not self._parts or self._parts[-1].refusal != refusal:
            yield from self._parts_closed()
            self._parts.append(_Part(refusal))
            yield self._part_event("content_part.added", part=self._parts[-1].whole())
        if text:
            self._parts[-1].pieces.append(text)
            if refusal:
                yield self._part_event("refusal.delta", delta=text)
            else:
                yield self._part_event("output_text.delta", delta=text, logprobs=[])

    @override
    def _parts_closed(self) -> Iterator[JsonObject]:
        for part in self._parts[-1:]:
            text = "".join(part.pieces)
            if part.refusal:
                yield self._part_event("refusal.done", refusal=text)
            else:
                yield self._part_event("output_text.done", text=text, logprobs=[])
            yield self._part_event("content_part.done", part=part.whole())

    def _part_event(self, kind: str, **fields: Json) -> JsonObject:
        return self._event(kind, content_index=len(self._parts) - 1, **fields)


class FunctionItem(OutputItem):
    """A call of a function."""

    def __init__(self, item_id: str, index: int, call_id: str, name: ToolName) -> None:
        super().__init__(item_id, index)
        self.call_id = call_id
        self._name = name
        self._pieces: list[str] = []

    @property
    def _arguments(self) -> str:
        return "".join(self._pieces)

    @override
    def whole(self) -> JsonObject:
        head: JsonObject = {"id": self.id, "type": "function_call", "status": self.status, "call_id": self.call_id}
        return {**head, **self._name.fields, "arguments": self._arguments}

    def add(self, arguments: str) -> Iterator[JsonObject]:
        """Yield the events of more arguments."""
        self._pieces.append(arguments)
        yield self._event("function_call_arguments.delta", delta=arguments)

    @override
    def _parts_closed(self) -> Iterator[JsonObject]:
        yield self._event("function_call_arguments.done", arguments=self._arguments)


class CustomItem(FunctionItem):
    """A call of a custom tool, whose text chat wraps in arguments: it is told once they are whole."""

    @override
    def whole(self) -> JsonObject:
        head: JsonObject = {"id": self.id, "type": "custom_tool_call", "status": self.status, "call_id": self.call_id}
        return {**head, **self._name.fields, "input": self._input}

    @override
    def add(self, arguments: str) -> Iterator[JsonObject]:
        self._pieces.append(arguments)
        yield from ()

    @override
    def closed(self, status: str) -> Iterator[JsonObject]:
        # Such an item has no status in the SDK, and an agent runs it as soon as it is done; a half patch must not run.
        if status == COMPLETED:
            yield from super().closed(status)

    @override
    def _parts_closed(self) -> Iterator[JsonObject]:
        yield self._event("custom_tool_call_input.delta", delta=self._input)
        yield self._event("custom_tool_call_input.done", input=self._input)

    @property
    def _input(self) -> str:
        """The text; a model that ignores the wrapping has written it bare."""
        try:
            said = table(orjson.loads(self._arguments)).get("input")
        except orjson.JSONDecodeError:
            said = None
        return said if isinstance(said, str) else self._arguments
