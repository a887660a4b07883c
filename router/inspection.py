"""Masks a request and decides on it in bounded time; whatever fails on the way, a bug as well, goes no further.

A small request is masked at once: the built-in scan is linear. A long one, and any at which outside code looks, is
masked in one of a few threads, so that the daemon goes on serving others; where those are all stuck, it is refused.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final, TypeVar, cast

import orjson

from registry.errors import ModelBreederError, RedactionError
from router.chat import is_writable
from router.detector_process import ends_at
from router.exchange import Incoming
from router.given_names import with_plain_names
from router.redaction.redactor import Redaction, RuleRedactor
from router.redaction.spans import is_unbounded
from router.routed import Routed
from router.routing import Router

INSPECTION_S: Final = 20.0
"""Seconds that masking a request and deciding on it may take."""
AT_ONCE_BYTES: Final = 256 << 10
"""What is masked on the event loop is not longer; that takes some 40 ms."""
THREADS: Final = 2
_log = logging.getLogger("modelbreeder.router")
_T = TypeVar("_T")


class Inspectors:
    """A few threads that mask what could keep the event loop from others."""

    def __init__(self, limit_s: float = INSPECTION_S, threads: int = THREADS) -> None:
        self._limit_s = limit_s
        self._threads = threads
        self._places = asyncio.Semaphore(threads)
        self._pool: ThreadPoolExecutor | None = None
        self._stuck = 0
        """Threads that are busy for longer than they may be, whether or not anybody has waited for so long."""

    async def redacted(self, redactor: RuleRedactor, incoming: Incoming) -> Redaction:
        """Return a request masked; raise RedactionError where that fails or is not done in time, its client's too."""
        deadline_ms = incoming.hints.deadline_ms
        wait_s = None if deadline_ms is None else deadline_ms / 1000
        return await self.masked(redactor, partial(_redact, redactor, incoming), _size(incoming), wait_s)

    async def masked(
        self, redactor: RuleRedactor, work: Callable[[], _T], size_bytes: int, wait_s: float | None = None
    ) -> _T:
        """Return what comes of masking so much with a redactor's detectors; raise as `redacted` does.

        Whoever waits may wait no longer than `wait_s`, or leave: it goes on to its end, or to the limit.
        """
        outside = any(is_unbounded(one) for one in redactor.detectors)
        if not outside and size_bytes <= AT_ONCE_BYTES:
            return work()
        if self._stuck >= self._threads:
            raise RedactionError(
                "inspecting earlier requests has not ended yet, so this one reaches no cloud; try later"
            )
        began_s, wait_s = time.monotonic(), min(self._limit_s, self._limit_s if wait_s is None else wait_s)
        late = f"inspecting the request took {wait_s:g} s, so it reaches no cloud; send less"
        try:
            # Who waits here, and not in the pool's own line, takes its request along when it leaves.
            async with asyncio.timeout(wait_s):
                await self._places.acquire()
        except TimeoutError:
            raise RedactionError(late) from None
        waited = asyncio.wrap_future(self._begin(work, began_s + self._limit_s))
        try:
            done, _ = await asyncio.wait({waited}, timeout=max(0.0, began_s + wait_s - time.monotonic()))
            if done:
                return waited.result()
        finally:
            waited.cancel()
        raise RedactionError(late)

    def _begin(self, work: Callable[[], _T], until_s: float) -> Future[_T]:
        """Let a thread work, which has its place until it ends."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "inspector")
        context, loop = contextvars.copy_context(), asyncio.get_running_loop()
        context.run(ends_at.set, until_s)
        running = self._pool.submit(context.run, work)
        at_limit = loop.call_later(until_s - time.monotonic(), self._count_if_stuck, running, loop)

        def ended(_: Future[_T]) -> None:
            # The daemon may be over before its threads are.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._end, at_limit)

        running.add_done_callback(ended)
        return running

    def _end(self, at_limit: asyncio.TimerHandle) -> None:
        at_limit.cancel()
        self._places.release()

    def _count_if_stuck(self, running: Future[_T], loop: asyncio.AbstractEventLoop) -> None:
        if not running.done():
            self._stuck += 1
            running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free))

    def _free(self) -> None:
        self._stuck -= 1

    def close(self) -> None:
        """Let the threads end."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


async def inspected(
    router: Router,
    inspectors: Inspectors,
    incoming: Incoming,
    interaction_id: str,
    now: datetime,
    monotonic: Callable[[], float],
) -> Routed:
    """Decide on one request.

    Raises:
        RedactionError: it cannot be inspected, or not in time, so it may reach no cloud.
        ModelBreederError: it cannot be understood.

    """
    began_s, rulebook = monotonic(), router.rulebook
    try:
        incoming = with_plain_names(incoming, rulebook.redactor, router.names_key, router.is_configured)
        redaction = await inspectors.redacted(rulebook.redactor, incoming)
        # What was masked by rules that are no longer in force is masked again.
        routed = router.route(incoming, interaction_id, now, redaction if router.rulebook is rulebook else None)
    except ModelBreederError:
        raise
    except Exception as bug:  # the request boundary: it counts as a bug of the redactor, which fails closed
        _log.error("a request could not be routed", exc_info=bug)
        said = f"a bug of the router: {type(bug).__name__}; the request reaches no cloud; see its log"
        raise RedactionError(said) from bug
    took_s = monotonic() - began_s
    if took_s >= INSPECTION_S:
        raise RedactionError(f"inspecting the request took {took_s:.0f} s, so it reaches no cloud; send less")
    return routed


def _redact(redactor: RuleRedactor, incoming: Incoming) -> Redaction:
    redaction = redactor.redact(cast("dict[str, object]", incoming.request.body), sets_aside=True)
    if not is_writable(redaction.body):
        raise RedactionError("the request is nested too deeply to be recorded; send it flatter")
    return redaction


def _size(incoming: Incoming) -> int:
    """Return the length of a request in bytes, as its client says or as it would be written."""
    said = incoming.headers.get("content-length", "")
    return int(said) if said.isdecimal() else len(orjson.dumps(incoming.request.body))
