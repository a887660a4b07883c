"""What a turn is given and where its answer goes; the HTTP surface and the command line each have a Wire."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from registry.errors import ModelBreederError
from registry.tokens import Client
from router.dialects.protocol import Dialect, Request
from router.hints import Hints


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request in its dialect, with its hints; header names are lower case."""

    dialect: Dialect
    request: Request
    hints: Hints
    headers: Mapping[str, str]
    """What its client sent beside it, but no credentials."""
    client: Client = field(default_factory=Client)


class Wire(Protocol):
    """The client's end. A turn gives one whole answer, or begins a stream, writes frames and ends it."""

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        ...

    async def answer(self, headers: Mapping[str, str], body: bytes) -> None:
        """Give a whole answer."""
        ...

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Begin a stream."""
        ...

    async def write(self, frame: bytes) -> None:
        """Send one frame of a stream."""
        ...

    async def end(self) -> None:
        """End a stream that is whole; one that is not is never ended, so that no client takes it for success."""
        ...


class CutStreamError(ModelBreederError):
    """A stream broke after its first frame; its error frame is written, and it must not be ended."""


class TurnError(ModelBreederError):
    """A turn failed after it was routed: the cause, and the headers that tell the client how it was routed."""

    def __init__(self, cause: ModelBreederError, headers: Mapping[str, str]) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.headers = headers


class CollectingWire:
    """A wire into memory, for a caller in the same process."""

    def __init__(self) -> None:
        self.gone = False
        self.headers: Mapping[str, str] = {}
        self.body = b""
        self.frames: list[bytes] = []
        self.ended = False

    async def answer(self, headers: Mapping[str, str], body: bytes) -> None:
        """Keep a whole answer."""
        self.headers, self.body, self.ended = headers, body, True

    async def begin(self, headers: Mapping[str, str]) -> None:
        """Keep the headers of a stream."""
        self.headers = headers

    async def write(self, frame: bytes) -> None:
        """Keep one frame."""
        self.frames.append(frame)

    async def end(self) -> None:
        """Note that the stream is whole."""
        self.ended = True
