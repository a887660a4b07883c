"""Whole answers both ways, and the words and numbers that streams share with them.

The hub carries thinking as `reasoning_content`, and beside it, because signatures would be lost, the blocks as they
came in `thinking_blocks`. Citations and the blocks of server tools have no chat form.
"""

from __future__ import annotations

from registry.entities import Json
from registry.errors import UpstreamError
from registry.prompting import text_of
from router.chat import JsonObject
from router.dialects.messages.content import text_blocks
from router.dialects.messages.from_chat import signed_thinking, tool_use
from router.dialects.messages.request import UNSIGNED, asks_for_thinking
from router.dialects.messages.to_chat import call_of
from router.dialects.messages.wire import count, fields, objects, text
from router.dialects.protocol import AnswerFacts
from router.envelope import estimate_tokens

THINKING = frozenset({"thinking", "redacted_thinking"})
# A turn that server tools made pause has no chat form: it ends there.
_FINISH = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_STOP = {"length": "max_tokens", "content_filter": "refusal"}


def answer_to_chat(answer: JsonObject) -> JsonObject:
    """Return a whole answer as a chat completion; see `Dialect.answer_to_chat`."""
    if answer.get("type") != "message" or not isinstance(answer.get("content"), list):
        raise UpstreamError("the upstream's answer is no Anthropic message; check its base_url")
    choice: JsonObject = {"index": 0, "message": _message(objects(answer["content"])), "logprobs": None}
    return {
        "id": answer.get("id"),
        "object": "chat.completion",
        "model": answer.get("model"),
        "choices": [{**choice, "finish_reason": finish_of(answer.get("stop_reason"))}],
        "usage": usage_to_chat(fields(answer.get("usage"))),
    }


def answer_from_chat(completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
    """Return a chat completion as an answer to `request`; raise UpstreamError for arguments that are no JSON."""
    choice = next(iter(objects(completion.get("choices"))), {})
    message = fields(choice.get("message"))
    calls = objects(message.get("tool_calls"))
    refusal = text(message.get("refusal"))
    said = text_blocks(text_of(message.get("content")) or "", refusal)
    thought = _thinking(message) if asks_for_thinking(request) else []
    content: list[Json] = [*thought, *said, *(_called(call) for call in calls)]
    reported = completion.get("usage")
    usage = usage_from_chat(reported) if isinstance(reported, dict) else estimated_usage(request, content)
    stop = stop_of(choice.get("finish_reason"), calls=bool(calls), refused=bool(refusal))
    return {**message_start(facts), "content": content, "stop_reason": stop, "usage": usage}


def message_start(facts: AnswerFacts) -> JsonObject:
    """Return an answer that has not begun."""
    return {
        "id": f"msg_{facts.interaction_id}",
        "type": "message",
        "role": "assistant",
        "model": facts.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }


def finish_of(stop_reason: Json) -> str | None:
    """Return Anthropic's reason to stop in OpenAI's words, None where there is none yet."""
    return None if stop_reason is None else _FINISH.get(text(stop_reason), "stop")


def stop_of(finish_reason: Json, *, calls: bool, refused: bool) -> str:
    """Return OpenAI's reason to stop in Anthropic's words.

    Some servers finish calls with `stop`, OpenAI itself where a tool was forced; Anthropic's clients go by the reason.
    """
    known = _STOP.get(text(finish_reason))
    if known:
        return known
    if calls:
        return "tool_use"
    return "refusal" if refused else "end_turn"


def usage_to_chat(usage: JsonObject) -> JsonObject:
    """Return Anthropic's counts in OpenAI's form, where the prompt's tokens are all of them, cached or not."""
    read, written = count(usage.get("cache_read_input_tokens")), count(usage.get("cache_creation_input_tokens"))
    prompt, answer = count(usage.get("input_tokens")) + read + written, count(usage.get("output_tokens"))
    thought = fields(usage.get("output_tokens_details")).get("thinking_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        **({"completion_tokens_details": {"reasoning_tokens": thought}} if isinstance(thought, int) else {}),
    }


def usage_from_chat(usage: JsonObject) -> JsonObject:
    """Return OpenAI's counts in Anthropic's form, where cached tokens are not among the input's."""
    details = fields(usage.get("prompt_tokens_details"))
    read, written = count(details.get("cached_tokens")), count(details.get("cache_write_tokens"))
    thought = fields(usage.get("completion_tokens_details")).get("reasoning_tokens")
    return {
        "input_tokens": max(0, count(usage.get("prompt_tokens")) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": count(usage.get("completion_tokens")),
        **({"output_tokens_details": {"thinking_tokens": thought}} if isinstance(thought, int) else {}),
    }


def estimated_usage(request: JsonObject, said: Json) -> JsonObject:
    """Return counts for an answer whose upstream counted nothing: Anthropic's clients cannot do without them."""
    asked: Json = [request.get(name) for name in ("system", "messages", "tools")]
    return {"input_tokens": estimate_tokens(asked), "output_tokens": estimate_tokens(said)}


def _message(blocks: list[JsonObject]) -> JsonObject:
    said = [text(block.get("text")) for block in blocks if block.get("type") == "text"]
    thought = "".join(text(block.get("thinking")) for block in blocks)
    signed: list[Json] = [block for block in blocks if block.get("type") in THINKING]
    calls: list[Json] = [call_of(block) for block in blocks if block.get("type") == "tool_use"]
    return {
        "role": "assistant",
        "content": "".join(said) if said else None,
        "refusal": None,
        **({"reasoning_content": thought} if thought else {}),
        **({"thinking_blocks": signed} if signed else {}),
        **({"tool_calls": calls} if calls else {}),
    }


def _thinking(message: JsonObject) -> list[Json]:
    thought = text(message.get("reasoning_content")) or text(message.get("reasoning"))
    unsigned: list[Json] = [{"type": "thinking", "thinking": thought, "signature": UNSIGNED}] if thought else []
    return signed_thinking(message) or unsigned


def _called(call: JsonObject) -> JsonObject:
    block = tool_use(call)
    if block is None:
        name = fields(call.get("function")).get("name")
        raise UpstreamError(f"the model called {name!r} with arguments that are no JSON object; ask again")
    return block
