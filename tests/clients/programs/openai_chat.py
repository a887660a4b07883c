"""The openai SDK on chat completions, embeddings and models; prints what it got as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import openai
from pydantic import BaseModel

URL, MODEL, TASK = sys.argv[1:4]
WEATHER = {"city": {"type": "string"}}
PARAMETERS = {"type": "object", "properties": WEATHER, "required": ["city"], "additionalProperties": False}
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS, "strict": True}}


class Person(BaseModel):
    mail: str
    city: str


def main() -> None:
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0)
    found = {
        "chat": chat(client),
        "stream": stream(client),
        "tools": tools(client),
        "tools_streamed": tools_streamed(client),
        "forced": forced(client),
        "parse": parse(client),
        "parse_streamed": parse_streamed(client),
        "async": asyncio.run(chat_async()),
        "models": models(client),
        "refused": refused(client),
        **({} if "--no-embeddings" in sys.argv else {"embeddings": embeddings(client)}),
    }
    json.dump(found, sys.stdout)


def chat(client: openai.OpenAI) -> Any:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=user(TASK))
    answer = raw.parse()
    choice, usage = answer.choices[0], answer.usage
    return {
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "model": answer.model,
        "tokens": [usage.prompt_tokens, usage.completion_tokens],
        "interaction": bool(raw.headers.get("x-modelbreeder-interaction")),
    }


def stream(client: openai.OpenAI) -> Any:
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=user(TASK), stream=True, stream_options={"include_usage": True}
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    last = chunks[-1]
    return {"text": text, "tokens": [last.usage.prompt_tokens, last.usage.completion_tokens], "many": len(chunks) > 5}


def tools(client: openai.OpenAI) -> Any:
    asked = user(TASK)
    answer = client.chat.completions.create(model=MODEL, messages=asked, tools=[TOOL]).choices[0]
    calls = answer.message.tool_calls
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"{json.loads(call.function.arguments)['city']} is warm"}
        for call in calls
    ]
    asked = [*asked, answer.message.model_dump(exclude_none=True), *results]
    last = client.chat.completions.create(model=MODEL, messages=asked, tools=[TOOL]).choices[0]
    return {"finish": answer.finish_reason, "said": answer.message.content, "text": last.message.content}


def tools_streamed(client: openai.OpenAI) -> Any:
    with client.chat.completions.stream(model=MODEL, messages=user(TASK), tools=[TOOL]) as events:
        kinds = sorted({event.type for event in events})
        answer = events.get_final_completion().choices[0]
    given = [json.loads(call.function.arguments) for call in answer.message.tool_calls]
    return {"finish": answer.finish_reason, "given": given, "argued": "tool_calls.function.arguments.done" in kinds}


def forced(client: openai.OpenAI) -> Any:
    choice: Any = {"type": "function", "function": {"name": "weather"}}
    answer = client.chat.completions.create(model=MODEL, messages=user(TASK), tools=[TOOL], tool_choice=choice)
    return json.loads(answer.choices[0].message.tool_calls[0].function.arguments)


def parse(client: openai.OpenAI) -> Any:
    answer = client.chat.completions.parse(model=MODEL, messages=user(TASK), response_format=Person)
    return answer.choices[0].message.parsed.model_dump()


def parse_streamed(client: openai.OpenAI) -> Any:
    with client.chat.completions.stream(model=MODEL, messages=user(TASK), response_format=Person) as events:
        return events.get_final_completion().choices[0].message.parsed.model_dump()


async def chat_async() -> Any:
    async with openai.AsyncOpenAI(base_url=f"{URL}/v1", api_key="any", max_retries=0) as client:
        both = [client.chat.completions.create(model=MODEL, messages=user(TASK)) for _ in range(2)]
        return [answer.choices[0].message.content for answer in await asyncio.gather(*both)]


def embeddings(client: openai.OpenAI) -> Any:
    base64 = client.embeddings.create(model=MODEL, input=["a", "b"])
    floats = client.embeddings.create(model=MODEL, input="a", encoding_format="float")
    return [item.embedding for item in (*base64.data, *floats.data)]


def models(client: openai.OpenAI) -> Any:
    listed = {model.id: model.created > 0 for model in client.models.list()}
    return {"has": [name in listed for name in ("auto", MODEL)], "one": client.models.retrieve(MODEL).id}


def refused(client: openai.OpenAI) -> Any:
    errors = []
    for call in (lambda: client.chat.completions.create(model=MODEL, messages=[]), lambda: client.models.retrieve("x")):
        try:
            call()
        except openai.APIStatusError as error:
            errors.append([type(error).__name__, error.status_code, error.code, bool(error.request_id)])
    return errors


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


main()
