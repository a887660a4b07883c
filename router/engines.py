"""The local engines, one process for each base, started when first needed; and the files that they read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from registry.entities import Specialist
from registry.errors import ArtifactError
from registry.prompting import Prompt, chat_messages
from registry.settings import LocalSettings
from router.engine.protocol import Done, Engine, GenerateRequest, Message, Piece

if TYPE_CHECKING:
    from router.engine.process import EngineProcess


class OwnedEngine(Engine, Protocol):
    """An engine that somebody has to stop."""

    deaths: int
    """How often it died."""

    async def stop(self) -> None:
        """End the engine."""
        ...


SMALL_BASE_BYTES = 64 << 20
"""Bases under this size decode on one thread: more only wait for each other, and for the scheduler when it is busy."""


def engine_for(base: Path, local: LocalSettings, socket_dir: Path) -> EngineProcess:
    """Return the engine process that serves a base, as the settings say; router and breeder start the same one.

    Raises:
        ArtifactError: the base cannot be read.
    """
    # Imported here, so that commands that ask no engine start without aiohttp.
    from router.engine.process import EngineProcess

    try:
        small = base.stat().st_size < SMALL_BASE_BYTES
    except OSError as error:
        raise ArtifactError(f"base {base} cannot be read: {error.strerror}; breed or pull it again") from error
    threads = local.threads or (1 if small else usable_cores())
    return EngineProcess(base, socket_dir=socket_dir, threads=threads, context=local.context)


def usable_cores() -> int:
    """Return how many cores this process may use; macOS has no affinity to ask for, so there it is all of them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Files(Protocol):
    """Where artifacts come from."""

    def verified_path(self, sha256: str) -> Path:
        """Return a file whose content has this digest; raise ArtifactError for a missing or damaged one."""
        ...


class EnginePool:
    """Decodes the chats of specialists."""

    def __init__(self, files: Files, make_engine: Callable[[Path], OwnedEngine]) -> None:
        self._files = files
        self._make_engine = make_engine
        self._engines: dict[str, OwnedEngine] = {}

    @property
    def deaths(self) -> int:
        """How often engines died."""
        return sum(engine.deaths for engine in self._engines.values())

    async def answer(
        self, specialist: Specialist, prompt: Prompt, max_tokens: int, stop: tuple[str, ...], grammar: str = ""
    ) -> AsyncGenerator[Piece | Done, None]:
        """Yield the pieces of a specialist's answer to a masked prompt, then one Done; closing it stops decoding.

        A `grammar` stands in for the specialist's own.

        Raises:
            ArtifactError: a file of the specialist is missing, damaged or for another base.
            EngineError: the engine failed, or refused the request.

        """
        base = await self._path(specialist.base_sha256)
        adapter = await self._path(specialist.adapter_sha256) if specialist.adapter_sha256 else None
        chat = chat_messages(prompt, specialist.trim, specialist.examples)
        messages = tuple(Message(turn["role"], turn["content"]) for turn in chat)
        if specialist.base_sha256 not in self._engines:
            self._engines[specialist.base_sha256] = self._make_engine(base)
        engine = self._engines[specialist.base_sha256]
        request = GenerateRequest(messages, max_tokens, adapter, stop=stop, grammar=grammar or specialist.grammar)
        async with aclosing(engine.generate(request)) as answer:
            async for item in answer:
                yield item

    async def _path(self, sha256: str) -> Path:
        """Return a verified file; hashing a large one must not stop the loop."""
        return await asyncio.to_thread(self._files.verified_path, sha256)

    async def aclose(self) -> None:
        """Stop all engines."""
        for engine in self._engines.values():
            await engine.stop()
