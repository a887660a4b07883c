"""A decision as `explain` shows it: lane, rule, reason, candidates, and what would be masked; nothing is sent."""

from __future__ import annotations

import orjson

from registry.entities import Json
from router.chat import JsonObject, parse_object
from router.dialects.chat import Chat
from router.dialects.protocol import Request
from router.problems import InvalidRequestError
from router.routing import Routed


def parse_question(raw: bytes) -> Request:
    """Read what to explain: a chat request, or `{"text", "workflow"?, "model"?}`."""
    body = parse_object(raw)
    if "messages" in body:
        return Chat().read(raw)
    text, workflow = body.get("text"), body.get("workflow")
    if not isinstance(text, str):
        raise InvalidRequestError("send a chat request, or an object with 'text'", "text")
    return text_request(text, None if workflow is None else str(workflow), str(body.get("model") or "auto"))


def text_request(text: str, workflow: str | None, model: str = "auto") -> Request:
    """Return a chat request of one turn of text."""
    body: JsonObject = {"model": model, "messages": [{"role": "user", "content": text}]}
    if workflow is not None:
        body["metadata"] = {"workflow": workflow}
    return Request(body, model, stream=False, wants_usage=False)


def explanation(routed: Routed) -> JsonObject:
    """Return a decision as JSON."""
    return {
        "decision": plain(routed.decision),
        "envelope": plain(routed.envelope),
        "redactions": dict(routed.redaction.counts),
        "request_sent": plain(routed.masked) if routed.decision.redaction_required else None,
    }


def plain(value: object) -> Json:
    """Return dataclasses, enums and times as plain JSON values; infinities become null."""
    result: Json = orjson.loads(orjson.dumps(value, option=orjson.OPT_UTC_Z))
    return result
