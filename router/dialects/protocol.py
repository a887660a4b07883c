"""What a wire format must be able to do. The hub between any two formats is OpenAI's chat form, whole or in chunks.

Where client and upstream speak the same dialect their bytes pass and only `Passage` looks at them; everywhere else a
request goes `to_chat` and `from_chat`, and an answer goes through a `Decoder` and an `Encoder`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from registry.entities import Usage
from router.chat import JsonObject
from router.problems import Problem
from router.redaction.masking import Masker


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; unknown fields stay in `body` and pass to an upstream of the same dialect."""

    body: JsonObject
    model: str
    stream: bool
    wants_usage: bool
    """Whether the client asked for token counts in a stream; always, where the dialect has no choice."""


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What an answer says of itself: the interaction that made it, the model that the client named, when."""

    interaction_id: str
    model: str
    at: datetime


class Decoder(Protocol):
    """Reads one upstream stream, event by event, into chat completion chunks."""

    @property
    def ended(self) -> bool:
        """Whether the mark of a whole answer has come; a stream that ends before is truncated."""
        ...

    def feed(self, data: bytes) -> list[JsonObject]:
        """Return the chunks that one event's data makes, often one, for a ping none.

        Tool arguments come out as the upstream's own text, byte for byte.

        Raises:
            UpstreamError: the event is no JSON object, or the upstream's own error.

        """
        ...


class Encoder(Protocol):
    """Writes one stream for a client from chat completion chunks; frames are whole server-sent events."""

    def feed(self, chunk: JsonObject) -> bytes:
        """Return the frames for one chunk, empty where there is nothing to say yet."""
        ...

    def finish(self, usage: Usage | None) -> bytes:
        """Return the frames that end a whole answer; never called for one that broke off."""
        ...


class Passage(Protocol):
    """One stream that passes in its own dialect: values put back, a copy for the ledger as chat chunks."""

    @property
    def ended(self) -> bool:
        """Whether the mark of a whole answer has come; its frame is held back until `finish`."""
        ...

    def forward(self, data: bytes) -> tuple[bytes, list[JsonObject]]:
        """Return the frames for the client, the event unchanged where nothing was put back, and its chat chunks.

        Raises:
            UpstreamError: as `Decoder.feed`.

        """
        ...

    def finish(self) -> bytes:
        """Return the frames of the end mark, as the upstream sent it."""
        ...


class Dialect(Protocol):
    """One wire format. All methods are pure."""

    @property
    def surface(self) -> str:
        """What the ledger calls it: `openai.chat`, `openai.responses`, `anthropic.messages`."""
        ...

    @property
    def path(self) -> str:
        """The path below an upstream's base URL."""
        ...

    @property
    def ping(self) -> bytes:
        """The frame that says of a silent stream that it goes on."""
        ...

    def read(self, raw: bytes) -> Request:
        """Read a request body.

        Raises:
            InvalidRequestError: it is not JSON, or a field that routing or translation needs is missing or wrong.

        """
        ...

    def to_chat(self, body: JsonObject) -> JsonObject:
        """Return a request that `read` took in the chat form; what chat cannot say is left out, nothing invented."""
        ...

    def from_chat(self, body: JsonObject) -> JsonObject:
        """Return a chat request in this form, for an upstream that speaks it."""
        ...

    def outgoing(self, body: JsonObject, model: str) -> JsonObject:
        """Return a request of this dialect as its upstream gets it: model named, our hints gone, usage asked for."""
        ...

    def answer_to_chat(self, answer: JsonObject) -> JsonObject:
        """Return a whole answer as a chat completion; raise UpstreamError where it is none of this dialect."""
        ...

    def answer_from_chat(self, completion: JsonObject, facts: AnswerFacts, request: JsonObject) -> JsonObject:
        """Return a chat completion as this dialect answers `request`, which is in this dialect too."""
        ...

    def decoder(self) -> Decoder:
        """Return a reader of one stream."""
        ...

    def encoder(self, facts: AnswerFacts, request: Request) -> Encoder:
        """Return a writer of one stream."""
        ...

    def passage(self, masker: Masker | None, request: Request) -> Passage:
        """Return the way of a stream that stays in this dialect; no masker where nothing has to be put back."""
        ...

    def error(self, problem: Problem, request_id: str) -> bytes:
        """Return the body of an error answer."""
        ...

    def error_frame(self, problem: Problem) -> bytes:
        """Return the frame that says why a stream breaks off; the connection is cut behind it."""
        ...

    def error_status(self, problem: Problem) -> int:
        """Return the HTTP status of an error answer, which dialects do not all agree on (529 for overloaded)."""
        ...

    def upstream_headers(self, client: Mapping[str, str]) -> dict[str, str]:
        """Return which of the client's headers (lower case) an upstream of the same dialect is given."""
        ...
