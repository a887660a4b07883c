"""What a scripted upstream is asked and answers, whatever the dialect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; a tool that takes free text has that text for arguments."""

    name: str
    arguments: Mapping[str, Any] | str

    @property
    def text(self) -> str:
        """The arguments as JSON, as chat and Messages have them for free text too."""
        given = {"input": self.arguments} if isinstance(self.arguments, str) else self.arguments
        return json.dumps(given, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: what is thought, what is said, which tools are called, all at once."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: Body = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All that arrived, as one text to search in."""
        return json.dumps([self.path, dict(self.headers), self.body], ensure_ascii=False)

    @property
    def tools(self) -> dict[str, Body]:
        """The tools on offer, by their names as a call must give them."""
        flat = [tool.get("function") or tool for tool in self.body.get("tools") or ()]
        return {tool["name"]: tool for tool in flat if "name" in tool}

    @property
    def forced_tool(self) -> str | None:
        """The tool that must be called, the first on offer where any will do; None where none has to be."""
        match self.body.get("tool_choice"):
            case {"type": "function", "function": {"name": str(name)}} | {"name": str(name)}:
                return name
            case "required" | {"type": "any"}:
                return next(iter(self.tools))
            case _:
                return None

    @property
    def schema(self) -> Body | None:
        """The JSON schema that the answer's text must keep to."""
        match self.body:
            case {"response_format": {"json_schema": {"schema": dict(schema)}}}:
                return schema
            case {"text": {"format": {"schema": dict(schema)}}}:
                return schema
            case {"output_config": {"format": {"schema": dict(schema)}}} | {"output_format": {"schema": dict(schema)}}:
                return schema
            case _:
                return None

    @property
    def results(self) -> list[str]:
        """What the tools that were called so far gave back."""
        return [said for role, said in self.turns if role == "result"]

    @property
    def last_user_text(self) -> str:
        """What the person said last."""
        return [said for role, said in self.turns if role == "user"][-1]

    @property
    def rounds(self) -> int:
        """How many answers with tool calls there were so far."""
        roles = [role for role, _ in self.turns]
        return sum(here == "call" and before != "call" for before, here in zip(["", *roles], roles, strict=False))

    @property
    def turns(self) -> list[tuple[str, str]]:
        """The conversation as pairs of role and text; a call of a tool has the role `call`, what it gave `result`."""
        return list(_turns(self.body))


Script: TypeAlias = Callable[[Asked], Reply]


def _turns(body: Body) -> Iterator[tuple[str, str]]:
    asked = body.get("input", body.get("messages", ()))
    for item in [{"role": "user", "content": asked}] if isinstance(asked, str) else asked:
        kind = item.get("type", "message")
        if kind in ("function_call", "custom_tool_call"):
            yield "call", item["name"]
        elif kind in ("function_call_output", "custom_tool_call_output"):
            yield "result", _text_of(item["output"])
        elif kind == "message":
            yield from _message(item)


def _message(item: Body) -> Iterator[tuple[str, str]]:
    content = item.get("content") or ""
    blocks = content if isinstance(content, list) else []
    for block in blocks:
        if block.get("type") == "tool_result":
            yield "result", _text_of(block.get("content") or "")
        elif block.get("type") == "tool_use":
            yield "call", block["name"]
    said = _text_of(content)
    if said:
        yield {"tool": "result"}.get(item["role"], item["role"]), said
    yield from (("call", call["function"]["name"]) for call in item.get("tool_calls") or ())


def _text_of(content: Any) -> str:
    parts = content if isinstance(content, list) else [{"text": content}]
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str) and part["text"])
