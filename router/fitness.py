"""Whether a request has the shape that specialists, or the general local base, can serve. Pure."""

from __future__ import annotations

from registry.entities import Json, Specialist, TaskEnvelope, Usage
from registry.prompting import Prompt, chat_messages, fits
from registry.settings import UpstreamSettings
from router.chat import JsonObject
from router.chat_turns import IMAGES, objects, opaque_parts
from router.envelope import estimate_tokens
from router.rungs import KINDS

_FOREIGN_FIELDS = ("tools", "functions", "logprobs", "top_logprobs", "logit_bias", "audio", "suffix")

_ANSWER_TOKENS = 1024
"""Room for an answer where the client sets no limit."""


def needs_engine(specialist: Specialist) -> bool:
    """Say whether a specialist decodes; a table or a linear classifier does not."""
    return specialist.kind not in KINDS


def unfit(body: JsonObject, prompt: Prompt | None, specialist: Specialist, context: int) -> str:
    """Say why a specialist cannot take a masked request, empty where it can.

    Args:
        body: the masked request.
        prompt: its single turn, None where it is anything else.
        specialist: who would serve it.
        context: tokens of context of the engine, for a specialist that needs one.

    """
    foreign = foreign_field(body)
    if foreign:
        return f"the request has {foreign}, which specialists do not serve"
    if prompt is None:
        return "the request is not a single turn of text"
    if not fits(prompt, specialist.trim):
        return "the prompt lacks the constant part that the specialist was trained without"
    if not needs_engine(specialist):
        return ""
    chat = chat_messages(prompt, specialist.trim, specialist.examples)
    needed = sum(estimate_tokens(turn["content"]) for turn in chat) + specialist.max_tokens
    return f"it needs about {needed:,} tokens, the context has {context:,}" if needed > context else ""


def foreign_field(body: JsonObject) -> str:
    """Return what a request asks for that no specialist serves, empty where there is nothing of that."""
    present = [field for field in _FOREIGN_FIELDS if body.get(field)]
    if present:
        return present[0]
    # An empty object is how a search without options is asked for.
    if body.get("web_search_options") is not None:
        return "web_search_options"
    count = body.get("n")
    if isinstance(count, int) and count > 1:
        return f"n = {count}"
    return "modalities other than text" if _speaks(body) else ""


def unfit_for_base(body: JsonObject, envelope: TaskEnvelope, upstream: UpstreamSettings) -> str:
    """Say why the general local base cannot take a masked request, empty where it can.

    Args:
        body: the masked request.
        envelope: its features.
        upstream: the private upstream that runs the base.

    """
    if _speaks(body) or not IMAGES.issuperset(opaque_parts(objects(body.get("messages")))):
        return "the request has more than text and images, or asks for it"
    if envelope.multimodal and not upstream.vision:
        return "the request has more than text, and the upstream is not listed as able to see images"
    if (envelope.has_tools or envelope.in_tool_loop) and not upstream.tools:
        return "the request has tools, and the upstream is not listed as able to call them"
    tokens = envelope.estimated_tokens + estimate_tokens([body.get("tools"), body.get("functions")])
    needed = tokens + (client_limit(body) or _ANSWER_TOKENS)
    if upstream.context is not None and needed > upstream.context:
        return f"it needs about {needed:,} tokens with its answer, the context has {upstream.context:,}"
    return ""


def client_limit(body: JsonObject) -> int | None:
    """Return the client's own limit on the answer's tokens, None where there is none."""
    limits = [body.get("max_completion_tokens"), body.get("max_tokens")]
    return min((limit for limit in limits if isinstance(limit, int) and limit > 0), default=None)


def expected_usage(body: JsonObject, envelope: TaskEnvelope) -> Usage:
    """Return the tokens that a request may take at most, as far as is known before: its own and those of its answer."""
    tools = estimate_tokens([body.get("tools"), body.get("functions")])
    return Usage(envelope.estimated_tokens + tools, client_limit(body) or _ANSWER_TOKENS, "estimate")


def _speaks(body: JsonObject) -> bool:
    return bool(body.get("audio")) or body.get("modalities") not in (None, [], ["text"])


def wants_json_object(body: JsonObject) -> bool:
    """Say whether the client asked for a JSON object as answer."""
    return _kind(body.get("response_format")) == "json_object"


def wants_json(body: JsonObject) -> bool:
    """Say whether the client asked for an answer that is JSON, by whatever schema."""
    return _kind(body.get("response_format")) in ("json_object", "json_schema")


def _kind(response_format: Json) -> Json:
    return response_format.get("type") if isinstance(response_format, dict) else None
