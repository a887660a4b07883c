"""The local engines, one process for each base, started when first needed; and the files that they read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

from registry.entities import Specialist
from registry.prompting import Prompt, chat_messages
from router.engine.protocol import Done, Engine, GenerateRequest, Message, Piece


class OwnedEngine(Engine, Protocol):
    """An engine that somebody has to stop."""

    async def stop(self) -> None:
        """End the engine."""
        ...


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

    async def answer(
        self, specialist: Specialist, prompt: Prompt, max_tokens: int, stop: tuple[str, ...]
    ) -> AsyncGenerator[Piece | Done, None]:
        """Yield the pieces of a specialist's answer to a masked prompt, then one Done; closing it stops decoding.

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
        async with aclosing(engine.generate(GenerateRequest(messages, max_tokens, adapter, stop=stop))) as answer:
            async for item in answer:
                yield item

    async def _path(self, sha256: str) -> Path:
        """Return a verified file; hashing a large one must not stop the loop."""
        return await asyncio.to_thread(self._files.verified_path, sha256)

    async def aclose(self) -> None:
        """Stop all engines."""
        for engine in self._engines.values():
            await engine.stop()
