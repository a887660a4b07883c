"""Random requests on every surface with values planted in every kind of leaf, each by its number, always the same.

A leaf is marked `⟦3⟧ text ⟦/3⟧`, so that whoever gets it can say it again, wherever translation has put it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from random import Random
from string import ascii_letters
from typing import Any

from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES
from tests.faults.scene import MODELS, PAIRS
from tests.leaks.planting import ALNUM, Planted, bare, plant, some

EMBEDDINGS = "openai.embeddings"
PATHS = {
    CHAT: "/v1/chat/completions",
    COMPLETIONS: "/v1/completions",
    RESPONSES: "/v1/responses",
    MESSAGES: "/v1/messages",
    EMBEDDINGS: "/v1/embeddings",
}
_SCHEMA_TYPES = ("string", "number", "boolean")


def marked(number: int, text: str) -> str:
    """Return the text of a leaf with its marks."""
    return f"⟦{number}⟧ {text} ⟦/{number}⟧"


@dataclass
class _Garden:
    """Plants values, and remembers where."""

    random: Random
    leaves: dict[str, str] = field(default_factory=dict)
    planted: list[Planted] = field(default_factory=list)

    def leaf(self, extra: str = "") -> str:
        """Return a marked text with a value in it."""
        one = plant(self.random)
        self.planted.append(one)
        number = len(self.planted)
        self.leaves[str(number)] = f"{one.text}{extra}"
        return marked(number, f"{one.text}{extra}")

    def word(self) -> str:
        """Return a value alone, as where a name or an id is asked for."""
        one = bare(self.random)
        self.planted.append(one)
        return one.value

    def maybe(self, chance: float = 0.5) -> bool:
        return self.random.random() < chance

    def json(self, depth: int = 2) -> Any:
        """Return a JSON value with leaves among keys, values and JSON in strings."""
        match self.random.randrange(8 if depth else 3):
            case 0 | 1:
                return self.leaf()
            case 2:
                return self.random.choice((0, -1, 2.5, True, None, "plain"))
            case 3:
                return [self.json(depth - 1) for _ in range(self.random.randint(1, 3))]
            case 4:
                return self.text(self.json(depth - 1))
            case 5:
                return {self.leaf(): self.json(depth - 1)}
            case _:
                return {f"k{place}": self.json(depth - 1) for place in range(self.random.randint(1, 3))}

    def text(self, value: Any) -> str:
        """Return a value as JSON text, escaped or not, in one line or many.

        It is an object or an array: a lone string in quotes is text like any other, and nobody could tell.
        """
        value = value if isinstance(value, dict | list) else [value]
        return json.dumps(value, ensure_ascii=self.maybe(), indent=self.random.choice((None, 1)))

    def arguments(self) -> dict[str, Any]:
        """Return what a tool is called with."""
        return {"path": self.leaf(), "more": self.json(), **({self.leaf(): 1} if self.maybe(0.2) else {})}

    def said(self, kind: str) -> Any:
        """Return the content of a turn: a text, or parts of a type."""
        if self.maybe():
            return self.leaf()
        parts: list[dict[str, Any]] = [{"type": kind, "text": self.leaf()} for _ in range(self.random.randint(1, 3))]
        return parts

    def result(self) -> str:
        """Return what a tool has answered: text, or JSON text."""
        return self.leaf() if self.maybe() else self.text(self.json())

    def schema(self) -> dict[str, Any]:
        """Return the schema of a tool's arguments."""
        return {
            "type": "object",
            "title": self.leaf(),
            "properties": {
                "path": {"type": "string", "description": self.leaf(), "default": self.leaf()},
                "mode": {"type": "string", "enum": [self.leaf(), "b"], "examples": [self.leaf()]},
                self.leaf(): {"type": self.random.choice(_SCHEMA_TYPES), "const": self.leaf()},
            },
            "required": ["path"],
        }

    def tool_name(self) -> str:
        """Return a tool's name, which may hold a key where the key's characters are those of a name."""
        word = self.word() if self.maybe(0.1) else "find_file"
        return word if set(word) <= set(ALNUM + "_-") and len(word) <= 64 else "find_file"

    def unknown(self) -> dict[str, Any]:
        """Return a field that no upstream gets, and the same again as one that all get by their `pass_fields`."""
        if not self.maybe():
            return {}
        name, value = f"x_{some(self.random, ascii_letters, 5)}", self.json()
        return {name: value, "x_passed": value}

    def stops(self) -> list[str]:
        return [self.leaf(), "END"]


