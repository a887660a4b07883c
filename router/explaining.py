"""A decision as `explain` shows it: in one sentence, and with all candidates and what would leave; nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime

import orjson

from registry.entities import Json, Lane, Purpose, RouteDecision
from registry.errors import RedactionError
from router.attempts import sent_body
from router.chat import JsonObject, parse_object
from router.dialects.chat import Chat
from router.dialects.known import dialects
from router.dialects.protocol import Dialect, Request
from router.exchange import Incoming
from router.given_names import with_kept_names
from router.problems import InvalidRequestError
from router.routed import Routed
from router.routing import Router
from router.unreadable import unreadable
from router.verifying.contract import contract_names

AT_ONCE = "at once"
IF_NOT_HERE = "if the local answer fails or is weak"


def read_question(raw: bytes, surface: str | None = None) -> tuple[Dialect, Request]:
    """Read what to explain: a request of the named surface, else a chat request, or `{"text", "workflow"?, "model"?}`.

    Raises:
        InvalidRequestError: it is none of these, or no surface has this name.

    """
    if surface is not None:
        dialect = _dialect(surface)
        return dialect, dialect.read(raw)
    body = parse_object(raw)
    if "messages" in body:
        return Chat(), Chat().read(raw)
    text, workflow = body.get("text"), body.get("workflow")
    if not isinstance(text, str):
        raise InvalidRequestError("send a chat request, an object with 'text', or name the surface of another", "text")
    return Chat(), text_request(text, None if workflow is None else str(workflow), str(body.get("model") or "auto"))


def _dialect(surface: str) -> Dialect:
    for dialect in dialects():
        if dialect.surface == surface:
            return dialect
    known = ", ".join(dialect.surface for dialect in dialects())
    raise InvalidRequestError(f"surface {surface!r} is not known; known are {known}", "surface")


def text_request(text: str, workflow: str | None, model: str = "auto") -> Request:
    """Return a chat request of one turn of text."""
    body: JsonObject = {"model": model, "messages": [{"role": "user", "content": text}]}
    if workflow is not None:
        body["metadata"] = {"workflow": workflow}
    return Request(body, model, stream=False, wants_usage=False)


def explain(router: Router, incoming: Incoming, interaction_id: str, now: datetime) -> JsonObject:
    """Return where a request would go and why, also where it cannot be inspected and so reaches no cloud.

    Raises:
        InvalidRequestError: its hints contradict the place that its model name asks for, or name no data class.

    """
    try:
        return {**explanation(router.route(incoming, interaction_id, now)), "budgets": _budgets(router, incoming, now)}
    except RedactionError as error:
        return _refusal(router, incoming, error, interaction_id, now)


async def explain_beside(
    router: Router, incoming: Incoming, interaction_id: str, now: datetime, inspect: Callable[[], Awaitable[Routed]]
) -> JsonObject:
    """Return the same in a daemon that serves others meanwhile; `inspect` masks the request and decides on it."""
    try:
        told = await asyncio.to_thread(explanation, await inspect())
    except RedactionError as error:
        return _refusal(router, incoming, error, interaction_id, now)
    return {**told, "budgets": _budgets(router, incoming, now)}


def _refusal(
    router: Router, incoming: Incoming, error: RedactionError, interaction_id: str, now: datetime
) -> JsonObject:
    facts = {"interaction_id": interaction_id, "policy_digest": router.policy_digest}
    intent, _ = unreadable(incoming, error, now=now, purpose=Purpose.USER, **facts)
    return {
        "sentence": _sentence(intent.decision, None, {}),
        "decision": plain(intent.decision),
        "envelope": plain(intent.envelope),
        "redactions": {},
        "places": [],
        "context": None,
        "leaves": None,
        "verification": [],
        "request_sent": None,
        "left_out": [],
        "budgets": _budgets(router, incoming, now),
    }


def explanation(routed: Routed) -> JsonObject:
    """Return a decision as JSON.

    `leaves` says which cloud would get the request, in which dialect and when, null where none would; `request_sent`
    is what the model that is asked first gets, masked; `left_out` names the fields that its upstream does not get;
    `places` says where in the request as it came which placeholder stands for a value; `verification` names the checks
    of a local answer.
    """
    leaves, decision = _leaves(routed), routed.decision
    asked = routed.aimed_at_base() if routed.chose_base else routed
    return {
        "sentence": _sentence(decision, leaves, routed.redaction.counts),
        "decision": plain(decision),
        "envelope": plain(routed.envelope),
        "redactions": dict(routed.redaction.counts),
        "places": plain(routed.redaction.masker.places(routed.incoming.request.body)),
        "context": _context(routed),
        "leaves": leaves,
        "verification": _verification(routed),
        "request_sent": plain(sent_body(asked, decision)),
        "left_out": plain(asked.left_out),
    }


def _budgets(router: Router, incoming: Incoming, now: datetime) -> Json:
    """Return the budgets that apply to whoever asks, and how much of them is left."""
    payer = router.rulebook.payer(with_kept_names(incoming, router.rulebook.redactor, router.names_key, ()))
    found = router.budgets.of(payer, now) if router.budgets else ()
    return plain([{**asdict(one), "left_usd": one.left_usd} for one in found])


def _leaves(routed: Routed) -> JsonObject | None:
    decision, cloud = routed.decision, routed.cloud
    at_once = decision.lane is Lane.CLOUD_ESCALATION
    if cloud is None or cloud.private or not (at_once or decision.fallback_target == cloud.target.name):
        return None
    return {
        "upstream": cloud.target.upstream,
        "model": cloud.target.model,
        "dialect": cloud.surface,
        "when": AT_ONCE if at_once else IF_NOT_HERE,
        "fallbacks": [name for name in routed.rulebook.policy.fallbacks if name != cloud.target.name],
    }


def _verification(routed: Routed) -> list[Json]:
    if routed.decision.lane not in (Lane.LOCAL_FAST, Lane.LOCAL_PRIVATE):
        return []
    workflow = routed.envelope.workflow
    named = [check.name for check in routed.rulebook.policy.verify if check.workflow in (None, workflow)]
    return [*contract_names(routed.chat), *named]


def _context(routed: Routed) -> Json:
    """Return what a cloud would not see of the request, null where it would see all."""
    reduced = routed.reduced
    return None if reduced is None else plain({**asdict(reduced.cut), "left_out": reduced.files})


def _sentence(decision: RouteDecision, leaves: JsonObject | None, redactions: Mapping[str, int]) -> str:
    """Return who answers, by which rule and why, and what leaves the user's machines."""
    nobody = decision.lane is Lane.NO_OP
    who = "Nobody answers" if nobody else f"{decision.selected_model_or_stack} answers"
    decided = f"{who} in lane {decision.lane} by rule {decision.rule}: {decision.local_reason}"
    return f"{decided}; {_told(leaves, redactions)}."


def _told(leaves: JsonObject | None, redactions: Mapping[str, int]) -> str:
    if leaves is None:
        return "nothing leaves your machines"
    masked = counted(redactions)
    how = f"with {masked} masked" if masked else "with nothing to mask"
    if leaves["when"] == AT_ONCE:
        return f"it leaves as {leaves['dialect']} {how}"
    return f"{IF_NOT_HERE}, it goes on to {leaves['upstream']}/{leaves['model']} {how}"


def counted(redactions: Mapping[str, int]) -> str:
    """Return how many values of which types are masked, empty where none are."""
    return ", ".join(f"{count} {kind}" for kind, count in redactions.items())


def plain(value: object) -> Json:
    """Return dataclasses, enums and times as plain JSON values; infinities become null."""
    result: Json = orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))
    return result
