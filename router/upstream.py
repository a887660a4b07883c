"""The outside world as the router asks it: one call to a model server, its answer, and how either fails."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from registry.errors import UpstreamError


class UnreachableError(UpstreamError):
    """The upstream could not be asked, or broke the connection before it answered a byte."""


class UpstreamTimeoutError(UpstreamError):
    """The upstream did not answer within its time."""


class NotAskedError(UpstreamError):
    """The upstream was not asked, as it rests or has no free place; `status` is what the client gets, 429 or 503."""

    def __init__(self, message: str, status: int, retry_after_s: float) -> None:
        super().__init__(message, status=status)
        self.retry_after = str(max(1, math.ceil(retry_after_s)))


@dataclass(frozen=True, slots=True)
class UpstreamProblem:
    """What an upstream's error body says."""

    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None


class UpstreamStatusError(UpstreamError):
    """The upstream answered with an error status; its text is what the upstream said, `shown` what the client gets.

    The two differ where values were masked: `restored` is the upstream's message with them put back.
    """

    def __init__(
        self,
        name: str,
        status: int,
        body: bytes,
        retry_after: str | None,
        said: UpstreamProblem,
        restored: str | None = None,
    ) -> None:
        answered = f"upstream {name!r} answered {status}"
        super().__init__(f"{answered}: {said.message}", status=status, body=body)
        self.retry_after = retry_after
        self.said = said if restored is None else replace(said, message=restored)
        self.shown = f"{answered}: {self.said.message}"

    @property
    def is_about_the_request(self) -> bool:
        """Whether another model would have to be asked something else: the request itself was refused."""
        return self.status in (400, 404, 409, 413, 422)


@dataclass(frozen=True, slots=True)
class CloudRequest:
    """One POST, path below the upstream's base URL; `timeout_s` is for the whole of it."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    timeout_s: float
    stream: bool = False


class CloudReply(Protocol):
    """An answer whose status has arrived and whose body has not."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers, names in lower case."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raise UpstreamError where it breaks off."""
        ...

    def close(self) -> None:
        """Drop the connection unless the body was read to its end."""
        ...


class Cloud(Protocol):
    """A model server that can be asked."""

    async def open(self, request: CloudRequest) -> CloudReply:
        """Send a request once and return when the status line is there.

        Raises:
            UpstreamError: no answer; UnreachableError where no byte of one came.
            ConfigError: the key's environment variable is not set.

        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
