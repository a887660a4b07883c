"""Runs commands in a sandbox for tests, and finds processes again by a number among their arguments."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from router.verifying.commands import CommandRunner, Ran
from router.verifying.sandbox import SEARCH_PATH, Command, Sandbox

BWRAP = shutil.which("bwrap") or shutil.which("bwrap", path=SEARCH_PATH)
PATIENCE_S = 60.0
"""What a command that ends by itself may take on a busy machine."""


def run(
    sandbox: Sandbox,
    *argv: str,
    answer: bytes = b"",
    timeout_s: float = PATIENCE_S,
    memory_mb: int = 1024,
    readable: tuple[Path, ...] = (),
) -> Ran:
    command = Command("test", argv, timeout_s, memory_mb, readable)
    return asyncio.run(CommandRunner(sandbox).run(command, answer))


def script(sandbox: Sandbox, python: str, source: str, **options: int) -> Ran:
    return run(sandbox, python, "-c", textwrap.dedent(source), **options)


def marked(mark: str) -> list[int]:
    """Return the processes with a mark among their arguments."""
    pids = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and mark.encode() in (folder / "cmdline").read_bytes().split(b"\0"):
                pids.append(int(folder.name))
    return pids


def found(mark: str) -> bool:
    return bool(marked(mark))


@contextmanager
def started(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(argv) as process:
        try:
            yield process
        finally:
            process.kill()


def eventually(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(mark: str) -> bool:
    return eventually(lambda: not found(mark))


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}
