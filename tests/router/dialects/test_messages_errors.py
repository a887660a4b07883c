from __future__ import annotations

import json

import pytest

from router.dialects.messages.dialect import Messages
from router.problems import InvalidRequestError, OverloadedError, Problem, ProblemType, TooLargeError, problem_of


@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, ProblemType.INVALID_REQUEST, "invalid_request_error"),
        (401, "invalid_api_key", "authentication_error"),
        (403, ProblemType.POLICY, "permission_error"),
        (404, ProblemType.NOT_FOUND, "not_found_error"),
        (409, ProblemType.CONFLICT, "invalid_request_error"),
        (413, ProblemType.INVALID_REQUEST, "request_too_large"),
        (429, "insufficient_quota", "rate_limit_error"),
        (500, ProblemType.SERVER, "api_error"),
        (502, ProblemType.UPSTREAM, "api_error"),
        (503, ProblemType.POLICY, "api_error"),
        (503, ProblemType.UNAVAILABLE, "api_error"),
        (504, ProblemType.TIMEOUT, "timeout_error"),
        (529, "overloaded_error", "overloaded_error"),
        (400, "billing_error", "billing_error"),
    ],
)
def test_types_are_of_anthropics_list(status: int, kind: str, expected: str) -> None:
    body = json.loads(Messages().error(Problem(status, kind, "because"), "req_1"))

    assert body == {"type": "error", "error": {"type": expected, "message": "because"}, "request_id": "req_1"}


def test_an_overloaded_router_answers_529() -> None:
    assert Messages().error_status(problem_of(OverloadedError("too much"))) == 529
    assert Messages().error_status(problem_of(InvalidRequestError("no", "model"))) == 400
    assert json.loads(Messages().error(problem_of(TooLargeError("no")), "r"))["error"]["type"] == "request_too_large"


def test_a_stream_breaks_off_with_an_error_event() -> None:
    frame = Messages().error_frame(Problem(502, ProblemType.UPSTREAM, "line one\nline two"))

    assert frame == (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"line one\\nline two"}}\n\n'
    )
