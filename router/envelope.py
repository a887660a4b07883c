"""From a masked request and its hints to the features that policy looks at; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from registry.entities import Json, Lane, TaskEnvelope
from registry.prompting import text_of
from registry.settings import PUBLIC
from router.chat import JsonObject, last_user_text
from router.hints import Hints
from router.naming import Place
from router.task_types import task_type

_CHARACTERS_PER_TOKEN = 4
_SUMMARY_LENGTH = 120
_TEXT_PARTS = frozenset({"text", "input_text", "refusal"})


@dataclass(frozen=True, slots=True)
class Match:
    """The workflow that a task belongs to, and how surely: 1 by name, less by likeness."""

    workflow: str | None = None
    score: float = 0.0


def envelope_of(
    body: JsonObject,
    hints: Hints,
    place: Place,
    match: Match,
    *,
    task_id: str,
    minimum_margin: float,
    redactions: Mapping[str, int],
    customer_types: Collection[str],
) -> TaskEnvelope:
    """Return the envelope of one request.

    Args:
        body: the masked request.
        hints: what the client said; a minimum margin below the policy's is lifted to it.
        place: what its model name asks for.
        match: the workflow that it belongs to.
        task_id: the id where the client gave none.
        minimum_margin: what the policy demands.
        redactions: masked values by type.
        customer_types: the types that mean customer data.

    """
    messages = body.get("messages")
    turns = messages if isinstance(messages, list) else []
    asked, in_loop = last_user_text(turns), _in_tool_loop(turns)
    tokens = estimate_tokens(turns)
    return TaskEnvelope(
        task_id=hints.task_id or task_id,
        summary=" ".join(asked[: 4 * _SUMMARY_LENGTH].split())[:_SUMMARY_LENGTH],
        workflow=match.workflow,
        match_score=match.score,
        data_class=hints.data_class or PUBLIC,
        contains_customer_data=any(redactions.get(kind, 0) for kind in customer_types),
        requires_external_knowledge=_asks_for_search(body),
        changed_files=hints.changed_files or 0,
        retry_count=hints.retry_count or 0,
        estimated_tokens=tokens,
        has_tools=bool(body.get("tools") or body.get("functions")),
        in_tool_loop=in_loop,
        multimodal=any(_has_other_parts(turn) for turn in turns),
        allows_escalation=hints.allow_escalation is not False,
        minimum_margin=max(minimum_margin, hints.minimum_margin if hints.minimum_margin is not None else -1.0),
        deadline_ms=hints.deadline_ms,
        requested_lane=requested_lane(place, hints),
        requested_model=str(body.get("model")),
        session=hints.session,
        task_type=task_type(asked, _system_text(turns)),
        opening_tokens=estimate_tokens(_opening(turns)) if in_loop else tokens,
    )


def requested_lane(place: Place, hints: Hints) -> Lane | None:
    """Return the lane that a client asks for; a private lane or none at all narrows whatever the model name says."""
    narrows = hints.lane in (Lane.LOCAL_PRIVATE, Lane.NO_OP)
    return hints.lane if narrows else place.lane or hints.lane


def estimate_tokens(value: Json) -> int:
    """Estimate the tokens of all text in a value, at four characters a token."""
    return -(-_characters(value) // _CHARACTERS_PER_TOKEN)


def _characters(value: Json) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(_characters(item) for item in value)
    if isinstance(value, dict):
        return sum(_characters(item) for item in value.values())
    return 0


def _asks_for_search(body: JsonObject) -> bool:
    tools = body.get("tools")
    kinds = [tool.get("type") for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return body.get("web_search_options") is not None or any(str(kind).startswith("web_search") for kind in kinds)


def _in_tool_loop(turns: list[Json]) -> bool:
    last = turns[-1] if turns else None
    return isinstance(last, dict) and last.get("role") in ("tool", "function")


def _opening(turns: list[Json]) -> list[Json]:
    """Return the turns up to the last user's, with which a tool loop began."""
    asked = [place for place, turn in enumerate(turns) if isinstance(turn, dict) and turn.get("role") == "user"]
    return turns[: asked[-1] + 1] if asked else turns


def _system_text(turns: list[Json]) -> str:
    match turns:
        case [{"role": "system" | "developer", "content": content}, *_]:
            return text_of(content) or ""
        case _:
            return ""


def _has_other_parts(turn: Json) -> bool:
    content = turn.get("content") if isinstance(turn, dict) else None
    parts = content if isinstance(content, list) else []
    return any(not (isinstance(part, dict) and part.get("type") in _TEXT_PARTS) for part in parts)
