"""Mends what verification found wrong with an answer's form: asks once more for just that part, by its schema. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.verifying.contract import FORMAT, request_tools
from router.verifying.finding import Finding
from router.verifying.gbnf import schema_grammar
from router.verifying.schemas import UnusableSchemaError

_OF_TOOLS = ("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "stream", "stream_options")


def mending_grammar(request: JsonObject, findings: Sequence[Finding]) -> str:
    """Return the GBNF under which an answer of the wrong form is decoded once more, empty where there is none."""
    if not findings or findings[-1].ok or findings[-1].name != FORMAT:
        return ""
    try:
        return schema_grammar(_format_schema(request))
    except UnusableSchemaError:
        return ""


def _format_schema(request: JsonObject) -> Json:
    wanted = request.get(FORMAT)
    named = wanted.get("json_schema") if isinstance(wanted, dict) else None
    return named.get("schema", {}) if isinstance(named, dict) else {"type": "object"}


@dataclass(frozen=True, slots=True)
class CallRepair:
    """One tool call of a chat completion whose arguments its schema does not take."""

    place: int
    name: str
    arguments: str
    schema: Json
    why: str

    def request(self, chat: JsonObject) -> JsonObject:
        """Return the chat request for nothing but the arguments, as JSON by the tool's schema."""
        said = (
            f"Your call of {self.name} was not as its schema says: {self.why}\n"
            f"Its arguments were: {self.arguments}\nGive the arguments again, as one JSON object and nothing else."
        )
        turns: list[Json] = [*cast("list[Json]", chat.get("messages", [])), {"role": "user", "content": said}]
        wanted: JsonObject = {"name": "arguments", "schema": self.schema, "strict": True}
        kept = {key: value for key, value in chat.items() if key not in _OF_TOOLS}
        return {**kept, "messages": turns, FORMAT: {"type": "json_schema", "json_schema": wanted}}

    def applied(self, completion: JsonObject, answer: JsonObject) -> JsonObject:
        """Return the completion with the arguments that the answer has, and the tokens of both."""
        arguments = _message(answer).get("content")
        mended = cast("JsonObject", orjson.loads(orjson.dumps(completion)))
        function = cast("JsonObject", _calls(mended)[self.place]["function"])
        function["arguments"] = arguments if isinstance(arguments, str) else ""
        return {**mended, "usage": _sum(completion.get("usage"), answer.get("usage"))}


def call_repair(request: JsonObject, completion: JsonObject, findings: Sequence[Finding]) -> CallRepair | None:
    """Return what to mend of an answer with a wrong tool call, None where that is not what is wrong."""
    flawed = findings[-1].call if findings else None
    if flawed is None:
        return None
    function = _calls(completion)[flawed].get("function")
    if not isinstance(function, dict):
        return None
    name = str(function.get("name"))
    why = findings[-1].why
    return CallRepair(flawed, name, str(function.get("arguments")), request_tools(request).get(name), why)


def chunks_of(completion: JsonObject) -> list[JsonObject]:
    """Return a whole chat completion as the chunks of a stream: what was said, then why it ended."""
    choice = _choice(completion)
    message: JsonObject = {key: value for key, value in _message(completion).items() if value is not None}
    if "tool_calls" in message:
        message["tool_calls"] = [{"index": place, **call} for place, call in enumerate(_calls(completion))]
    said: Json = {"index": 0, "delta": message, "finish_reason": None}
    ended: Json = {"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}
    return [{"choices": [said]}, {"choices": [ended]}]


def _choice(completion: JsonObject) -> JsonObject:
    choices = completion.get("choices")
    return choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}


def _message(completion: JsonObject) -> JsonObject:
    message = _choice(completion).get("message")
    return message if isinstance(message, dict) else {}


def _calls(completion: JsonObject) -> list[JsonObject]:
    calls = _message(completion).get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _sum(one: Json, two: Json) -> Json:
    if not isinstance(one, dict) or not isinstance(two, dict):
        return one
    counts = {key: value for key, value in two.items() if isinstance(value, int)}
    return {**one, **{key: cast("int", one.get(key) or 0) + count for key, count in counts.items()}}
