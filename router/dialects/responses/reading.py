"""The events of an upstream's answer as chat completion chunks.

What an event says whole (`.done`, an item, the final response) only adds what no delta has said before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from registry.errors import UpstreamError
from router.chat import JsonObject
from router.dialects.responses.fields import count, objects, table, text
from router.dialects.responses.response import usage_to_chat
from router.dialects.responses.tools import FREE_TEXT_END, FREE_TEXT_START, tool_name
from router.redaction.json_text import escape


@dataclass(frozen=True, slots=True)
class _Field:
    """A text that arrives in deltas: what its `.done` calls it, what numbers its parts, where chat puts it."""

    whole: str
    part: str
    in_chat: str


_FIELDS: Mapping[str, _Field] = {
    "response.output_text": _Field("text", "content_index", "content"),
    "response.refusal": _Field("refusal", "content_index", "refusal"),
    "response.reasoning_summary_text": _Field("text", "summary_index", "reasoning_content"),
    "response.reasoning_text": _Field("text", "content_index", "reasoning_content"),
    "response.function_call_arguments": _Field("arguments", "", "arguments"),
    "response.custom_tool_call_input": _Field("input", "", "input"),
}
_SUMMARY = "response.reasoning_summary_text"
_PARTS: Mapping[str, str] = {
    "output_text": "response.output_text",
    "refusal": "response.refusal",
    "summary_text": _SUMMARY,
    "reasoning_text": "response.reasoning_text",
}
_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass(slots=True)
class _Call:
    """A call under way: its place among the answer's calls."""

    place: int
    named: bool = False
    opened: bool = False
    closed: bool = False


