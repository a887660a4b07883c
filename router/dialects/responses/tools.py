"""Tools and the choice of one, to chat and back.

Chat has functions only, so a custom tool becomes one with a single string, `input`, and a namespace goes into the name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.responses.fields import given, objects, table, text
from router.redaction.json_text import escape

FREE_TEXT_START, FREE_TEXT_END = '{"input":"', '"}'
"""What stands around the escaped text of a custom tool in the arguments of its function."""

_FUNCTION_FIELDS = ("description", "parameters", "strict")


@dataclass(frozen=True, slots=True)
class ToolName:
    """What a tool is called here, and whether it takes free text."""

    name: str
    namespace: str | None = None
    custom: bool = False

    @property
    def in_chat(self) -> str:
        """What it is called in chat."""
        if not self.namespace:
            return self.name
        return f"{self.namespace.removesuffix('__')}__{self.name}"

    @property
    def fields(self) -> JsonObject:
        """The fields of a call that name it."""
        return given(name=self.name, namespace=self.namespace)


def tool_name(call: JsonObject) -> ToolName:
    """Return what an item that calls a tool, or a tool itself, says of the tool's name."""
    return ToolName(text(call.get("name")), text(call.get("namespace")) or None)


def tool_names(request: JsonObject) -> dict[str, ToolName]:
    """Return the tools of a request by their names in chat."""
    names = [ToolName(text(tool.get("name")), space, tool.get("type") == "custom") for space, tool in _tools(request)]
    return {name.in_chat: name for name in names}


def custom_arguments(said: str) -> str:
    """Return free text as the arguments of a function in chat."""
    return FREE_TEXT_START + escape(said) + FREE_TEXT_END


def tools_to_chat(body: JsonObject) -> JsonObject:
    """Return the fields of a chat request that say which tools there are; what hosted tools do has no chat form."""
    found: JsonObject = {}
    functions = {name: tool for name, tool in map(_function_to_chat, _tools(body)) if tool}
    if functions:
        choice = _choice_to_chat(body.get("tool_choice"))
        parallel = body.get("parallel_tool_calls")
        found = given(tools=[*functions.values()], tool_choice=choice, parallel_tool_calls=parallel)
    searches = [tool for _, tool in _tools(body) if text(tool.get("type")).startswith("web_search")]
    if searches:
        found["web_search_options"] = _search_to_chat(searches[0])
    return found


def tools_from_chat(body: JsonObject) -> JsonObject:
    """Return the fields of a request here that say which tools a chat request has."""
    tools: list[Json] = [_tool_from_chat(tool) for tool in objects(body.get("tools"))]
    options = body.get("web_search_options")
    if isinstance(options, dict):
        tools.append(_search_from_chat(options))
    if not tools:
        return {}
    choice, parallel = _choice_from_chat(body.get("tool_choice")), body.get("parallel_tool_calls")
    return given(tools=tools, tool_choice=choice, parallel_tool_calls=parallel)


def _tools(body: JsonObject) -> Iterator[tuple[str | None, JsonObject]]:
    """Yield each tool with its namespace; items can bring tools too."""
    brought = [item.get("tools") for item in objects(body.get("input")) if item.get("type") == "additional_tools"]
    for tool in (tool for tools in (body.get("tools"), *brought) for tool in objects(tools)):
        if tool.get("type") == "namespace":
            yield from ((text(tool.get("name")), inner) for inner in objects(tool.get("tools")))
        else:
            yield None, tool


def _function_to_chat(declared: tuple[str | None, JsonObject]) -> tuple[str, JsonObject]:
    """Return a tool's name in chat and its chat form, empty for a hosted tool."""
    namespace, tool = declared
    name = ToolName(text(tool.get("name")), namespace).in_chat
    function: JsonObject = {"name": name}
    if tool.get("type") == "function":
        function |= {field: tool[field] for field in _FUNCTION_FIELDS if tool.get(field) is not None}
    elif tool.get("type") == "custom":
        function |= given(description=tool.get("description"), parameters=_free_text(table(tool.get("format"))))
    else:
        return name, {}
    return name, {"type": "function", "function": function}


def _free_text(wanted: JsonObject) -> JsonObject:
    """Return the parameters of a custom tool; the grammar of its text is told, as nothing in chat enforces it."""
    grammar = f"{wanted.get('syntax')} grammar:\n{wanted['definition']}" if wanted.get("definition") else None
    said: JsonObject = {"type": "string", **given(description=grammar)}
    return {"type": "object", "properties": {"input": said}, "required": ["input"], "additionalProperties": False}


def _tool_from_chat(tool: JsonObject) -> JsonObject:
    if tool.get("type") == "custom":
        custom = table(tool.get("custom"))
        wanted = table(custom.get("format"))
        flat: JsonObject | None = {"type": wanted.get("type"), **table(wanted.get("grammar"))} if wanted else None
        return {"type": "custom", **custom, **given(format=flat)}
    function = table(tool.get("function"))
    # Here a missing `strict` asks for strictness where the schema allows it, in chat for none.
    empty: JsonObject = {"type": "object", "properties": {}}
    return {"type": "function", "parameters": empty, "strict": False, **given(**function)}


def _search_to_chat(tool: JsonObject) -> JsonObject:
    said = table(tool.get("user_location"))
    place: JsonObject = {field: value for field, value in said.items() if field != "type" and value}
    where: JsonObject | None = {"type": "approximate", "approximate": place} if place else None
    return given(search_context_size=tool.get("search_context_size"), user_location=where)


def _search_from_chat(options: JsonObject) -> JsonObject:
    place = table(table(options.get("user_location")).get("approximate"))
    where: JsonObject | None = {"type": "approximate", **place} if place else None
    size = options.get("search_context_size")
    return {"type": "web_search", **given(search_context_size=size, user_location=where)}


def _choice_to_chat(choice: Json) -> Json:
    if isinstance(choice, str):
        return choice
    said = table(choice)
    match said.get("type"):
        case "function" | "custom":
            return {"type": "function", "function": {"name": tool_name(said).in_chat}}
        case "allowed_tools":
            chosen = [_choice_to_chat(tool) for tool in objects(said.get("tools"))]
            allowed: JsonObject = {"mode": said.get("mode"), "tools": [tool for tool in chosen if tool]}
            return {"type": "allowed_tools", "allowed_tools": allowed}
        case _:
            return None


def _choice_from_chat(choice: Json) -> Json:
    if isinstance(choice, str):
        return choice
    said = table(choice)
    match said.get("type"):
        case "function" | "custom" as kind:
            return {"type": kind, **table(said.get(kind))}
        case "allowed_tools":
            allowed = table(said.get("allowed_tools"))
            tools: list[Json] = [_choice_from_chat(tool) for tool in objects(allowed.get("tools"))]
            return {"type": "allowed_tools", "mode": allowed.get("mode"), "tools": tools}
        case _:
            return None
