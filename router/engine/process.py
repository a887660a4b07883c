"""The supervisor of the local engine: starts the child when first asked, restarts it when it dies."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from registry.errors import EngineError
from router.engine.child import ChildSettings, EngineChild, start_child
from router.engine.client import EngineClient, EngineUnreachableError
from router.engine.protocol import Answer, EngineFileError, EngineHealth, EngineRequestError, GenerateRequest, Message

MAX_DEATHS = 3
WINDOW_S = 300.0
FIRST_PAUSE_S = 0.1
DEATH_NOTICE_S = 1.0
"""How long a broken connection waits for the news that the process has ended."""

_ResultT = TypeVar("_ResultT")


def restart_pause_s(deaths: Sequence[float], now: float) -> float:
    """Return how long to wait before the next start: nothing, then longer with each recent death.

    `deaths` and `now` are seconds on one monotonic clock.

    Raises:
        EngineError: three deaths in five minutes; the message says when the next start is allowed.
    """
    recent = [at for at in deaths if now - at < WINDOW_S]
    if len(recent) >= MAX_DEATHS:
        rest = recent[-MAX_DEATHS] + WINDOW_S - now
        raise EngineError(f"the engine died {len(recent)} times in {WINDOW_S:.0f} s and rests for {rest:.0f} s")
    if not recent:
        return 0.0
    return max(0.0, recent[-1] + FIRST_PAUSE_S * 10.0 ** (len(recent) - 1) - now)


class EngineProcess:
    """A local engine over one base GGUF; an async context manager.

    Requests may come from many tasks of one event loop; the child answers them one after another.
    """

    def __init__(
        self,
        base: Path,
        *,
        socket_dir: Path,
        threads: int,
        context: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = ChildSettings(base, socket_dir, threads, context)
        self._clock = clock
        self._child: EngineChild | None = None
        self._starting: asyncio.Task[EngineChild] | None = None
        self.deaths = 0
        self._deaths: list[float] = []
        self._last_words = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def pid(self) -> int | None:
        """The process id of the child, None while there is none."""
        return self._child.pid if self._child else None

    async def start(self) -> None:
        """Start the child and wait until it serves; nothing where it runs already.

        Raises:
            EngineFileError: the base cannot be used.
            EngineError: the child cannot start, or has died too often.
        """
        await self._running()

    async def stop(self) -> None:
        """End the child."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        child, self._child = self._child, None
        if child is not None:
            await child.stop()

    async def health(self) -> EngineHealth:
        """Return what the engine serves."""
        return await self._ask(lambda client: client.health())

    async def tokenize(self, content: str | Sequence[Message]) -> list[int]:
        """Return the token ids of a text, or of a chat as `generate` would decode it."""
        return await self._ask(lambda client: client.tokenize(content))

    async def logits(
        self, tokens: Sequence[int], adapter: Path | None = None, *, every: bool = False
    ) -> NDArray[np.float32]:
        """Return the logits (1, vocabulary) after the last token, or (n, vocabulary) after every one."""
        return await self._ask(lambda client: client.logits(tokens, adapter, every=every))

    async def generate(self, request: GenerateRequest) -> Answer:
        """Yield the pieces of one answer, then one Done; see `Engine.generate`."""
        for again in (True, False):
            child = await self._running()
            try:
                async with self._mourning(child), aclosing(child.client.generate(request)) as answer:
                    async for item in answer:
                        yield item
            except EngineUnreachableError:
                if child is self._child or not again:
                    raise
            else:
                return

    async def _ask(self, question: Callable[[EngineClient], Awaitable[_ResultT]], *, again: bool = True) -> _ResultT:
        child = await self._running()
        try:
            async with self._mourning(child):
                return await question(child.client)
        except EngineUnreachableError:
            if child is self._child or not again:
                raise
        return await self._ask(question, again=False)

    async def _running(self) -> EngineChild:
        if self._child is not None and self._child.exit_code is not None:
            await self._bury(self._child)
        if self._child is not None:
            return self._child
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start_child())
        # A caller who gives up must not end a start that others wait for, or that the next one needs.
        return await asyncio.shield(self._starting)

    async def _start_child(self) -> EngineChild:
        await asyncio.sleep(self._pause_s())
        child = await start_child(self._settings, os.environ)
        try:
            await child.ready()
        except BaseException as error:
            await child.stop()
            if isinstance(error, EngineError) and not isinstance(error, EngineFileError):
                self._record_death(child)
            raise
        self._child = child
        return child

    def _pause_s(self) -> float:
        try:
            return restart_pause_s(self._deaths, self._clock())
        except EngineError as error:
            raise EngineError(f"{error}; its last words: {self._last_words}") from error

    async def _bury(self, child: EngineChild) -> None:
        if self._child is child:
            self._child = None
            self._record_death(child)
            await child.stop()

    def _record_death(self, child: EngineChild) -> None:
        self.deaths += 1
        self._deaths = [*self._deaths, self._clock()][-MAX_DEATHS:]
        self._last_words = child.obituary()

    @asynccontextmanager
    async def _mourning(self, child: EngineChild) -> AsyncIterator[None]:
        """Give a broken conversation its reason, where the reason is the child's death."""
        try:
            yield
        except (EngineRequestError, EngineFileError):
            raise
        except EngineError as error:
            if not await child.has_died(DEATH_NOTICE_S):
                raise
            obituary = child.obituary()
            await self._bury(child)
            if isinstance(error, EngineUnreachableError):
                raise
            raise EngineError(f"the engine died while answering, {obituary}; ask again") from error
