"""What router and breeder ask of an engine, and what it answers; the real one and the fakes implement `Engine`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

from typing_extensions import override

from registry.errors import ArtifactError, EngineError

MAX_GRAMMAR_CHARS = 1 << 17
MAX_GRAMMAR_RULES = 4000
"""llama.cpp's parser recurses: it was seen to overflow its stack at 100,000 rules or brackets, not at 5,000."""


class RefusalKind(StrEnum):
    """Why the engine did not start on a request."""

    INVALID = "invalid_request"
    CONTEXT = "context_overflow"
    TEMPLATE = "chat_template"
    ADAPTER = "adapter_unfit"
    GRAMMAR = "grammar"


class EngineRequestError(EngineError):
    """The request cannot be decoded as it is; the engine is well and `kind` says what to change."""

    def __init__(self, kind: RefusalKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @override
    def __reduce__(self) -> tuple[type[EngineRequestError], tuple[RefusalKind, str]]:
        """Keep the error picklable although its arguments are not its message."""
        return type(self), (self.kind, str(self))


class EngineFileError(ArtifactError, EngineError):
    """A GGUF file cannot be used: unreadable, damaged, or an adapter for another base."""


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One answer to decode; temperature 0 is greedy, `adapter` None is the bare base.

    `grammar` is GBNF with a rule `root` that the whole answer follows, unless a stop text or `max_tokens` cuts it;
    empty leaves the answer free.
    """

    messages: tuple[Message, ...]
    max_tokens: int
    adapter: Path | None = None
    temperature: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    grammar: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """One decoded token: the text that it made certain (often empty) and its natural log-probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer. Counts and mean cover every decoded token, the one that ends the answer included.

    `mean_logprob` is NaN where no token was decoded. Log-probabilities are the model's own, before temperature and
    grammar: an answer that the grammar forced on a model that wanted another one is a weak answer.
    """

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    mean_logprob: float


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """What a running engine serves: tokens of context, vocabulary size, and the build that decodes."""

    context: int
    vocabulary: int
    build: str


Answer: TypeAlias = AsyncGenerator[Piece | Done, None]


class Engine(Protocol):
    """Decodes chats, one piece a token."""

    def generate(self, request: GenerateRequest) -> Answer:
        """Yield the pieces of one answer, then one `Done`; closing the generator cancels the decoding.

        Raises:
            EngineRequestError: the request does not fit the engine; nothing was decoded.
            EngineFileError: the base or the adapter cannot be used.
            EngineError: the engine died or failed; pieces may have been yielded before.
        """
        ...
