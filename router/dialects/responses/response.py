"""The object that every answer is told in, and its token counts, which chat names otherwise."""

from __future__ import annotations

from registry.entities import Json
from router.chat import JsonObject
from router.dialects.protocol import AnswerFacts
from router.dialects.responses.fields import count, table

# What an answer repeats of its request, and what it says where the request is silent.
_REPEATED: JsonObject = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": None,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def response_object(facts: AnswerFacts, request: JsonObject, status: str, **said: Json) -> JsonObject:
    """Return a response: what it repeats of its request, and `said` of itself."""
    repeated = {field: value if request.get(field) is None else request[field] for field, value in _REPEATED.items()}
    return {
        "id": f"resp_{facts.interaction_id}",
        "object": "response",
        "created_at": int(facts.at.timestamp()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": facts.model,
        "output": [],
        "previous_response_id": None,
        "store": False,
        "usage": None,
        **repeated,
        **said,
    }


def usage_from_chat(usage: JsonObject) -> JsonObject:
    """Return token counts in this form; a detail that was not counted is 0, as the form has no other word for it."""
    prompt, answer = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    read, written = table(usage.get("prompt_tokens_details")), table(usage.get("completion_tokens_details"))
    cached = {field: count(read.get(field)) for field in ("cached_tokens", "cache_write_tokens")}
    return {
        "input_tokens": prompt,
        "input_tokens_details": {**cached},
        "output_tokens": answer,
        "output_tokens_details": {"reasoning_tokens": count(written.get("reasoning_tokens"))},
        "total_tokens": prompt + answer,
    }


def usage_to_chat(usage: JsonObject) -> JsonObject:
    """Return token counts in chat's form."""
    prompt, answer = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": table(usage.get("input_tokens_details")),
        "completion_tokens_details": table(usage.get("output_tokens_details")),
    }
