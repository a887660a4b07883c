from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from router.dialects.responses.dialect import Responses
from tests.router.dialects.test_responses_chat_form import EMPTY, tool_call

DIALECT = Responses()

words = st.text(max_size=12)
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
text_parts = st.builds(lambda text: {"type": "text", "text": text}, words)
other_parts = st.one_of(
    st.builds(
        lambda url, detail: {"type": "image_url", "image_url": {"url": url, "detail": detail}},
        words,
        st.sampled_from(["auto", "low", "high"]),
    ),
    st.builds(lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}, words),
    st.builds(lambda name: {"type": "file", "file": {"file_id": name}}, names),
)


def contents(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return words | st.lists(parts, min_size=2, max_size=3)


others = st.builds(
    lambda role, content: [{"role": role, "content": content}],
    st.sampled_from(["system", "developer"]),
    contents(text_parts),
) | st.builds(lambda content: [{"role": "user", "content": content}], contents(text_parts | other_parts))


@st.composite
def own_turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """One turn of the model with its calls' outputs, and a user behind it, so that no two turns meet."""
    calls = [
        tool_call(name, arguments, f"call_{place}")
        for place, (name, arguments) in enumerate(draw(st.lists(st.tuples(names, words), max_size=3)))
    ]
    said = draw(contents(text_parts).filter(bool)) if not calls or draw(st.booleans()) else None
    turn: dict[str, Any] = {"role": "assistant", "content": said, **({"tool_calls": calls} if calls else {})}
    if said is None and not calls:
        turn = {"role": "assistant", "content": None, "refusal": draw(words.filter(bool))}
    outputs = [{"role": "tool", "tool_call_id": c["id"], "content": draw(contents(text_parts))} for c in calls]
    return [turn, *outputs, {"role": "user", "content": draw(words)}]


conversations = st.lists(others | own_turns(), min_size=1, max_size=5).map(lambda turns: [m for t in turns for m in t])
chat_tools = st.builds(
    lambda name, strict, description: {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": EMPTY, "strict": strict},
    },
    names,
    st.booleans(),
    words,
)
formats = st.sampled_from(
    [
        {"type": "json_object"},
        {"type": "json_schema", "json_schema": {"name": "a", "schema": EMPTY, "strict": True, "description": "d"}},
    ]
)
place = {"type": "approximate", "approximate": {"city": "Oslo"}}
options = st.fixed_dictionaries(
    {"store": st.booleans()},
    optional={
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 1),
        "max_completion_tokens": st.integers(16, 999),
        "metadata": st.dictionaries(names, words, max_size=2),
        "reasoning_effort": st.sampled_from(["low", "high"]),
        "verbosity": st.sampled_from(["low", "high"]),
        "response_format": formats,
        "stream": st.booleans(),
        "user": words,
        "prompt_cache_key": words,
        "safety_identifier": words,
        "service_tier": st.just("auto"),
        "web_search_options": st.sampled_from([{}, {"search_context_size": "low", "user_location": place}]),
    },
)


@st.composite
def chat_requests(draw: st.DrawFn) -> dict[str, Any]:
    body: dict[str, Any] = {"model": draw(names), "messages": draw(conversations), **draw(options)}
    tools = draw(st.lists(chat_tools, max_size=3, unique_by=lambda tool: tool["function"]["name"]))
    if tools:
        one = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
        allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [one]}}
        body |= {"tools": tools, "tool_choice": draw(st.sampled_from(["auto", "none", one, allowed]))}
        body["parallel_tool_calls"] = draw(st.booleans())
    return body


@settings(max_examples=200)
@given(chat_requests())
def test_what_both_can_say_comes_back_from_here(chat: dict[str, Any]) -> None:
    made = DIALECT.from_chat(chat)

    assert DIALECT.to_chat(DIALECT.read(json.dumps(made).encode()).body) == chat


@settings(max_examples=200)
@given(chat_requests())
def test_a_request_here_comes_back_from_chat(chat: dict[str, Any]) -> None:
    made = DIALECT.from_chat(chat)

    assert DIALECT.from_chat(DIALECT.to_chat(made)) == made
