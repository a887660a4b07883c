"""What verifying is: an answer in the chat form, the request that it answers, and what a verifier finds. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from registry.entities import Json
from router.chat import JsonObject, answer_text


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of an answer; `arguments` is the text as the model wrote it, JSON unless the tool is a `custom` one."""

    name: str
    arguments: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What is verified of an answer: its text, empty where it has none, and its tool calls in their order."""

    text: str
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verifier says of an answer; `why` is one line, empty where it is as asked for.

    It may quote the real values and is never cut, as half a secret is not found any more: who shows it masks it first.
    """

    ok: bool
    name: str
    why: str = ""
    call: int | None = None
    """The place of the tool call whose arguments are wrong, from 0."""


class Verifier(Protocol):
    """Judges one aspect of an answer."""

    async def verify(self, reply: Reply, request: JsonObject, /) -> Finding:
        """Return what is found of an answer to a chat request; a verifier that cannot judge finds it not ok."""
        ...


async def verify_all(verifiers: Iterable[Verifier], reply: Reply, request: JsonObject) -> tuple[Finding, ...]:
    """Ask verifiers in their order, up to the first that finds the answer not ok."""
    findings: list[Finding] = []
    for verifier in verifiers:
        findings.append(await verifier.verify(reply, request))
        if not findings[-1].ok:
            break
    return tuple(findings)


def findings_json(findings: Iterable[Finding]) -> Json:
    """Return findings as the ledger holds them; the caller masks what `why` may quote."""
    return [{"name": finding.name, "ok": finding.ok, "why": finding.why} for finding in findings]


def replies_of(response: Json) -> list[Reply]:
    """Return what there is to verify of each choice of a chat completion; of one without any, that it says nothing."""
    return [_reply(choice) for choice in _objects(_field(response, "choices"))] or [Reply("")]


def _reply(choice: JsonObject) -> Reply:
    message = _field(choice, "message")
    calls = [_call(call) for call in _objects(_field(message, "tool_calls"))]
    legacy = _field(message, "function_call")
    if isinstance(legacy, dict):
        calls.append(_call({"function": legacy}))
    return Reply(answer_text({"choices": [choice]}) or "", tuple(calls))


def _call(call: JsonObject) -> ToolCall:
    custom = call.get("custom")
    if isinstance(custom, dict):
        return ToolCall(_text(custom.get("name")), _text(custom.get("input")), custom=True)
    function = call.get("function")
    return ToolCall(_text(_field(function, "name")), _text(_field(function, "arguments")))


def _field(value: Json, name: str) -> Json:
    return value.get(name) if isinstance(value, dict) else None


def _objects(value: Json) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""
