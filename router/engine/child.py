"""The life of one engine child: start, wait until it serves, stop, and what it said on standard error."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
import tempfile
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from registry.errors import EngineError
from router.engine.client import EngineClient, EngineUnreachableError
from router.engine.protocol import EngineFileError, EngineHealth
from router.engine.worker import EXIT_BAD_FILE

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 3.0
POLL_S = 0.02
STDERR_LINES = 20
SOCKET_NAME = "engine.sock"
MAX_SOCKET_PATH_BYTES = 100
"""Unix socket paths end at 107 bytes on Linux and 103 on macOS."""

_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_PASSED_ON_PREFIXES = ("LC_", "LD_", "DYLD_", "CUDA_", "GGML_", "OMP_", "COVERAGE_")


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What a child is started with."""

    base: Path
    socket_dir: Path
    threads: int
    context: int


class EngineChild:
    """One running process with its client and its private folder; built by `start_child`."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        if process.stdin is None or process.stderr is None:
            raise EngineError(f"engine process {process.pid} was started without pipes; start it by start_child")
        self.client = EngineClient(folder / SOCKET_NAME)
        self._process = process
        self._folder = folder
        self._last_words: deque[str] = deque(maxlen=STDERR_LINES)
        self._lifeline = process.stdin
        self._listening = asyncio.create_task(self._listen(process.stderr))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, None while the process lives."""
        return self._process.returncode

    async def ready(self) -> EngineHealth:
        """Wait until the child serves.

        Raises:
            EngineFileError: it refused its base.
            EngineError: it ended for another reason, or did not serve in time.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while self.exit_code is None:
                    try:
                        return await self.client.health()
                    except EngineUnreachableError:
                        await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            message = f"the engine did not serve within {START_TIMEOUT_S:.0f} s, {self.obituary()}"
            raise EngineError(message) from error
        await self._listening
        if self.exit_code == EXIT_BAD_FILE and self._last_words:
            raise EngineFileError(self._last_words[-1])
        raise EngineError(f"the engine could not start, {self.obituary()}")

    async def has_died(self, within_s: float) -> bool:
        """Say whether the process ends within some seconds, which a broken connection suggests."""
        try:
            async with asyncio.timeout(within_s):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def obituary(self) -> str:
        """Return how the process ended and its last lines."""
        words = " / ".join(self._last_words) or "it said nothing"
        code = self.exit_code
        if code is None:
            return f"process {self.pid} still runs: {words}"
        return f"signal {-code}: {words}" if code < 0 else f"exit code {code}: {words}"

    async def stop(self) -> None:
        """End the process, gently first, and remove its folder."""
        await self.client.close()
        self._lifeline.close()
        if not await self.has_died(STOP_TIMEOUT_S):
            self._process.kill()
            await self._process.wait()
        await self._listening
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _listen(self, stderr: asyncio.StreamReader) -> None:
        while line := await stderr.readline():
            self._last_words.append(line.decode(errors="replace").strip()[:500])


async def start_child(settings: ChildSettings, environ: Mapping[str, str]) -> EngineChild:
    """Start a child in its own session, so that a Ctrl-C for its parent does not reach it.

    Only what it needs of the environment is passed on: it reads files that others wrote, and no keys.

    Raises:
        EngineError: the socket folder is not private, or no process can be started.
    """
    try:
        folder = await asyncio.to_thread(_private_folder, settings.socket_dir)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "router.engine.worker"),
            *("--base", str(settings.base), "--socket", str(folder / SOCKET_NAME)),
            *("--threads", str(settings.threads), "--context", str(settings.context)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={name: value for name, value in environ.items() if _passed_on(name)},
            start_new_session=True,
        )
    except OSError as error:
        message = f"no engine process can be started in {settings.socket_dir}: {error}; check rights and limits"
        raise EngineError(message) from error
    return EngineChild(process, folder)


def _passed_on(name: str) -> bool:
    return name in _PASSED_ON or name.startswith(_PASSED_ON_PREFIXES)


def _private_folder(parent: Path) -> Path:
    """Make a new 0700 folder where no other user can replace it, and where socket paths stay short enough."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = parent.stat()
    own = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not own and not found.st_mode & stat.S_ISVTX:
        raise EngineError(f"{parent} belongs to others or can be written by them; name another socket folder")
    fits = len(os.fsencode(parent / "engine-xxxxxxxx" / SOCKET_NAME)) <= MAX_SOCKET_PATH_BYTES
    return Path(tempfile.mkdtemp(prefix="engine-", dir=parent if fits else None))
