"""Whole answers to chat completions and back, by the way of streams, so that both say the same."""

from __future__ import annotations

from registry.entities import Json
from registry.errors import UpstreamError
from router.assembly import ChunkAssembly
from router.chat import JsonObject
from router.dialects.protocol import AnswerFacts
from router.dialects.responses.fields import objects, table
from router.dialects.responses.reading import AnswerReader
from router.dialects.responses.writing import AnswerWriter


def answer_to_chat(answer: JsonObject) -> JsonObject:
    """Return a whole answer as a chat completion.

    Raises:
        UpstreamError: it is no response, or one that failed.

    """
    if not isinstance(answer.get("output"), list):
        raise UpstreamError("the upstream's answer is no response; check its base_url")
    assembly = ChunkAssembly()
    for chunk in AnswerReader().read({"type": "response.completed", "response": answer}):
        assembly.add(chunk)
    return assembly.completion()


def answer_from_chat(completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
    """Return a chat completion as the whole answer to a request."""
    choice = next(iter(objects(completion.get("choices"))), {})
    message = table(choice.get("message"))
    calls: list[Json] = [{**call, "index": place} for place, call in enumerate(objects(message.get("tool_calls")))]
    said: JsonObject = {"delta": {**message, "tool_calls": calls}, "finish_reason": choice.get("finish_reason")}
    writer = AnswerWriter(facts, request)
    writer.add({"choices": [said], "usage": completion.get("usage")})
    return table(writer.end(None)[-1]["response"])
