"""Tool definitions and the choice among them, both ways.

Anthropic's own tools have no chat form: search becomes `web_search_options`, others are left out.
"""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.messages.wire import fields, objects, text
from router.problems import InvalidRequestError

_SHARED = ("name", "description", "strict")
_SEARCHES = ("web_search_", "web_fetch_")
# The version that every model which can search knows.
_SEARCH: JsonObject = {"type": "web_search_20250305", "name": "web_search"}
_NO_INPUT: JsonObject = {"type": "object", "properties": {}}


def tools_to_chat(body: JsonObject) -> JsonObject:
    """Return the fields of a chat request that say which tools there are and how to choose."""
    tools = objects(body.get("tools"))
    functions: list[Json] = [_function(tool) for tool in tools if "input_schema" in tool]
    sent: JsonObject = {"tools": functions} if functions else {}
    if any(text(tool.get("type")).startswith(_SEARCHES) for tool in tools):
        sent["web_search_options"] = {}
    return {**sent, **_choice_to_chat(fields(body.get("tool_choice")), functions)}


def tools_from_chat(body: JsonObject) -> JsonObject:
    """Return the fields of a Messages request that say which tools there are and how to choose.

    Raises:
        InvalidRequestError: a tool is no function.

    """
    tools: list[Json] = [_tool(tool, f"tools.{place}") for place, tool in enumerate(objects(body.get("tools")))]
    choice = _choice_from_chat(body)
    allowed = _allowed(body.get("tool_choice"))
    if allowed is not None:
        tools = [tool for tool in tools if fields(tool).get("name") in allowed]
    options = body.get("web_search_options")
    if options is not None:
        tools.append(_search(fields(options)))
    if not tools:
        return {}
    return {"tools": tools, **({"tool_choice": choice} if choice else {})}


def forces_tool(choice: Json) -> bool:
    """Say whether an Anthropic tool choice makes a model call a tool, which bars it from thinking."""
    return fields(choice).get("type") in ("any", "tool")


def _function(tool: JsonObject) -> JsonObject:
    kept: JsonObject = {name: tool[name] for name in _SHARED if name in tool}
    return {"type": "function", "function": {**kept, "parameters": tool["input_schema"]}}


def _choice_to_chat(choice: JsonObject, functions: list[Json]) -> JsonObject:
    names = [fields(fields(function).get("function")).get("name") for function in functions]
    sent: JsonObject = {}
    match choice.get("type"):
        case _ if not functions:
            return {}
        case "auto" | "none" as kind:
            sent["tool_choice"] = kind
        case "any":
            sent["tool_choice"] = "required"
        case "tool" if choice.get("name") in names:
            sent["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
        case _:
            pass
    return {**sent, "parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") is True else sent


def _tool(tool: JsonObject, at: str) -> JsonObject:
    function = fields(tool.get("function"))
    if tool.get("type") != "function" or not isinstance(function.get("name"), str):
        raise InvalidRequestError(f"{at} must be a function with a name to be said to an Anthropic upstream", at)
    kept: JsonObject = {name: function[name] for name in _SHARED if function.get(name) is not None}
    return {**kept, "input_schema": function.get("parameters") or _NO_INPUT}


def _choice_from_chat(body: JsonObject) -> JsonObject:
    choice = body.get("tool_choice")
    kind = fields(fields(choice).get("allowed_tools")).get("mode") if _allowed(choice) is not None else choice
    sent: JsonObject = {}
    match kind:
        case "auto" | "none":
            sent["type"] = kind
        case "required":
            sent["type"] = "any"
        case {"type": "function", "function": {"name": str(name)}}:
            sent = {"type": "tool", "name": name}
        case _:
            pass
    if body.get("parallel_tool_calls") is False and sent.get("type") != "none":
        return {"type": "auto", **sent, "disable_parallel_tool_use": True}
    return sent


def _allowed(choice: Json) -> list[Json] | None:
    """Return the names that an `allowed_tools` choice leaves, None for any other choice."""
    allowed = fields(choice).get("allowed_tools")
    if not isinstance(allowed, dict):
        return None
    return [fields(tool.get("function")).get("name") for tool in objects(allowed.get("tools"))]


def _search(options: JsonObject) -> JsonObject:
    place = fields(fields(options.get("user_location")).get("approximate"))
    return {**_SEARCH, **({"user_location": {"type": "approximate", **place}} if place else {})}
