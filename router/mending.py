"""Mends what verification found wrong with an answer's form: asks once more for just that part, by its schema. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.chat_turns import objects
from router.verifying.contract import FORMAT, request_tools, wanted_schema
from router.verifying.finding import Finding
from router.verifying.gbnf import schema_grammar
from router.verifying.schemas import UnusableSchemaError

_NOT_ASKED_AGAIN = frozenset({
    "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call",
    "stream", "stream_options", "n", "stop",
})  # fmt: skip
"""What a request for arguments alone leaves out: they are one whole answer, which no stop text may cut."""


def mending_grammar(request: JsonObject, findings: Sequence[Finding]) -> str:
    """Return the GBNF under which an answer of the wrong form is decoded once more, empty where there is none."""
    if not findings or findings[-1].ok or findings[-1].name != FORMAT:
        return ""
    try:
        return schema_grammar(wanted_schema(request))
    except UnusableSchemaError:
        return ""


@dataclass(frozen=True, slots=True)
class CallRepair:
    """One tool call, by its place in its choice of a chat completion, whose arguments its schema does not take."""

    choice: int
    place: int
    name: str
    arguments: str
    schema: Json
    why: str

    def request(self, chat: JsonObject) -> JsonObject:
        """Return the chat request for nothing but the arguments, as JSON by the tool's schema."""
        said = (
            f"Your call of {self.name} is refused: {self.why}\n"
            f"Its arguments were: {self.arguments}\nGive the arguments again, as one JSON object and nothing else."
        )
        turns: list[Json] = [*cast("list[Json]", chat.get("messages", [])), {"role": "user", "content": said}]
        wanted: JsonObject = {"name": "arguments", "schema": self.schema, "strict": True}
        kept = {key: value for key, value in chat.items() if key not in _NOT_ASKED_AGAIN}
        return {**kept, "messages": turns, FORMAT: {"type": "json_schema", "json_schema": wanted}}

    def applied(self, completion: JsonObject, answer: JsonObject) -> JsonObject:
        """Return the completion with the arguments that the answer has, and the tokens of both."""
        arguments = _message(answer, 0).get("content")
        mended = cast("JsonObject", orjson.loads(orjson.dumps(completion)))
        function = cast("JsonObject", _calls(mended, self.choice)[self.place]["function"])
        function["arguments"] = arguments if isinstance(arguments, str) else ""
        return {**mended, "usage": _sum(completion.get("usage"), answer.get("usage"))}


def call_repair(
    request: JsonObject, completion: JsonObject, findings: Sequence[Finding], choice: int = 0
) -> CallRepair | None:
    """Return what to mend of a choice with a wrong tool call, None where that is not what is wrong."""
    flawed, calls = findings[-1].call if findings else None, _calls(completion, choice)
    # A call of the older form, `function_call`, is counted behind all others and stays as it is.
    if flawed is None or flawed >= len(calls):
        return None
    function = _fields(calls[flawed].get("function"))
    name = str(function.get("name"))
    schema = request_tools(request).get(name)
    return CallRepair(choice, flawed, name, str(function.get("arguments")), schema, findings[-1].why)


def chunks_of(completion: JsonObject) -> list[JsonObject]:
    """Return a whole chat completion as the chunks of a stream: of each choice what was said, then why it ended."""
    return [{"choices": [part]} for choice in objects(completion.get("choices")) for part in _told(choice)]


def _told(choice: JsonObject) -> tuple[JsonObject, JsonObject]:
    said: JsonObject = {key: value for key, value in _fields(choice.get("message")).items() if value is not None}
    if "tool_calls" in said:
        said["tool_calls"] = [{"index": place, **call} for place, call in enumerate(objects(said["tool_calls"]))]
    index = choice.get("index", 0)
    ended: JsonObject = {"index": index, "delta": {}, "finish_reason": choice.get("finish_reason")}
    return {"index": index, "delta": said, "finish_reason": None}, ended


def _message(completion: JsonObject, choice: int) -> JsonObject:
    choices = objects(completion.get("choices"))
    return _fields(choices[choice].get("message")) if choice < len(choices) else {}


def _calls(completion: JsonObject, choice: int) -> list[JsonObject]:
    return objects(_message(completion, choice).get("tool_calls"))


def _fields(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _sum(one: Json, two: Json) -> Json:
    if not isinstance(one, dict) or not isinstance(two, dict):
        return one
    counts = {key: value for key, value in two.items() if isinstance(value, int)}
    return {**one, **{key: cast("int", one.get(key) or 0) + count for key, count in counts.items()}}
