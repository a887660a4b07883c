"""pydantic-ai: an agent with a tool and a typed result, over each of the three dialects; prints what it got as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

URL, MODEL, TASK, CLAUDE = sys.argv[1:5]


class Person(BaseModel):
    mail: str
    city: str


async def main() -> None:
    openai = OpenAIProvider(base_url=f"{URL}/v1", api_key="any")
    models: dict[str, Model] = {
        "chat": OpenAIChatModel(MODEL, provider=openai),
        "responses": OpenAIResponsesModel(MODEL, provider=openai),
        "messages": AnthropicModel(CLAUDE, provider=AnthropicProvider(base_url=URL, api_key="any")),
    }
    json.dump({name: await used(model) for name, model in models.items()}, sys.stdout)


async def used(model: Model) -> Any:
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        return f"{city} is warm"

    async with Agent(model).run_stream(TASK) as streamed:
        text = [piece async for piece in streamed.stream_text(delta=True)]
    typed = await Agent(model, output_type=Person).run(TASK)
    looped = await agent.run(TASK)
    return {"tools": looped.output, "stream": "".join(text), "typed": typed.output.model_dump()}


asyncio.run(main())
