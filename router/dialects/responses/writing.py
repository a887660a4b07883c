"""An answer under way: chat completion chunks go in, the events that tell of them come out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from registry.entities import Json, Usage
from router.assembly import upstream_usage
from router.chat import JsonObject, usage_object
from router.dialects.protocol import AnswerFacts
from router.dialects.responses.fields import count, objects, table, text
from router.dialects.responses.output import (
    COMPLETED,
    INCOMPLETE,
    CustomItem,
    FunctionItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
)
from router.dialects.responses.request import OWN_REASONING
from router.dialects.responses.response import response_object, usage_from_chat
from router.dialects.responses.tools import ToolName, tool_names

_Item = TypeVar("_Item", bound=OutputItem)
_CUT_SHORT = {"length": "max_output_tokens", "content_filter": "content_filter"}


class AnswerWriter:
    """One answer. Whatever comes next closes reasoning or text; calls stay open, as their deltas may interleave."""

    def __init__(self, facts: AnswerFacts, request: JsonObject) -> None:
        """Take what the answer says of itself, and the request in this dialect."""
        self._facts = facts
        self._request = request
        self._names = tool_names(request)
        self._items: list[OutputItem] = []
        self._speaking: ReasoningItem | MessageItem | None = None
        self._calls: dict[int, FunctionItem] = {}
        self._finish_reason = ""
        self._usage: JsonObject = {}
        self._told: list[JsonObject] = []
        self._sequence = 0

    def add(self, chunk: JsonObject) -> list[JsonObject]:
        """Return the events for one chunk; of its choices only the first has a form here."""
        self._begin()
        self._usage = table(chunk.get("usage")) or self._usage
        for choice in objects(chunk.get("choices")):
            if count(choice.get("index")) == 0:
                self._finish_reason = text(choice.get("finish_reason")) or self._finish_reason
                self._say(table(choice.get("delta")))
        return self._taken()

    def end(self, usage: Usage | None) -> list[JsonObject]:
        """Return the events that close what is open; the last one has the whole answer.

        Args:
            usage: what to report where no chunk had token counts.

        """
        self._begin()
        if not self._items:
            self._tell(self._message().add("", refusal=False))
        reason = _CUT_SHORT.get(self._finish_reason)
        status = INCOMPLETE if reason else COMPLETED
        self._fall_silent(status)
        for call in self._calls.values():
            self._tell(call.closed(status))
        # The call of a custom tool that was cut short is never closed, and no client may take it for a call.
        output: list[Json] = [item.whole() for item in self._items if item.status in (COMPLETED, INCOMPLETE)]
        details: JsonObject | None = {"reason": reason} if reason else None
        response = self._response(status, output=output, usage=self._counted(usage), incomplete_details=details)
        self._tell([{"type": f"response.{status}", "response": response}])
        return self._taken()

    def _begin(self) -> None:
        if self._sequence == 0:
            begun = self._response("in_progress")
            self._tell({"type": kind, "response": begun} for kind in ("response.created", "response.in_progress"))

    def _say(self, delta: JsonObject) -> None:
        thought = text(delta.get("reasoning_content")) or text(delta.get("reasoning"))
        if thought:
            self._tell(self._reasoning().add(thought))
        for field in ("content", "refusal"):
            said = text(delta.get(field))
            if said:
                self._tell(self._message().add(said, refusal=field == "refusal"))
        for call in objects(delta.get("tool_calls")):
            arguments = text(table(call.get("function")).get("arguments"))
            item = self._call(call)
            if arguments:
                self._tell(item.add(arguments))

    def _reasoning(self) -> ReasoningItem:
        if not isinstance(self._speaking, ReasoningItem):
            self._fall_silent(COMPLETED)
            self._speaking = self._opened(ReasoningItem(self._name(OWN_REASONING), len(self._items)))
        return self._speaking

    def _message(self) -> MessageItem:
        if not isinstance(self._speaking, MessageItem):
            self._fall_silent(COMPLETED)
            self._speaking = self._opened(MessageItem(self._name("msg_"), len(self._items)))
        return self._speaking

    def _call(self, call: JsonObject) -> FunctionItem:
        """Return the item of a call's delta; the first delta has its id and name."""
        place = count(call.get("index"))
        if place not in self._calls:
            self._fall_silent(COMPLETED)
            said = text(table(call.get("function")).get("name"))
            name = self._names.get(said, ToolName(said))
            kind, prefix = (CustomItem, "ctc_") if name.custom else (FunctionItem, "fc_")
            call_id = text(call.get("id")) or self._name("call_")
            self._calls[place] = self._opened(kind(self._name(prefix), len(self._items), call_id, name))
        return self._calls[place]

    def _opened(self, item: _Item) -> _Item:
        self._items.append(item)
        self._tell(item.opened())
        return item

    def _fall_silent(self, status: str) -> None:
        if self._speaking is not None:
            self._tell(self._speaking.closed(status))
            self._speaking = None

    def _name(self, prefix: str) -> str:
        return f"{prefix}{self._facts.interaction_id}_{len(self._items)}"

    def _counted(self, usage: Usage | None) -> Json:
        if upstream_usage(self._usage):
            return usage_from_chat(self._usage)
        return usage_from_chat(usage_object(usage)) if usage else None

    def _response(self, status: str, **said: Json) -> JsonObject:
        return response_object(self._facts, self._request, status, **said)

    def _tell(self, events: Iterable[JsonObject]) -> None:
        for event in events:
            self._told.append({"type": event["type"], "sequence_number": self._sequence, **event})
            self._sequence += 1

    def _taken(self) -> list[JsonObject]:
        told, self._told = self._told, []
        return told
