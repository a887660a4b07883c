"""Every error in Anthropic's envelope; its types come from Anthropic's closed list."""

from __future__ import annotations

from http import HTTPStatus

import orjson

from router.chat import JsonObject
from router.dialects.messages.wire import frame
from router.problems import Problem

OVERLOADED = 529
"""Anthropic's own status for a server that is too busy."""

_SERVER = "api_error"
_TYPES = frozenset(
    {
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "timeout_error",
        "overloaded_error",
        _SERVER,
    }
)
# Where the type is ours or another vendor's, the status says what it was.
_BY_STATUS = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.PAYMENT_REQUIRED: "billing_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.NOT_FOUND: "not_found_error",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "request_too_large",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
    HTTPStatus.GATEWAY_TIMEOUT: "timeout_error",
    OVERLOADED: "overloaded_error",
}


def error_type(problem: Problem) -> str:
    """Return a problem's type of the closed list."""
    if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "request_too_large"
    if problem.type in _TYPES:
        return str(problem.type)
    other = _SERVER if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return _BY_STATUS.get(problem.status, other)


def error_body(problem: Problem, request_id: str) -> bytes:
    """Return the body of an error answer."""
    return orjson.dumps({**_envelope(problem), "request_id": request_id})


def error_frame(problem: Problem) -> bytes:
    """Return the event that says why a stream breaks off."""
    return frame("error", orjson.dumps(_envelope(problem)))


def error_status(problem: Problem) -> int:
    """Return the status of an error answer."""
    return OVERLOADED if error_type(problem) == "overloaded_error" else int(problem.status)


def _envelope(problem: Problem) -> JsonObject:
    return {"type": "error", "error": {"type": error_type(problem), "message": problem.message}}
