"""Whether a request has the shape that specialists serve: one turn of text, trimmed, inside the context. Pure."""

from __future__ import annotations

from registry.entities import Json, Specialist, SpecialistKind
from registry.prompting import Prompt, chat_messages, fits
from router.chat import JsonObject
from router.envelope import estimate_tokens

_DECODED = (SpecialistKind.BASE, SpecialistKind.FEW_SHOT, SpecialistKind.LORA, SpecialistKind.MERGED)
_FOREIGN_FIELDS = ("tools", "functions", "logprobs", "top_logprobs", "logit_bias", "audio", "web_search_options")


def unfit(body: JsonObject, prompt: Prompt | None, specialist: Specialist, context: int) -> str:
    """Say why a specialist cannot take a masked request, empty where it can.

    Args:
        body: the masked request.
        prompt: its single turn, None where it is anything else.
        specialist: who would serve it.
        context: tokens of context of the engine.

    """
    if specialist.kind not in _DECODED:
        return f"specialists of kind {specialist.kind} are not served"
    foreign = foreign_field(body)
    if foreign:
        return f"the request has {foreign}, which specialists do not serve"
    if prompt is None:
        return "the request is not a single turn of text"
    if not fits(prompt, specialist.trim):
        return "the prompt lacks the constant part that the specialist was trained without"
    chat = chat_messages(prompt, specialist.trim, specialist.examples)
    needed = sum(estimate_tokens(turn["content"]) for turn in chat) + specialist.max_tokens
    return f"it needs about {needed:,} tokens, the context has {context:,}" if needed > context else ""


def foreign_field(body: JsonObject) -> str:
    """Return what a request asks for that no specialist serves, empty where there is nothing of that."""
    present = [field for field in _FOREIGN_FIELDS if body.get(field)]
    if present:
        return present[0]
    count = body.get("n")
    if isinstance(count, int) and count > 1:
        return f"n = {count}"
    if _kind(body.get("response_format")) == "json_schema":
        return "response_format json_schema"
    modalities = body.get("modalities")
    return "modalities other than text" if modalities not in (None, [], ["text"]) else ""


def wants_json_object(body: JsonObject) -> bool:
    """Say whether the client asked for a JSON object as answer."""
    return _kind(body.get("response_format")) == "json_object"


def _kind(response_format: Json) -> Json:
    return response_format.get("type") if isinstance(response_format, dict) else None
