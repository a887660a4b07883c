"""langchain-openai: chat, stream, tools, typed answers and embeddings; prints what it got as JSON."""

from __future__ import annotations

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

URL, MODEL, TASK = sys.argv[1:4]


class Person(BaseModel):
    mail: str
    city: str


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"{city} is warm"


def main() -> None:
    made: Any = {"model": MODEL, "base_url": f"{URL}/v1", "api_key": "any"}
    found = {"chat": used(ChatOpenAI(**made)), "responses": used(ChatOpenAI(**made, use_responses_api=True))}
    if "--no-embeddings" not in sys.argv:
        embedding = OpenAIEmbeddings(**made, check_embedding_ctx_length=False)
        found["embeddings"] = embedding.embed_documents(["a", "b"])
    json.dump(found, sys.stdout)


def used(model: ChatOpenAI) -> Any:
    with_tools = model.bind_tools([weather])
    asked: list[Any] = [HumanMessage(TASK)]
    called = with_tools.invoke(asked)
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in called.tool_calls]
    return {
        "text": model.invoke(TASK).text,
        "stream": "".join(chunk.text for chunk in model.stream(TASK)),
        "tools": with_tools.invoke([*asked, called, *results]).text,
        "typed": model.with_structured_output(Person).invoke(TASK).model_dump(),
    }


main()
