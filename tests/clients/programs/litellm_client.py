"""litellm's client on chat, Messages and embeddings; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import litellm
from pydantic import BaseModel

URL, MODEL, TASK, CLAUDE = sys.argv[1:5]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}


class Person(BaseModel):
    mail: str
    city: str


def main() -> None:
    litellm.telemetry = False
    chat: Any = {"model": f"openai/{MODEL}", "api_base": f"{URL}/v1", "api_key": "any"}
    messages: Any = {"model": f"anthropic/{CLAUDE}", "api_base": URL, "api_key": "any"}
    found = {"chat": used(chat), "messages": used(messages)}
    if "--no-embeddings" not in sys.argv:
        answer = litellm.embedding(input=["a", "b"], **chat)
        found["embeddings"] = [item["embedding"] for item in answer.data]
    json.dump(found, sys.stdout)


def used(where: Any) -> Any:
    asked: list[Any] = [{"role": "user", "content": TASK}]
    whole = litellm.completion(messages=asked, **where).choices[0].message.content
    chunks = litellm.completion(messages=asked, stream=True, **where)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    called = litellm.completion(messages=asked, tools=[TOOL], **where).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{json.loads(call.function.arguments)['city']} is warm"}
        for call in called.tool_calls
    ]
    loop = [*asked, called.model_dump(exclude_none=True), *results]
    last = litellm.completion(messages=loop, tools=[TOOL], **where).choices[0].message.content
    typed = litellm.completion(messages=asked, response_format=Person, **where).choices[0].message.content
    return {"text": whole, "stream": text, "tools": last, "typed": json.loads(typed)}


main()
