"""Which interaction the running code serves, so that a log line can name it and nothing else of a request."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from registry.entities import Event, Intent


@dataclass(slots=True)
class _Trace:
    """What is known of one request; a task that serves it shares this with the one that began it."""

    interaction_id: str = ""


_TRACE: ContextVar[_Trace | None] = ContextVar("modelbreeder_trace", default=None)


class Traced:
    """An application whose requests can be named in the log from where their intent is recorded."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        _TRACE.set(_Trace())
        await self._app(scope, receive, send)


def trace(events: Iterable[Event]) -> None:
    """Note the interaction that begins with these events; of a second attempt the later one stays."""
    found = _TRACE.get()
    if found is not None:
        for event in events:
            if isinstance(event, Intent):
                found.interaction_id = event.interaction_id


def traced_interaction() -> str:
    """Return the id of the interaction that this code serves, empty where it serves none."""
    found = _TRACE.get()
    return found.interaction_id if found is not None else ""
