"""The real daemon as a child process on a free port."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CONFIG = """
[policy]
cloud = "vendor/gpt-5.4"
{policy}
[upstreams.vendor]
base_url = "{url}"
models = ["gpt-5.4"]
api_key_env = "TEST_VENDOR_KEY"
usd_per_million_input = 2.0
usd_per_million_output = 10.0
cooldown_s = 0
{upstream}
"""
"""The upstream never rests for failing: tests that share a daemon make it fail on purpose."""
KEY = "test-vendor-credential"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: ours, less what configures a real installation."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("MODELBREEDER_", "OPENAI_"))}
    return {**ours, "TEST_VENDOR_KEY": KEY, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **more}


def write_config(home: Path, url: str, *, policy: str = "", upstream: str = "", more: str = "") -> None:
    """Write a configuration with one upstream called vendor."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    text = CONFIG.format(url=url, policy=policy, upstream=upstream) + more
    file = home / "modelbreeder.toml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


def command(home: Path, *arguments: str) -> list[str]:
    """Return the command line of one of the router's commands."""
    return [sys.executable, "-P", "-m", "router.cli", "--home", str(home), *arguments]


def run_command(
    home: Path, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        command(home, *arguments),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env or environment(),
    )


class Daemon:
    """A running daemon and what it said."""

    def __init__(self, home: Path, env: Mapping[str, str], port: int = 0) -> None:
        self.process = subprocess.Popen(
            command(home, "serve", "--port", str(port)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=dict(env),
        )
        self.home = home
        self.lines: list[str] = []
        self.url = ""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            found = re.search(r"listening on (https?://\S+)", line)
            if found:
                self.url = found[1]
                break
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()

    @property
    def admin(self) -> dict[str, str]:
        """The headers of its admin."""
        return admin_of(self.home)

    def _read_on(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def stop(self, with_signal: int = signal.SIGTERM, timeout: float = 20) -> int:
        """End the daemon and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(timeout)
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@contextmanager
def daemon(home: Path, **env: str) -> Iterator[Daemon]:
    """Give a running daemon; leaving kills it if it still runs."""
    child = Daemon(home, environment(**env))
    try:
        yield child
    finally:
        child.stop(signal.SIGKILL)


def admin_of(home: Path) -> dict[str, str]:
    """Return the headers with which the admin of a home asks its daemon."""
    return {"Authorization": f"Bearer {(home / 'data' / 'admin.token').read_text(encoding='ascii').strip()}"}


def post(url: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Post JSON and return status, headers in lower case, and body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    return _open(request)


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Get a page and return status, headers in lower case, and body."""
    return _open(urllib.request.Request(url, headers=dict(headers or {})))


def _open(request: urllib.request.Request) -> tuple[int, dict[str, str], bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, {key.lower(): value for key, value in response.headers.items()}, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, {key.lower(): value for key, value in error.headers.items()}, error.read()


def ask(text: str, **more: Any) -> dict[str, Any]:
    """Return a chat request of one turn."""
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **more}
