"""Starts `llama_child.py`: a crash of llama.cpp becomes one error here, and never takes the breeder along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from registry.errors import ExportError

_CHILD: Final = Path(__file__).with_name("llama_child.py")
_TAIL_CHARACTERS: Final = 600


def call_llama(*arguments: str, stdin: bytes = b"", timeout_s: float = 3600.0) -> bytes:
    """Return what the child wrote for a command.

    Raises:
        ExportError: it refused, crashed or took longer than `timeout_s`; with the tail of its messages.

    """
    try:
        # -P keeps the child's own folder out of its import path.
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD), *arguments],
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"llama.cpp took longer than {timeout_s:.0f} s to {arguments[0]} {arguments[1]}") from error
    if done.returncode != 0:
        tail = done.stderr.decode(errors="replace").strip()[-_TAIL_CHARACTERS:]
        raise ExportError(f"llama.cpp failed to {arguments[0]} {arguments[1]} (status {done.returncode}): {tail}")
    return done.stdout
