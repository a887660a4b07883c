"""The dialects that this router speaks: by the names that the ledger keeps, and by the paths that clients ask."""

from __future__ import annotations

from registry.errors import NotFoundError
from router.dialects.chat import Chat
from router.dialects.protocol import Dialect


def dialect_of(surface: str) -> Dialect:
    """Return the dialect of a surface; raise NotFoundError for a surface that no dialect has."""
    for dialect in _dialects():
        if dialect.surface == surface:
            return dialect
    raise NotFoundError(f"no dialect {surface!r}; this ledger is from a newer ModelBreeder")


def dialect_at(path: str) -> Dialect:
    """Return the dialect in which a path's errors are told: OpenAI's, except below Anthropic's own path."""
    return next((dialect for dialect in _dialects() if path.startswith(f"/v1{dialect.path}")), Chat())


def _dialects() -> tuple[Dialect, ...]:
    return (Chat(),)
