"""From a masked request and its hints to the features that policy looks at; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from registry.entities import Lane, TaskEnvelope
from registry.settings import PUBLIC
from router.chat import JsonObject
from router.chat_turns import in_tool_loop, last_ask, objects, opaque_parts, spoken
from router.diffs import changed_files
from router.hints import Hints
from router.naming import Place
from router.outside_knowledge import asks_outside
from router.task_types import task_type
from router.token_estimate import estimate_tokens

__all__ = ["Match", "envelope_of", "estimate_tokens", "requested_lane"]

_SUMMARY_LENGTH = 120


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
    data_class: str | None = None,
    opaque: bool = False,
    asked_before: int = 0,
) -> TaskEnvelope:
    """Return the envelope of one request.

    Args:
        body: the masked request.
        hints: what the client said, which only narrows: a minimum margin below the policy's is lifted to it, fewer
            changed files or retries than are seen do not count.
        place: what its model name asks for.
        match: the workflow that it belongs to.
        task_id: the id where the client gave none.
        minimum_margin: what the policy demands.
        redactions: masked values by type.
        customer_types: the types that mean customer data.
        data_class: the narrowest that was found or hinted; None takes the hint.
        opaque: whether something was set aside of it that nothing can be read of.
        asked_before: how often the same was asked before in its session.

    """
    turns = objects(body.get("messages"))
    place_asked = last_ask(turns)
    asked = spoken(turns[place_asked].get("content")) if turns and place_asked >= 0 else ""
    system, in_loop = _system_text(turns), in_tool_loop(turns)
    tokens = estimate_tokens([*turns])
    return TaskEnvelope(
        task_id=hints.task_id or task_id,
        summary=" ".join(asked[: 4 * _SUMMARY_LENGTH].split())[:_SUMMARY_LENGTH],
        workflow=match.workflow,
        match_score=match.score,
        data_class=data_class or hints.data_class or PUBLIC,
        contains_customer_data=any(redactions.get(kind, 0) for kind in customer_types),
        requires_external_knowledge=asks_outside(body, asked, system, known_workflow=match.workflow is not None),
        changed_files=max(hints.changed_files or 0, changed_files(turns)),
        retry_count=max(hints.retry_count or 0, asked_before),
        estimated_tokens=tokens,
        has_tools=bool(body.get("tools") or body.get("functions")),
        in_tool_loop=in_loop,
        multimodal=opaque or any(opaque_parts(turns)),
        allows_escalation=hints.allow_escalation is not False,
        minimum_margin=max(minimum_margin, hints.minimum_margin if hints.minimum_margin is not None else -1.0),
        deadline_ms=hints.deadline_ms,
        requested_lane=requested_lane(place, hints),
        requested_model=str(body.get("model")),
        session=hints.session,
        task_type=task_type(asked, system),
        opening_tokens=estimate_tokens([*turns[: place_asked + 1]]) if in_loop and place_asked >= 0 else tokens,
    )


def requested_lane(place: Place, hints: Hints) -> Lane | None:
    """Return the lane that a client asks for; a private lane or none at all narrows whatever the model name says."""
    narrows = hints.lane in (Lane.LOCAL_PRIVATE, Lane.NO_OP)
    return hints.lane if narrows else place.lane or hints.lane


def _system_text(turns: list[JsonObject]) -> str:
    match turns:
        case [{"role": "system" | "developer", "content": content}, *_]:
            return spoken(content)
        case _:
            return ""
