"""OpenAI's chat form, the hub between all dialects: parts of requests, answers, chunks, and the list of models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import orjson

from registry.entities import Json, Usage
from router.problems import InvalidRequestError

DONE_FRAME = b"data: [DONE]\n\n"
PING_COMMENT = b": ping\n\n"
"""What every reader of server-sent events passes over."""
JsonObject = dict[str, Json]


def parse_object(raw: bytes) -> JsonObject:
    """Read a JSON object, else raise InvalidRequestError."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}; send a JSON object") from error
    if not isinstance(body, dict):
        raise InvalidRequestError(f"the body is a JSON {type(body).__name__}; send an object")
    return body


def is_writable(value: object) -> bool:
    """Say whether a value can be written as JSON inside of a record: parsing knows deeper nesting than writing."""
    try:
        orjson.dumps([[[[value]]]])
    except orjson.JSONEncodeError:
        return False
    return True


def outgoing_body(body: JsonObject, model: str, metadata: Json) -> JsonObject:
    """Return a request as an upstream gets it: its model name, no hints, usage always asked for in streams."""
    sent = {**body, "model": model}
    if metadata is None:
        sent.pop("metadata", None)
    else:
        sent["metadata"] = metadata
    if sent.get("stream"):
        options = body.get("stream_options")
        sent["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return sent


def answer_text(response: Json) -> str | None:
    """Return the text of the first choice of a chat completion, None where it has none."""
    choices = response.get("choices") if isinstance(response, dict) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else None


def completion_id(interaction_id: str) -> str:
    """Return the id of a local answer, which names its interaction."""
    return f"chatcmpl-{interaction_id}"


def completion(interaction_id: str, model: str, at: datetime, *, text: str, finish: str, usage: Usage) -> JsonObject:
    """Return a whole chat completion."""
    message: JsonObject = {"role": "assistant", "content": text, "refusal": None}
    choice: JsonObject = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {
        "id": completion_id(interaction_id),
        "object": "chat.completion",
        "created": int(at.timestamp()),
        "model": model,
        "choices": [choice],
        "usage": usage_object(usage),
    }


def usage_object(usage: Usage) -> JsonObject:
    """Return token counts in OpenAI's form."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def delta_chunk(delta: JsonObject, finish: str | None = None) -> JsonObject:
    """Return a chunk of the one choice of a local answer; its encoder adds what stands around it."""
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def data_frame(payload: bytes) -> bytes:
    """Return one server-sent event."""
    return b"data: " + payload + b"\n\n"


def model_list(names: Mapping[str, str], at: datetime) -> JsonObject:
    """Return GET /v1/models: name to owner, in OpenAI's form with Anthropic's fields added."""
    data: list[Json] = [model_object(name, owner, at) for name, owner in names.items()]
    ends: list[Json] = list(names)
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": ends[0] if ends else None,
        "last_id": ends[-1] if ends else None,
    }


def model_object(name: str, owner: str, at: datetime) -> JsonObject:
    """Return one model as both SDKs read it."""
    return {
        "id": name,
        "object": "model",
        "created": int(at.timestamp()),
        "owned_by": owner,
        "type": "model",
        "display_name": name,
        "created_at": at.isoformat().replace("+00:00", "Z"),
    }
