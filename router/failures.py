"""What went wrong at an upstream in one word, by which retries, rests and fallbacks are decided. Pure.

OpenAI, Anthropic, llama-server and vLLM have words of their own for a prompt that is too long or not wanted; they are
known here alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus

from registry.errors import ConfigError, ModelBreederError
from router.upstream import NotAskedError, UnreachableError, UpstreamProblem, UpstreamStatusError, UpstreamTimeoutError


class FailureKind(StrEnum):
    """Why an upstream gave no answer."""

    UNREACHABLE = "unreachable"
    """No connection, or one that broke before a byte of an answer."""
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER = "server"
    AUTH = "auth"
    """Our key or account is refused, or not set."""
    REQUEST = "request"
    """The request, or the address that it was sent to, is refused."""
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    TRUNCATED = "truncated"
    """An answer began that broke off or cannot be read."""


PASSING = frozenset({
    FailureKind.UNREACHABLE,
    FailureKind.TIMEOUT,
    FailureKind.RATE_LIMITED,
    FailureKind.OVERLOADED,
    FailureKind.SERVER,
    FailureKind.TRUNCATED,
})  # fmt: skip
"""What says that the upstream is unwell, rather than that the request or our account is wrong."""

_TOO_LONG_NAMES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_TOO_LONG = re.compile(
    r"prompt is too long|maximum (?:context|model) length|exceed.{0,60}\bcontext\b|\bcontext\b.{0,60}exceed",
    re.IGNORECASE,
)
_UNWANTED_NAMES = frozenset({"content_policy_violation", "content_filter", "moderation_blocked"})
_UNWANTED = re.compile(r"content (?:filter|(?:management |filtering )?policy)|usage polic(?:y|ies)", re.IGNORECASE)
# llama-server said 500 of a prompt that is too long before it said 400.
_MAY_BE_ABOUT_PROMPT = frozenset({400, 403, 413, 422, 500})
_BY_STATUS: Mapping[int, FailureKind] = {
    401: FailureKind.AUTH,
    402: FailureKind.AUTH,
    403: FailureKind.AUTH,
    408: FailureKind.TIMEOUT,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}


def kind_of(error: ModelBreederError) -> FailureKind:
    """Return what kind of failure an error of asking an upstream is."""
    match error:
        case UnreachableError():
            return FailureKind.UNREACHABLE
        case UpstreamTimeoutError():
            return FailureKind.TIMEOUT
        case NotAskedError() | UpstreamStatusError() if error.status is not None:
            return kind_of_status(error.status, error.said if isinstance(error, UpstreamStatusError) else None)
        case ConfigError():
            return FailureKind.AUTH
        case _:
            return FailureKind.TRUNCATED


def kind_of_status(status: int, said: UpstreamProblem | None = None) -> FailureKind:
    """Return what kind of failure an answer of any status but 2xx is; `said` tells why a prompt was refused."""
    about_prompt = _about_prompt(said) if said is not None and status in _MAY_BE_ABOUT_PROMPT else None
    failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return about_prompt or _BY_STATUS.get(status, FailureKind.SERVER if failed else FailureKind.REQUEST)


def _about_prompt(said: UpstreamProblem) -> FailureKind | None:
    names = {said.code, said.type}
    if names & _TOO_LONG_NAMES or _TOO_LONG.search(said.message):
        return FailureKind.CONTEXT_LENGTH
    if names & _UNWANTED_NAMES or _UNWANTED.search(said.message):
        return FailureKind.CONTENT_POLICY
    return None
