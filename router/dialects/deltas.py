"""Chat completion chunks on their way to a client: read from event data, and masked values put back."""

from __future__ import annotations

import orjson

from registry.entities import Json
from registry.errors import UpstreamError
from router.chat import JsonObject
from router.redaction.masking import Masker
from router.redaction.placeholders import StreamRestorer


def read_event(data: bytes) -> JsonObject:
    """Return the object that an event's data is.

    Raises:
        UpstreamError: it is no JSON object, or OpenAI's form of an error.

    """
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise UpstreamError(f"the upstream sent an event that is not JSON: {len(data):,} bytes; ask again") from error
    if not isinstance(chunk, dict):
        raise UpstreamError("the upstream sent an event that is no JSON object; check its base_url")
    problem = chunk.get("error")
    if problem:
        said = problem.get("message") if isinstance(problem, dict) else problem
        raise UpstreamError(f"the upstream broke off: {said}")
    return chunk


def finishes(chunk: JsonObject) -> bool:
    """Say whether a chunk has a finish_reason."""
    choices = chunk.get("choices")
    found = choices if isinstance(choices, list) else []
    return any(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in found)


class DeltaRestorer:
    """Puts masked values back into the deltas of a stream; every text field of a choice is a stream of its own."""

    def __init__(self, masker: Masker, *, json_text: bool) -> None:
        """Take whether the answer's text is itself JSON, which must stay valid."""
        self._masker = masker
        self._json_text = json_text
        self._streams: dict[tuple[int, str, int], StreamRestorer] = {}

    def restore(self, chunk: JsonObject) -> list[JsonObject]:
        """Change a parsed chunk and return it, behind a chunk of what was held back where its text has ended.

        A text ends where the choice goes on with something else, at the latest with its finish_reason.
        """
        choices = chunk.get("choices")
        earlier: list[Json] = []
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                found, delta = choice.get("index"), choice.get("delta")
                index = found if isinstance(found, int) else 0
                delta = delta if isinstance(delta, dict) else choice.setdefault("delta", {})
                held = self._ended_texts(index, delta) if isinstance(delta, dict) else {}
                if held:
                    earlier.append({"index": index, "delta": held, "finish_reason": None})
                self._restore_choice(index, delta, final=choice.get("finish_reason") is not None)
        before: list[JsonObject] = [{**chunk, "choices": earlier, "usage": None}] if earlier else []
        return [*before, chunk]

    def _ended_texts(self, index: int, delta: JsonObject) -> JsonObject:
        """Return what is held back of texts that a delta of something else ends."""
        goes_on = {field for field, value in delta.items() if value and field != "role"}
        if not goes_on:
            return {}
        ended = [(field, stream) for (at, field, number), stream in self._streams.items() if at == index and number < 0]
        flushed = {field: stream.flush() for field, stream in ended if field not in goes_on}
        return {field: rest for field, rest in flushed.items() if rest}

    def _restore_choice(self, index: int, delta: Json, *, final: bool) -> None:
        if not isinstance(delta, dict):
            return
        for field, text in delta.items():
            if isinstance(text, str) and field != "role":
                delta[field] = self._stream(index, field, -1).feed(text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._restore_call(index, call)
        if final:
            self._flush(index, delta)

    def _restore_call(self, index: int, call: JsonObject) -> None:
        function, number = call.get("function"), call.get("index")
        if not isinstance(function, dict):
            return
        if isinstance(function.get("name"), str):
            function["name"] = self._masker.restore(str(function["name"]))
        if isinstance(function.get("arguments"), str):
            stream = self._stream(index, "arguments", number if isinstance(number, int) else 0)
            function["arguments"] = stream.feed(str(function["arguments"]))

    def _flush(self, index: int, delta: JsonObject) -> None:
        for (at, field, number), stream in self._streams.items():
            rest = stream.flush() if at == index else ""
            if rest and number >= 0:
                calls = delta.get("tool_calls")
                entry: JsonObject = {"index": number, "function": {"arguments": rest}}
                delta["tool_calls"] = [*(calls if isinstance(calls, list) else []), entry]
            elif rest:
                delta[field] = str(delta.get(field) or "") + rest

    def _stream(self, index: int, field: str, number: int) -> StreamRestorer:
        key = (index, field, number)
        if key not in self._streams:
            self._streams[key] = self._masker.restorer(json_text=number >= 0 or self._json_text)
        return self._streams[key]
