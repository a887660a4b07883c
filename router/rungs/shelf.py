"""The simple rungs that a process has loaded, by digest; a few at a time, each a few megabytes.

A daemon that serves none never imports numpy.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from registry.entities import Specialist
from registry.errors import ArtifactError
from registry.prompting import Prompt
from router.engines import Files

if TYPE_CHECKING:
    from router.rungs.rung import Rung, RungAnswer


class RungShelf:
    """Answers for specialists that need no engine."""

    def __init__(self, files: Files, most: int = 32) -> None:
        self._files = files
        self._most = most
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Rung] = OrderedDict()

    async def answer(self, specialist: Specialist, prompt: Prompt) -> RungAnswer:
        """Answer a masked prompt that fits the specialist's trim, without stopping the loop.

        Raises:
            ArtifactError: the specialist's file is missing, damaged or of another kind.

        """
        return await asyncio.to_thread(self._answer, specialist, prompt)

    def _answer(self, specialist: Specialist, prompt: Prompt) -> RungAnswer:
        from router.rungs.features import seen

        return self._rung(specialist).answer(seen(prompt, specialist.trim))

    def _rung(self, specialist: Specialist) -> Rung:
        """Return the specialist's rung; what was not asked for longest makes room for a new one."""
        from router.rungs.loading import load_rung

        digest = specialist.base_sha256
        with self._lock:
            if digest not in self._loaded:
                self._loaded[digest] = load_rung(self._files.verified_path(digest))
            self._loaded.move_to_end(digest)
            if len(self._loaded) > self._most:
                self._loaded.popitem(last=False)
            rung = self._loaded[digest]
        if rung.kind is not specialist.kind:
            raise ArtifactError(
                f"the file of {specialist.name} is a {rung.kind}, not a {specialist.kind}; breed or pull it again"
            )
        return rung
