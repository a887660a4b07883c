"""The real router daemon as a child process, for as long as a block runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from registry.errors import EngineError, ModelBreederError


class RouterDaemon:
    """`modelbreeder serve` on a free port; entering returns its URL, leaving drains it."""

    def __init__(self, root: Path, port: int, log: Path) -> None:
        self._root = root
        self._port = port
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> str:
        """Start and wait until it is ready."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "router.cli",
            "--home",
            str(self._root),
            "serve",
            "--port",
            str(self._port),
        ]
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                # Not where it was called from: the policy of a project there is not the rehearsal's.
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self._root,
            )
        url = f"http://127.0.0.1:{self._port}"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._failure("ended at once")
            if _ready(url):
                return url
            time.sleep(0.05)
        self.__exit__()
        raise self._failure("was not ready within 30 s")

    def __exit__(self, *error: object) -> None:
        """Ask it to drain; end it if it does not."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _failure(self, what: str) -> ModelBreederError:
        tail = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        return EngineError(f"the router daemon {what}: {' | '.join(tail) or 'it said nothing'} (log: {self._log})")


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as response:  # noqa: S310 - our own loopback URL
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """Return a loopback port that is free now."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
