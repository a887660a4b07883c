"""instructor: typed answers by forced tools and by schema, with both SDKs; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic
import instructor
import openai
from pydantic import BaseModel

URL, MODEL, TASK, CLAUDE = sys.argv[1:5]


class Person(BaseModel):
    mail: str
    city: str


def main() -> None:
    chat = openai.OpenAI(base_url=f"{URL}/v1", api_key="any")
    messages = anthropic.Anthropic(base_url=URL, api_key="any")
    found = {
        "tools": extracted(instructor.from_openai(chat, mode=instructor.Mode.TOOLS), MODEL),
        "schema": extracted(instructor.from_openai(chat, mode=instructor.Mode.JSON_SCHEMA), MODEL),
        "messages": extracted(instructor.from_anthropic(messages, mode=instructor.Mode.TOOLS), CLAUDE, max_tokens=1000),
        "partial": partial(instructor.from_openai(chat, mode=instructor.Mode.TOOLS)),
    }
    json.dump(found, sys.stdout)


def extracted(client: Any, model: str, **more: Any) -> Any:
    asked = [{"role": "user", "content": TASK}]
    return client.chat.completions.create(model=model, messages=asked, response_model=Person, **more).model_dump()


def partial(client: Any) -> Any:
    asked = [{"role": "user", "content": TASK}]
    *_, last = client.chat.completions.create_partial(model=MODEL, messages=asked, response_model=Person)
    return last.model_dump()


main()
