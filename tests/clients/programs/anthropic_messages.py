"""The anthropic SDK; prints what it got as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import anthropic
from pydantic import BaseModel

URL, MODEL, TASK = sys.argv[1:4]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "weather", "description": "Tells the weather", "input_schema": SCHEMA}


class Person(BaseModel):
    mail: str
    city: str


def main() -> None:
    client = anthropic.Anthropic(base_url=URL, api_key="any", max_retries=0)
    found = {
        "whole": whole(client),
        "stream": stream(client),
        "thinking": thinking(client),
        "tools": tools(client),
        "tools_streamed": tools_streamed(client),
        "forced": forced(client),
        "parse": client.messages.parse(**asked(), output_format=Person).parsed_output.model_dump(),
        "async": asyncio.run(whole_async()),
        "count": client.messages.count_tokens(model=MODEL, messages=user(TASK)).input_tokens > 5,
        "models": models(client),
        "refused": refused(client),
    }
    json.dump(found, sys.stdout)


def whole(client: anthropic.Anthropic) -> Any:
    raw = client.messages.with_raw_response.create(**asked(), system="Be brief.")
    answer = raw.parse()
    return {
        "text": text_of(answer),
        "stop": answer.stop_reason,
        "model": answer.model,
        "tokens": [answer.usage.input_tokens, answer.usage.output_tokens],
        "interaction": bool(raw.headers.get("x-modelbreeder-interaction")),
        "request_id": bool(raw.headers.get("request-id")),
    }


def stream(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(**asked()) as events:
        text = "".join(events.text_stream)
        final = events.get_final_message()
    return {"text": text, "final": text_of(final), "stop": final.stop_reason, "tokens": final.usage.output_tokens}


def thinking(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(**asked(), thinking={"type": "adaptive"}) as events:
        final = events.get_final_message()
    return [block.type for block in final.content]


def tools(client: anthropic.Anthropic) -> Any:
    answer = client.messages.create(**asked(), tools=[TOOL])
    results: Any = [
        {"type": "tool_result", "tool_use_id": block.id, "content": f"{block.input['city']} is warm"}
        for block in answer.content
        if block.type == "tool_use"
    ]
    content: Any = [block.model_dump(exclude_none=True) for block in answer.content]
    turns: Any = [*user(TASK), {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    last = client.messages.create(**{**asked(), "messages": turns}, tools=[TOOL])
    return {"stop": answer.stop_reason, "said": text_of(answer), "text": text_of(last)}


def tools_streamed(client: anthropic.Anthropic) -> Any:
    with client.messages.stream(**asked(), tools=[TOOL]) as events:
        final = events.get_final_message()
    return [block.input for block in final.content if block.type == "tool_use"]


def forced(client: anthropic.Anthropic) -> Any:
    choice: Any = {"type": "tool", "name": "weather", "disable_parallel_tool_use": True}
    answer = client.messages.create(**asked(), tools=[TOOL], tool_choice=choice)
    return [block.input for block in answer.content if block.type == "tool_use"]


async def whole_async() -> Any:
    # Its other way to give a credential.
    async with anthropic.AsyncAnthropic(base_url=URL, auth_token="any", max_retries=0) as client:
        return text_of(await client.messages.create(**asked()))


def models(client: anthropic.Anthropic) -> Any:
    listed = {model.id: model.display_name for model in client.models.list()}
    return {"has": [name in listed for name in ("auto", "gpt-5.4")], "one": client.models.retrieve("auto").id}


def refused(client: anthropic.Anthropic) -> Any:
    errors = []
    for call in (lambda: client.messages.create(**{**asked(), "messages": []}), lambda: client.models.retrieve("x")):
        try:
            call()
        except anthropic.APIStatusError as error:
            errors.append([type(error).__name__, error.status_code, error.body["error"]["type"]])
    return errors


def asked() -> Any:
    return {"model": MODEL, "max_tokens": 1000, "messages": user(TASK)}


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


main()