class AnswerReader:
    """Reads one answer, event by event."""

    def __init__(self) -> None:
        self.ended = False
        self._head: JsonObject = {}
        self._begun = False
        self._said: dict[tuple[int, str, int], list[str]] = {}
        self._calls: dict[int, _Call] = {}

    def read(self, event: JsonObject) -> list[JsonObject]:
        """Return the chunks that a parsed event makes.

        Raises:
            UpstreamError: the answer failed.

        """
        kind = text(event.get("type"))
        field, _, moment = kind.rpartition(".")
        if field in _FIELDS:
            deltas = self._text(field, event, whole=moment == "done")
        elif kind == "response.output_item.added":
            deltas = self._named(count(event.get("output_index")), table(event.get("item")))
        elif kind == "response.output_item.done":
            deltas = self._item(count(event.get("output_index")), table(event.get("item")))
        elif kind in ("response.completed", "response.incomplete"):
            return [*self._end(table(event.get("response")), moment)]
        elif kind in ("response.failed", "response.cancelled", "error"):
            raise _failed(table(table(event.get("response")).get("error")) or event)
        else:
            self._head = self._head or _head(table(event.get("response")))
            return []
        return [self._chunk(delta) for delta in deltas]

    def _text(self, field: str, event: JsonObject, *, whole: bool) -> Iterator[JsonObject]:
        said = text(event.get(_FIELDS[field].whole if whole else "delta"))
        index, part = count(event.get("output_index")), count(event.get(_FIELDS[field].part))
        yield from self._whole(field, index, part, said) if whole else self._piece(field, index, part, said)

    def _piece(self, field: str, index: int, part: int, said: str) -> Iterator[JsonObject]:
        """Yield what a delta adds."""
        if not said:
            return
        first = (index, field, part) not in self._said
        self._said.setdefault((index, field, part), []).append(said)
        # Parts of a summary are paragraphs; chat has one text.
        apart = "\n\n" if first and part and field == _SUMMARY else ""
        match _FIELDS[field].in_chat:
            case "arguments":
                yield _arguments(self._call(index), said)
            case "input":
                yield from self._free_text(self._call(index), escape(said))
            case name:
                yield {name: apart + said}

    def _whole(self, field: str, index: int, part: int, said: str) -> Iterator[JsonObject]:
        """Yield what a whole text adds to its deltas; where the two differ, the deltas are out already and stand."""
        before = "".join(self._said.get((index, field, part), ()))
        if said.startswith(before):
            yield from self._piece(field, index, part, said[len(before) :])
        if _FIELDS[field].in_chat == "input":
            yield from self._free_text_end(self._call(index))

    def _free_text(self, call: _Call, escaped: str) -> Iterator[JsonObject]:
        yield _arguments(call, escaped if call.opened else FREE_TEXT_START + escaped)
        call.opened = True

    def _free_text_end(self, call: _Call) -> Iterator[JsonObject]:
        if not call.closed:
            yield from self._free_text(call, FREE_TEXT_END)
            call.closed = True

    def _call(self, index: int) -> _Call:
        return self._calls.setdefault(index, _Call(len(self._calls)))

    def _named(self, index: int, item: JsonObject) -> Iterator[JsonObject]:
        """Yield the first delta of a call, which has its id and name."""
        if item.get("type") not in ("function_call", "custom_tool_call") or self._call(index).named:
            return
        call = self._call(index)
        call.named = True
        function: JsonObject = {"name": tool_name(item).in_chat, "arguments": ""}
        entry: JsonObject = {"index": call.place, "id": item.get("call_id"), "type": "function", "function": function}
        yield {"tool_calls": [entry]}

    def _item(self, index: int, item: JsonObject) -> Iterator[JsonObject]:
        """Yield what a whole item adds."""
        match item.get("type"):
            case "function_call":
                yield from self._named(index, item)
                yield from self._whole("response.function_call_arguments", index, 0, text(item.get("arguments")))
            case "custom_tool_call":
                yield from self._named(index, item)
                yield from self._whole("response.custom_tool_call_input", index, 0, text(item.get("input")))
            case "message" | "reasoning":
                for parts in (objects(item.get("summary")), objects(item.get("content"))):
                    for place, part in enumerate(parts):
                        field = _PARTS.get(text(part.get("type")))
                        if field:
                            yield from self._whole(field, index, place, text(part.get(_FIELDS[field].whole)))

    def _end(self, response: JsonObject, ended_as: str) -> Iterator[JsonObject]:
        status = response.get("status") or ended_as
        if status not in ("completed", "incomplete"):
            raise _failed(table(response.get("error")) or {"message": f"its answer is {status}"})
        self._head = self._head or _head(response)
        # Places in the final output may differ from those of the stream, so it is read only where nothing was streamed.
        if not self._said and not self._calls:
            for place, item in enumerate(objects(response.get("output"))):
                for delta in self._item(place, item):
                    yield self._chunk(delta)
        self.ended = True
        yield self._chunk({}, self._finish(status == "incomplete", table(response.get("incomplete_details"))))
        if isinstance(response.get("usage"), dict):
            yield {**self._named_head, "choices": [], "usage": usage_to_chat(table(response["usage"]))}

    def _finish(self, cut_short: bool, details: JsonObject) -> str:
        if cut_short:
            return _FINISH.get(text(details.get("reason")), "length")
        return "tool_calls" if self._calls else "stop"

    @property
    def _named_head(self) -> JsonObject:
        return {**self._head, "object": "chat.completion.chunk"}

    def _chunk(self, delta: JsonObject, finish_reason: str | None = None) -> JsonObject:
        role: JsonObject = {} if self._begun else {"role": "assistant"}
        self._begun = True
        choice: JsonObject = {"index": 0, "delta": {**role, **delta}, "finish_reason": finish_reason}
        return {**self._named_head, "choices": [choice]}


def _head(response: JsonObject) -> JsonObject:
    if not response:
        return {}
    created = response.get("created_at")
    at = int(created) if isinstance(created, int | float) else 0
    return {"id": text(response.get("id")), "created": at, "model": text(response.get("model"))}


def _arguments(call: _Call, piece: str) -> JsonObject:
    return {"tool_calls": [{"index": call.place, "function": {"arguments": piece}}]}


def _failed(error: JsonObject) -> UpstreamError:
    said = text(error.get("message")) or text(error.get("code")) or "it does not say why"
    return UpstreamError(f"the upstream broke off: {said}")
