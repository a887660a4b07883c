"""What the turns of a chat request tell: what was asked last, whether tools are being called, what was called. Pure.

A user's turn right behind results of tools asks nothing new: agents put reminders and pictures there, and Anthropic's
form has both in one message.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from registry.entities import Json
from router.chat import JsonObject
from router.redaction.opaque import is_opaque

IMAGES = frozenset({"image", "image_file", "image_url", "input_image", "computer_screenshot"})
"""Types of the parts that a model with vision sees."""
_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "refusal"})
_RESULTS = ("tool", "function")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model called; arguments that are no JSON object are none."""

    name: str
    arguments: JsonObject


def objects(value: Json) -> list[JsonObject]:
    """Return the objects of a list, none where it is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def spoken(content: Json) -> str:
    """Return the text of a content; pictures and the like in it say nothing."""
    if isinstance(content, str):
        return content
    texts = (part.get("text") for part in objects(content) if part.get("type") in _TEXT_PARTS)
    return "".join(text for text in texts if isinstance(text, str))


def opaque_parts(turns: Sequence[JsonObject]) -> Iterator[str]:
    """Yield the type of each content part that is a picture, a file or sound."""
    for turn in turns:
        for part in objects(turn.get("content")):
            if is_opaque(part):
                yield str(part["type"])


def last_ask(turns: Sequence[JsonObject]) -> int:
    """Return the place of the last user's turn that asks something, -1 where none does."""
    return max(asks(turns), default=-1)


def asks(turns: Sequence[JsonObject]) -> Iterator[int]:
    """Yield the places of the user's turns that ask something, in order; of some in a row the last."""
    asked, answering = -1, False
    for place, turn in enumerate(turns):
        role = turn.get("role")
        if role == "user" and not answering:
            asked = place
        elif role == "assistant" or role in _RESULTS:
            answering = role != "assistant"
            if asked >= 0:
                yield asked
            asked = -1
    if asked >= 0:
        yield asked


def in_tool_loop(turns: Sequence[JsonObject]) -> bool:
    """Say whether the model is to go on with results of tools: there are some since it last called or spoke."""
    # What a client began to say for the model is the last turn, and answers nothing.
    prefilled = bool(turns) and turns[-1].get("role") == "assistant" and not turns[-1].get("tool_calls")
    for turn in reversed(turns[:-1] if prefilled else turns):
        if turn.get("role") in _RESULTS:
            return True
        if turn.get("role") == "assistant":
            return False
    return False


def calls(turn: JsonObject) -> Iterator[Call]:
    """Yield what a turn of the model called, in the current form and the old one with one `function_call`."""
    old = turn.get("function_call")
    for function in [old, *(call.get("function") or call.get("custom") for call in objects(turn.get("tool_calls")))]:
        if isinstance(function, dict):
            yield Call(str(function.get("name") or ""), _arguments(function))


def _arguments(function: JsonObject) -> JsonObject:
    given = function.get("arguments")
    if not isinstance(given, str):
        return {"input": function["input"]} if isinstance(function.get("input"), str) else {}
    try:
        parsed = orjson.loads(given)
    except orjson.JSONDecodeError:
        # Agents also send a bare patch where a tool takes one text.
        return {"input": given}
    return parsed if isinstance(parsed, dict) else {}
