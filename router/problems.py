"""Every error that the HTTP surface can give, as OpenAI's envelope; the types come from this closed list.

One function maps the error tree to the wire; nothing else decides on a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import ClassVar

import orjson

from registry.errors import (
    ConfigError,
    ConflictError,
    DataError,
    EngineError,
    LedgerError,
    ModelBreederError,
    NotFoundError,
    RedactionError,
    RefusedError,
    UnknownModelError,
    UpstreamError,
)
from router.upstream import NotAskedError, UpstreamStatusError, UpstreamTimeoutError

PASSED_ON_STATUS = frozenset({400, 403, 404, 409, 413, 422, 429})


class ProblemType(StrEnum):
    """What kind of error a client met."""

    INVALID_REQUEST = "invalid_request_error"
    AUTHENTICATION = "authentication_error"
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
    """One error answer; `retryable` False asks SDKs not to try again, `type` is ours or an upstream's own."""

    status: int
    type: str
    message: str
    code: str | None = None
    param: str | None = None
    retry_after: str | None = None
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
        wait = {} if self.retry_after is None else {"retry-after": self.retry_after}
        return wait if self.retryable else {**wait, "x-should-retry": "false"}


class InvalidRequestError(DataError):
    """A request that cannot be understood; `param` names the offending field."""

    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class TooLargeError(InvalidRequestError):
    """A request longer than the daemon takes."""

    status: ClassVar[HTTPStatus] = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class MediaTypeError(InvalidRequestError):
    """A request that is not declared as JSON."""

    status: ClassVar[HTTPStatus] = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ForeignCallerError(RefusedError):
    """A request that a foreign web page or host name brought here."""


class UnauthenticatedError(RefusedError):
    """A request without the token that it needs."""


class UnservedError(EngineError):
    """Policy allows a lane for this task, but nothing there can serve it."""


class DeadlineError(EngineError):
    """The client's deadline passed while its answer was made, or verified, on this machine."""


class OverloadedError(ModelBreederError):
    """More requests are in flight than the daemon takes."""

    exit_code = 75


# The first class that an error belongs to decides.
_ANSWERS: Mapping[type[ModelBreederError], tuple[HTTPStatus, ProblemType, str]] = {
    ConfigError: (HTTPStatus.BAD_GATEWAY, ProblemType.UPSTREAM, "not_configured"),
    RedactionError: (HTTPStatus.SERVICE_UNAVAILABLE, ProblemType.POLICY, "redaction_failed"),
    UnservedError: (HTTPStatus.SERVICE_UNAVAILABLE, ProblemType.UNAVAILABLE, "no_backend"),
    DeadlineError: (HTTPStatus.GATEWAY_TIMEOUT, ProblemType.TIMEOUT, "deadline_passed"),
    EngineError: (HTTPStatus.SERVICE_UNAVAILABLE, ProblemType.UNAVAILABLE, "local_engine_failed"),
    UnauthenticatedError: (HTTPStatus.UNAUTHORIZED, ProblemType.AUTHENTICATION, "invalid_api_key"),
    RefusedError: (HTTPStatus.FORBIDDEN, ProblemType.POLICY, "refused_by_policy"),
    UnknownModelError: (HTTPStatus.NOT_FOUND, ProblemType.NOT_FOUND, "model_not_found"),
    NotFoundError: (HTTPStatus.NOT_FOUND, ProblemType.NOT_FOUND, "not_found"),
    ConflictError: (HTTPStatus.CONFLICT, ProblemType.CONFLICT, "conflict"),
    ModelBreederError: (HTTPStatus.INTERNAL_SERVER_ERROR, ProblemType.SERVER, "internal_error"),
}


def problem_of(error: ModelBreederError) -> Problem:
    """Map an error of the tree to its answer."""
    text = str(error)
    match error:
        case UpstreamError():
            return _upstream_problem(error)
        case InvalidRequestError():
            return Problem(error.status, ProblemType.INVALID_REQUEST, text, "invalid_request", error.param)
        case OverloadedError():
            busy = HTTPStatus.SERVICE_UNAVAILABLE
            return Problem(busy, ProblemType.OVERLOADED, text, "overloaded", retry_after="1", retryable=True)
        case LedgerError():
            down = HTTPStatus.SERVICE_UNAVAILABLE
            return Problem(down, ProblemType.UNAVAILABLE, text, "ledger_unavailable", retryable=True)
        case _:
            status, kind, code = next(answer for known, answer in _ANSWERS.items() if isinstance(error, known))
            return Problem(status, kind, text, code)


def _upstream_problem(error: UpstreamError) -> Problem:
    """Say what an upstream's failure means to the client; its own 401 is about our key, not the caller's."""
    text = error.shown if isinstance(error, UpstreamStatusError) else str(error)
    if isinstance(error, NotAskedError) and error.status is not None:
        unasked = ProblemType.RATE_LIMIT if error.status == HTTPStatus.TOO_MANY_REQUESTS else ProblemType.UNAVAILABLE
        return Problem(error.status, unasked, text, "upstream_rests", retry_after=error.retry_after, retryable=True)
    if isinstance(error, UpstreamTimeoutError):
        return Problem(HTTPStatus.GATEWAY_TIMEOUT, ProblemType.TIMEOUT, text, "upstream_timeout")
    if error.status == HTTPStatus.UNAUTHORIZED:
        return Problem(HTTPStatus.BAD_GATEWAY, ProblemType.UPSTREAM, text, "upstream_auth")
    if not isinstance(error, UpstreamStatusError) or error.status not in PASSED_ON_STATUS:
        return Problem(HTTPStatus.BAD_GATEWAY, ProblemType.UPSTREAM, text, "upstream_failed")
    said, limited = error.said, error.status == HTTPStatus.TOO_MANY_REQUESTS
    kind = said.type or (ProblemType.RATE_LIMIT if limited else ProblemType.INVALID_REQUEST)
    code = said.code or ("upstream_rate_limit" if limited else "upstream_rejected")
    return Problem(error.status, kind, said.message, code, said.param, error.retry_after, retryable=limited)


def unknown_path(path: str) -> Problem:
    """Answer a path that the daemon does not serve."""
    return Problem(404, ProblemType.NOT_FOUND, f"no such path: {path}; see /v1/models", "unknown_url")
