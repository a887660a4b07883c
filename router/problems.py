"""Every error that the HTTP surface can give, as OpenAI's envelope; the types come from this closed list.

One function maps the error tree to the wire; nothing else decides on a status.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import orjson

from registry.errors import (
    ConflictError,
    DataError,
    EngineError,
    LedgerError,
    ModelBreederError,
    NotFoundError,
    RedactionError,
    RefusedError,
    UpstreamError,
)

PASSED_ON_STATUS = frozenset({400, 403, 404, 409, 413, 422, 429})


class ProblemType(StrEnum):
    """What kind of error a client met."""

    INVALID_REQUEST = "invalid_request_error"
    NOT_FOUND = "not_found_error"
    POLICY = "policy_error"
    CONFLICT = "conflict_error"
    RATE_LIMIT = "rate_limit_error"
    UPSTREAM = "upstream_error"
    UNAVAILABLE = "unavailable_error"
    OVERLOADED = "overloaded_error"
    TIMEOUT = "timeout_error"
    SERVER = "server_error"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error answer; `retryable` False asks SDKs not to try again."""

    status: int
    type: ProblemType
    message: str
    code: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
    retryable: bool = False

    @property
    def body(self) -> bytes:
        """OpenAI's error envelope."""
        return orjson.dumps(
            {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}
        )

    @property
    def headers(self) -> dict[str, str]:
        """What SDKs read to decide on a retry."""
        wait = {} if self.retry_after_s is None else {"retry-after": f"{self.retry_after_s:g}"}
        return wait if self.retryable else {**wait, "x-should-retry": "false"}


class InvalidRequestError(DataError):
    """A request that cannot be understood; `param` names the offending field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class OverloadedError(ModelBreederError):
    """More requests are in flight than the daemon takes."""

    exit_code = 75


def problem_of(error: ModelBreederError) -> Problem:
    """Map an error of the tree to its answer."""
    text = str(error)
    match error:
        case InvalidRequestError():
            return Problem(400, ProblemType.INVALID_REQUEST, text, "invalid_request", error.param)
        case UpstreamError():
            return _upstream_problem(error)
        case OverloadedError():
            return Problem(503, ProblemType.OVERLOADED, text, "overloaded", retry_after_s=1, retryable=True)
        case RedactionError():
            return Problem(503, ProblemType.POLICY, text, "redaction_failed")
        case EngineError():
            return Problem(503, ProblemType.UNAVAILABLE, text, "local_engine_failed")
        case LedgerError():
            return Problem(503, ProblemType.UNAVAILABLE, text, "ledger_unavailable", retryable=True)
        case RefusedError():
            return Problem(403, ProblemType.POLICY, text, "refused_by_policy")
        case NotFoundError():
            return Problem(404, ProblemType.NOT_FOUND, text, "not_found")
        case ConflictError():
            return Problem(409, ProblemType.CONFLICT, text, "conflict")
        case _:
            return Problem(500, ProblemType.SERVER, text, "internal_error")


def _upstream_problem(error: UpstreamError) -> Problem:
    """Say what an upstream's failure means to the client; its own 401 is about our key, not the caller's."""
    text = str(error)
    if error.status == 401:
        return Problem(502, ProblemType.UPSTREAM, text, "upstream_auth")
    if error.status == 429:
        return Problem(429, ProblemType.RATE_LIMIT, text, "upstream_rate_limit", retryable=True)
    if error.status in PASSED_ON_STATUS:
        return Problem(error.status, ProblemType.UPSTREAM, text, "upstream_rejected")
    return Problem(502, ProblemType.UPSTREAM, text, "upstream_failed")


def unknown_path(path: str) -> Problem:
    """Answer a path that the daemon does not serve."""
    return Problem(404, ProblemType.NOT_FOUND, f"no such path: {path}; see /v1/models", "unknown_url")
