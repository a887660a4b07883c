"""The openai SDK on Responses; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

URL, MODEL, TASK = sys.argv[1:4]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}
FREE: Any = {"type": "custom", "name": "note", "description": "Takes a note as it is"}


class Person(BaseModel):
    mail: str
    city: str


def main() -> None:
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0)
    found = {
        "whole": whole(client),
        "stream": stream(client),
        "tools": tools(client),
        "tools_streamed": tools_streamed(client),
        "free_text": free_text(client),
        "parse": client.responses.parse(model=MODEL, input=TASK, text_format=Person).output_parsed.model_dump(),
        "parse_streamed": parse_streamed(client),
        "refused": refused(client),
    }
    json.dump(found, sys.stdout)


def whole(client: openai.OpenAI) -> Any:
    answer = client.responses.create(model=MODEL, input=TASK, instructions="Be brief.", store=False)
    usage = answer.usage
    return {
        "text": answer.output_text,
        "status": answer.status,
        "model": answer.model,
        "kinds": [item.type for item in answer.output],
        "tokens": [usage.input_tokens, usage.output_tokens],
    }


def stream(client: openai.OpenAI) -> Any:
    with client.responses.stream(model=MODEL, input=TASK) as events:
        kinds = [event.type for event in events]
        answer = events.get_final_response()
    return {"text": answer.output_text, "first": kinds[0], "last": kinds[-1]}


def tools(client: openai.OpenAI) -> Any:
    answer = client.responses.create(model=MODEL, input=TASK, tools=[TOOL])
    items: list[Any] = [
        {"role": "user", "content": TASK},
        *(item.model_dump(exclude_none=True) for item in answer.output),
    ]
    for call in answer.output:
        if call.type == "function_call":
            output = f"{json.loads(call.arguments)['city']} is warm"
            items.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
    return client.responses.create(model=MODEL, input=items, tools=[TOOL]).output_text


def tools_streamed(client: openai.OpenAI) -> Any:
    with client.responses.stream(model=MODEL, input=TASK, tools=[TOOL]) as events:
        answer = events.get_final_response()
    return [json.loads(item.arguments) for item in answer.output if item.type == "function_call"]


def free_text(client: openai.OpenAI) -> Any:
    choice: Any = {"type": "custom", "name": "note"}
    with client.responses.stream(model=MODEL, input=TASK, tools=[FREE], tool_choice=choice) as events:
        answer = events.get_final_response()
    return [item.input for item in answer.output if item.type == "custom_tool_call"]


def parse_streamed(client: openai.OpenAI) -> Any:
    with client.responses.stream(model=MODEL, input=TASK, text_format=Person) as events:
        return events.get_final_response().output_parsed.model_dump()


def refused(client: openai.OpenAI) -> Any:
    try:
        client.responses.create(model=MODEL, input=TASK, previous_response_id="resp_1")
    except openai.BadRequestError as error:
        return [error.status_code, error.param]
    return None


main()
