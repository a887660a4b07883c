"""The dialects that this router speaks: by the names that the ledger keeps, and by the paths that clients ask."""

from __future__ import annotations

from registry.errors import NotFoundError
from router.dialects.chat import Chat
from router.dialects.completions import Completions
from router.dialects.embeddings import Embeddings
from router.dialects.messages.dialect import Messages
from router.dialects.protocol import Dialect
from router.dialects.responses.dialect import Responses


def dialect_of(surface: str) -> Dialect:
    """Return the dialect of a surface; raise NotFoundError for a surface that no dialect has."""
    for dialect in dialects():
        if dialect.surface == surface:
            return dialect
    raise NotFoundError(f"no dialect {surface!r}; this ledger is from a newer ModelBreeder")


def dialect_at(path: str) -> Dialect:
    """Return the dialect in which a path's errors are told: OpenAI's, except below Anthropic's own path."""
    return next((dialect for dialect in dialects() if path.startswith(f"/v1{dialect.path}")), Chat())


def dialects() -> tuple[Dialect, ...]:
    """Return one of each."""
    return (Chat(), Responses(), Messages(), Completions(), Embeddings())
