from __future__ import annotations

import json

import pytest

from registry import errors
from router.problems import (
    ForeignCallerError,
    InvalidRequestError,
    MediaTypeError,
    OverloadedError,
    ProblemType,
    TooLargeError,
    UnservedError,
    problem_of,
)
from router.upstream import UpstreamProblem, UpstreamStatusError, UpstreamTimeoutError


def answered(status: int, retry_after: str | None = None) -> UpstreamStatusError:
    return UpstreamStatusError("openai", status, b"", retry_after, UpstreamProblem("said", "t", "c", "p"))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidRequestError("x", "model"), 400, "invalid_request"),
        (TooLargeError("x"), 413, "invalid_request"),
        (MediaTypeError("x"), 415, "invalid_request"),
        (ForeignCallerError("x"), 403, "refused_by_policy"),
        (errors.RefusedError("x"), 403, "refused_by_policy"),
        (errors.RedactionError("x"), 503, "redaction_failed"),
        (errors.NotFoundError("x"), 404, "not_found"),
        (errors.ConflictError("x"), 409, "conflict"),
        (UnservedError("x"), 503, "no_backend"),
        (errors.EngineError("x"), 503, "local_engine_failed"),
        (errors.LedgerError("x"), 503, "ledger_unavailable"),
        (OverloadedError("x"), 503, "overloaded"),
        (errors.ConfigError("x"), 502, "not_configured"),
        (errors.UpstreamError("x"), 502, "upstream_failed"),
        (UpstreamTimeoutError("x"), 504, "upstream_timeout"),
        (answered(401), 502, "upstream_auth"),
        (answered(400), 400, "c"),
        (answered(429), 429, "c"),
        (answered(500), 502, "upstream_failed"),
        (answered(302), 502, "upstream_failed"),
        (errors.ArtifactError("x"), 500, "internal_error"),
    ],
)
def test_each_error_has_its_status_and_code(error: errors.ModelBreederError, status: int, code: str) -> None:
    problem = problem_of(error)

    assert (problem.status, problem.code) == (status, code)
    assert set(json.loads(problem.body)["error"]) == {"message", "type", "param", "code"}


def test_an_upstreams_words_about_the_request_pass_unchanged() -> None:
    assert json.loads(problem_of(answered(422)).body)["error"] == {
        "message": "said",
        "type": "t",
        "param": "p",
        "code": "c",
    }


def test_an_upstreams_wait_is_passed_on_and_pointless_retries_are_discouraged() -> None:
    assert problem_of(answered(429, "7")).headers == {"retry-after": "7"}
    assert problem_of(OverloadedError("x")).headers == {"retry-after": "1"}
    assert problem_of(errors.RefusedError("x")).headers == {"x-should-retry": "false"}
    assert problem_of(errors.RefusedError("x")).type == ProblemType.POLICY
