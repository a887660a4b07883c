"""The contract that a chat request makes of its answer: the format that it wants, the tools that may be called."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.verifying.finding import Finding, Reply, ToolCall, Verifier
from router.verifying.schemas import SchemaShelf, UnusableSchemaError

FORMAT = "response_format"
TOOLS = "tool_calls"
MAX_TEXT_CHARS = 1 << 18
INLINE_CHARS = 1 << 14
"""A longer text is checked in a thread, so that the event loop goes on; handing it over costs 0.1 ms."""


def contract_verifiers(request: JsonObject, reply: Reply, shelf: SchemaShelf) -> tuple[Verifier, ...]:
    """Return the verifiers of what a chat request asks of this answer, none where it asks for nothing."""
    wants_format = _kind(request) in ("json_object", "json_schema") and (reply.text or not reply.calls)
    has_tools = bool(reply.calls) or any(request.get(key) for key in ("tools", "functions"))
    return (
        *((ToolVerifier(shelf),) if has_tools else ()),
        *((FormatVerifier(shelf),) if wants_format else ()),
    )


def contract_names(request: JsonObject) -> list[str]:
    """Return what a chat request asks for that can be verified."""
    return [
        *([TOOLS] if any(request.get(key) for key in ("tools", "functions")) else []),
        *([FORMAT] if _kind(request) in ("json_object", "json_schema") else []),
    ]


@dataclass(frozen=True, slots=True)
class FormatVerifier:
    """Finds an answer ok that is the JSON that the request's `response_format` asks for."""

    shelf: SchemaShelf

    async def verify(self, reply: Reply, request: JsonObject) -> Finding:
        """Parse the text of an answer and check it against the request's schema."""
        try:
            flaw = await _json_flaw(self.shelf, wanted_schema(request), reply.text)
        except UnusableSchemaError as error:
            return Finding(ok=False, name=FORMAT, why=_unchecked(error))
        return Finding(not flaw, FORMAT, f"the answer is not as asked for: {flaw}" if flaw else "")


@dataclass(frozen=True, slots=True)
class ToolVerifier:
    """Finds an answer ok whose calls name tools of the request, with arguments that their schemas take."""

    shelf: SchemaShelf

    async def verify(self, reply: Reply, request: JsonObject) -> Finding:
        """Check the choice of tools, then each call; argument texts stay untouched."""
        tools = request_tools(request)
        flaw = _choice_flaw(reply, request, tools)
        if flaw:
            return Finding(ok=False, name=TOOLS, why=flaw)
        for place, call in enumerate(reply.calls):
            try:
                flaw = await self._call_flaw(call, tools)
            except UnusableSchemaError as error:
                # Without a place: arguments that no schema can tell right from wrong are not asked for again.
                return Finding(ok=False, name=TOOLS, why=f"the arguments of {call.name!r} cannot be checked: {error}")
            if flaw:
                return Finding(ok=False, name=TOOLS, why=flaw, call=place)
        return Finding(ok=True, name=TOOLS)

    async def _call_flaw(self, call: ToolCall, tools: Mapping[str, Json]) -> str:
        if call.custom:
            return ""
        flaw = await _json_flaw(self.shelf, tools[call.name], call.arguments, objects_only=True)
        return f"the arguments of {call.name!r} are not as its schema says: {flaw}" if flaw else ""


async def uncheckable(request: JsonObject, shelf: SchemaShelf) -> str:
    """Say why no answer can be checked against the `response_format` of a chat request, empty where one can."""
    try:
        await shelf.checked(wanted_schema(request))
    except UnusableSchemaError as error:
        return f"{FORMAT}: {_unchecked(error)}"
    return ""


def wanted_schema(request: JsonObject) -> Json:
    """Return the schema of the JSON that a chat request asks for."""
    if _kind(request) != "json_schema":
        return {"type": "object"}
    return _fields(_fields(request.get(FORMAT)).get("json_schema")).get("schema", {})


def _unchecked(error: UnusableSchemaError) -> str:
    return f"no answer can be checked: {error}"


def request_tools(request: JsonObject) -> dict[str, Json]:
    """Return the tools of a chat request: name to the schema of the arguments, an empty one where there is none."""
    found: dict[str, Json] = {}
    for tool in _objects(request.get("tools")):
        body = _fields(tool.get("function")) or _fields(tool.get("custom"))
        found[str(body.get("name"))] = _schema_of(body)
    for function in _objects(request.get("functions")):
        found[str(function.get("name"))] = _schema_of(function)
    return found


def _schema_of(function: JsonObject) -> Json:
    schema = function.get("parameters")
    return {} if schema is None else schema


def _choice_flaw(reply: Reply, request: JsonObject, tools: Mapping[str, Json]) -> str:
    """Say how the calls of an answer are not those that the request allows or demands."""
    allowed, forced = _choice(request, tools)
    called = [call.name for call in reply.calls]
    strange = [name for name in called if name not in allowed]
    if strange:
        known = ", ".join(sorted(allowed)) or "none"
        return f"the answer calls {strange[0]!r}; the request allows: {known}"
    if forced and not called:
        return "the request demands a tool call, and the answer has none"
    if request.get("parallel_tool_calls") is False and len(called) > 1:
        return f"the answer has {len(called)} tool calls, and the request allows one at a time"
    return ""


def _choice(request: JsonObject, tools: Mapping[str, Json]) -> tuple[set[str], bool]:
    """Return the tools that may be called, and whether one must be."""
    choice = request.get("tool_choice", request.get("function_call"))
    if choice == "none":
        return set(), False
    if isinstance(choice, dict):
        subset = _fields(choice.get("allowed_tools"))
        if subset:
            listed = {str(_name(tool)) for tool in _objects(subset.get("tools"))}
            return listed & set(tools), subset.get("mode") == "required"
        named = _name(choice)
        if isinstance(named, str):
            return {named} & set(tools), True
    return set(tools), choice == "required"


def _name(choice: JsonObject) -> Json:
    inner = _fields(choice.get("function")) or _fields(choice.get("custom")) or choice
    return inner.get("name")


async def _json_flaw(shelf: SchemaShelf, schema: Json, text: str, *, objects_only: bool = False) -> str:
    """Say how a text is not JSON that a schema takes, empty where it is; UnusableSchemaError of no usable schema."""
    if len(text) > MAX_TEXT_CHARS:
        return f"it has {len(text):,} characters, at most {MAX_TEXT_CHARS:,} are checked"
    checked = await shelf.checked(schema)
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return f"it is no JSON ({error.msg} at character {error.pos})"
    if objects_only and not isinstance(value, dict):
        return "it is no JSON object"
    return checked.flaw(value) if len(text) <= INLINE_CHARS else await asyncio.to_thread(checked.flaw, value)


def _kind(request: JsonObject) -> Json:
    return _fields(request.get(FORMAT)).get("type")


def _fields(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _objects(value: Json) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