@dataclass(frozen=True)
class Leaky:
    """One request of a client, and where its values are."""

    number: int

    @cached_property
    def pair(self) -> tuple[str, str]:
        """The client's surface and that of the upstream."""
        return Random(f"pair {self.number}").choice((*PAIRS, *PAIRS, (EMBEDDINGS, EMBEDDINGS)))

    @cached_property
    def stream(self) -> bool:
        return self.pair[0] != EMBEDDINGS and Random(f"stream {self.number}").random() < 0.5

    @cached_property
    def wants_json(self) -> bool:
        return Random(f"json {self.number}").random() < 0.15

    @cached_property
    def _made(self) -> tuple[_Garden, dict[str, Any], dict[str, str], bytes]:
        garden = _Garden(Random(f"leaky {self.number}"))
        client, upstream = self.pair
        body = {"model": MODELS.get(upstream, "gpt-5.4"), "stream": self.stream, **_BODIES[client](garden, self)}
        if not self.stream and garden.maybe():
            del body["stream"]
        return garden, body, _headers(garden), f"api-version={garden.word()}&beta=true".encode()

    @property
    def body(self) -> bytes:
        """What the client sends; its number is in the text of a turn that every dialect keeps."""
        return json.dumps(self._made[1], ensure_ascii=self.number % 2 == 0).encode()

    @property
    def headers(self) -> Mapping[str, str]:
        return self._made[2]

    @property
    def query(self) -> bytes:
        return self._made[3]

    @property
    def planted(self) -> list[Planted]:
        return self._made[0].planted

    @property
    def leaves(self) -> Mapping[str, str]:
        """The text between each leaf's marks."""
        return self._made[0].leaves


def _headers(garden: _Garden) -> dict[str, str]:
    names = (
        "authorization",
        "x-api-key",
        "cookie",
        "user-agent",
        "x-request-id",
        "originator",
        "session_id",
        "x-custom",
    )
    found = {name: garden.word() for name in names if garden.maybe(0.3)}
    found |= {"anthropic-version": "2023-06-01"} if garden.maybe() else {}
    found |= {"anthropic-version": garden.word()} if garden.maybe(0.1) else {}
    found |= {"anthropic-beta": f"context-1m-2025-08-07,{garden.word()}, x"} if garden.maybe() else {}
    found |= {"openai-beta": f"{garden.word()}, responses=v1"} if garden.maybe() else {}
    return found


def _case(garden: _Garden, one: Leaky) -> str:
    return f"case {one.number}. {garden.leaf()}"


def _chat(garden: _Garden, one: Leaky) -> dict[str, Any]:
    call = {"id": garden.word() if garden.maybe(0.2) else "call_1", "type": "function"}
    function = {"name": garden.tool_name(), "arguments": garden.text(garden.arguments())}
    turns: list[dict[str, Any]] = [
        {"role": garden.random.choice(("system", "developer")), "content": garden.said("text")},
        {"role": "user", "content": garden.said("text"), **({"name": garden.word()} if garden.maybe(0.2) else {})},
        {
            "role": "assistant",
            "content": garden.random.choice((None, garden.leaf())),
            "tool_calls": [{**call, "function": function}],
        },
        {"role": "tool", "tool_call_id": call["id"], "content": garden.result()},
        {
            "role": "assistant",
            "content": garden.said("text"),
            "refusal": garden.leaf(),
            "reasoning_content": garden.leaf(),
        },
        {"role": "user", "content": _case(garden, one)},
    ]
    body: dict[str, Any] = {"messages": turns, "metadata": {"team": garden.leaf(), "n": "1"}, **garden.unknown()}
    shape = {"description": garden.leaf(), "parameters": garden.schema()}
    body |= {"tools": [{"type": "function", "function": {"name": function["name"], **shape}}]} if garden.maybe() else {}
    body |= (
        {"user": garden.word(), "safety_identifier": garden.leaf(), "prompt_cache_key": garden.word()}
        if garden.maybe()
        else {}
    )
    body |= {"stop": garden.stops(), "logit_bias": {garden.word(): 1}} if garden.maybe(0.3) else {}
    body |= {"prediction": {"type": "content", "content": garden.leaf()}} if garden.maybe(0.2) else {}
    schema = {"name": "answer", "description": garden.leaf(), "schema": garden.schema()}
    body |= {"response_format": {"type": "json_schema", "json_schema": schema}} if one.wants_json else {}
    return body


