"""Puts the chunks of a streamed chat completion together again, as the ledger keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from registry.entities import Json, Usage
from router.chat import JsonObject

_MOST_TOKENS = 10**12
_TEXT_FIELDS = ("content", "refusal", "reasoning_content", "reasoning")


class ChunkAssembly:
    """Collects chunks into one chat completion."""

    def __init__(self) -> None:
        self._head: JsonObject = {}
        self._choices: dict[int, JsonObject] = {}
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._calls: dict[tuple[int, int], JsonObject] = {}
        self._arguments: dict[tuple[int, int], list[str]] = {}
        self._legacy: dict[int, list[JsonObject]] = {}
        self.usage: JsonObject | None = None
        self.characters = 0
        """How long the texts and arguments are."""

    @property
    def has_text(self) -> bool:
        """Whether any text or tool call has arrived."""
        return bool(self._texts or self._calls or self._legacy)

    def add(self, chunk: JsonObject) -> None:
        """Take one parsed chunk."""
        for field in ("id", "created", "model", "system_fingerprint"):
            if field not in self._head and chunk.get(field) is not None:
                self._head[field] = chunk[field]
        usage, choices = chunk.get("usage"), chunk.get("choices")
        if isinstance(usage, dict):
            self.usage = usage
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                self._add_choice(choice)

    def _add_choice(self, choice: JsonObject) -> None:
        index = _index(choice)
        known = self._choices.setdefault(index, {"index": index, "finish_reason": None})
        if choice.get("finish_reason") is not None:
            known["finish_reason"] = choice["finish_reason"]
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return
        for field in _TEXT_FIELDS:
            text = delta.get(field)
            if isinstance(text, str):
                self._texts.setdefault((index, field), []).append(text)
                self.characters += len(text)
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._add_call(index, call)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            self._legacy.setdefault(index, []).append(legacy)
            self.characters += len(str(legacy.get("arguments") or ""))

    def _add_call(self, index: int, call: JsonObject) -> None:
        key = (index, _index(call))
        known = self._calls.setdefault(key, {"type": "function"})
        known.update({field: call[field] for field in ("id", "type") if call.get(field) is not None})
        function = call.get("function")
        if isinstance(function, dict):
            if function.get("name"):
                known["name"] = function["name"]
            arguments = str(function.get("arguments") or "")
            self._arguments.setdefault(key, []).append(arguments)
            self.characters += len(arguments)

    def completion(self) -> JsonObject:
        """Return what has arrived as one chat completion; a finish_reason None says that it is not whole."""
        said: dict[int, JsonObject] = {index: {"role": "assistant", "content": None} for index in sorted(self._choices)}
        for (index, field), parts in self._texts.items():
            said[index][field] = "".join(parts)
        for key in sorted(self._calls):
            cast("list[Json]", said[key[0]].setdefault("tool_calls", [])).append(self._call(key))
        for index, calls in self._legacy.items():
            said[index]["function_call"] = _joined(calls)
        choices: list[Json] = [{**self._choices[index], "message": message} for index, message in said.items()]
        return {**self._head, "object": "chat.completion", "choices": choices, "usage": self.usage}

    def _call(self, key: tuple[int, int]) -> JsonObject:
        known = dict(self._calls[key])
        function: JsonObject = {"name": known.pop("name", ""), "arguments": "".join(self._arguments.get(key, []))}
        return {**known, "function": function}


def _joined(parts: Sequence[JsonObject]) -> JsonObject:
    """Return a call of the older form, which names its function once and has one place in a choice."""
    name = next((part["name"] for part in parts if part.get("name")), "")
    return {"name": name, "arguments": "".join(str(part.get("arguments") or "") for part in parts)}


def _index(value: Mapping[str, Json]) -> int:
    index = value.get("index")
    return index if isinstance(index, int) else 0


def upstream_usage(usage: Json) -> Usage | None:
    """Return the token counts that an upstream reports, None where they are missing or no numbers."""
    if not isinstance(usage, dict):
        return None
    prompt, answer = token_count(usage.get("prompt_tokens")), token_count(usage.get("completion_tokens"))
    return None if prompt is None or answer is None else Usage(prompt, answer, "upstream")


def token_count(reported: Json) -> int | None:
    """Return a number of tokens that an upstream reports, None where it can be none: it is charged, and recorded."""
    if not isinstance(reported, int) or isinstance(reported, bool):
        return None
    return reported if 0 <= reported <= _MOST_TOKENS else None