def _completions(garden: _Garden, one: Leaky) -> dict[str, Any]:
    body = {"prompt": _case(garden, one), "max_tokens": 9, "suffix": garden.leaf(), "metadata": {"a": garden.leaf()}}
    return {**body, "user": garden.word(), "stop": garden.stops(), **garden.unknown()}


def _embeddings(garden: _Garden, one: Leaky) -> dict[str, Any]:
    return {"input": [_case(garden, one), garden.leaf()], "user": garden.word(), **garden.unknown()}


def _messages(garden: _Garden, one: Leaky) -> dict[str, Any]:
    name = garden.tool_name()
    inner = garden.random.choice((garden.result(), [{"type": "text", "text": garden.leaf()}]))
    document = {"type": "document", "title": garden.leaf(), "context": garden.leaf()}
    source = {"type": "text", "media_type": "text/plain", "data": garden.leaf()}
    asked: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": inner, "is_error": garden.maybe()},
        *([{**document, "source": source}] if garden.maybe(0.3) else []),
        {"type": "text", "text": _case(garden, one), "cache_control": {"type": "ephemeral"}},
    ]
    used = {"type": "tool_use", "id": "toolu_1", "name": name, "input": garden.arguments()}
    thought = {"type": "thinking", "thinking": garden.leaf(), "signature": "c2ln"}
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": garden.said("text")},
        {
            "role": "assistant",
            "content": [*([thought] if garden.maybe(0.3) else []), {"type": "text", "text": garden.leaf()}, used],
        },
        {"role": "user", "content": asked},
    ]
    body: dict[str, Any] = {"max_tokens": 4096, "messages": turns, "system": garden.said("text"), **garden.unknown()}
    body |= {"metadata": {"user_id": garden.random.choice((garden.word(), garden.leaf()))}} if garden.maybe() else {}
    body |= (
        {"tools": [{"name": name, "description": garden.leaf(), "input_schema": garden.schema()}]}
        if garden.maybe()
        else {}
    )
    body |= {"stop_sequences": garden.stops()} if garden.maybe(0.3) else {}
    body |= {"output_config": {"format": {"type": "json_schema", "schema": garden.schema()}}} if one.wants_json else {}
    return body


def _responses(garden: _Garden, one: Leaky) -> dict[str, Any]:
    name, call = garden.tool_name(), garden.word() if garden.maybe(0.2) else "call_1"
    output = garden.random.choice((garden.result(), [{"type": "input_text", "text": garden.leaf()}]))
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": garden.leaf()}]}
    items: list[dict[str, Any]] = [
        {"type": "message", "role": "developer", "content": garden.said("input_text")},
        {"role": "user", "content": garden.said("input_text")},
        *([reasoning] if garden.maybe(0.4) else []),
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": garden.leaf(), "annotations": []}],
        },
        {"type": "function_call", "call_id": call, "name": name, "arguments": garden.text(garden.arguments())},
        {"type": "function_call_output", "call_id": call, "output": output},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": _case(garden, one)}]},
    ]
    custom = [
        {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": garden.leaf()},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": garden.leaf()},
    ]
    items = [*items[:-1], *(custom if garden.maybe(0.3) else []), items[-1]]
    body: dict[str, Any] = {"input": items, "store": False, "metadata": {"a": garden.leaf()}, **garden.unknown()}
    body |= {"instructions": garden.leaf()} if garden.maybe() else {}
    tool = {
        "type": "function",
        "name": name,
        "description": garden.leaf(),
        "parameters": garden.schema(),
        "strict": False,
    }
    body |= {"tools": [tool]} if garden.maybe() else {}
    body |= (
        {"prompt_cache_key": garden.word(), "safety_identifier": garden.word(), "user": garden.word()}
        if garden.maybe()
        else {}
    )
    body |= {"client_metadata": {"x-codex-installation-id": garden.leaf()}} if garden.maybe() else {}
    form = {"type": "json_schema", "name": "answer", "description": garden.leaf(), "schema": garden.schema()}
    body |= {"text": {"format": form}} if one.wants_json else {}
    return body


_BODIES: Mapping[str, Callable[[_Garden, Leaky], dict[str, Any]]] = {
    CHAT: _chat,
    COMPLETIONS: _completions,
    EMBEDDINGS: _embeddings,
    MESSAGES: _messages,
    RESPONSES: _responses,
}
