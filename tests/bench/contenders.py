"""The processes that a request passes through in the benchmark: the stand-in upstream, and who stands before it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from breeder.rehearsal.daemon import free_port
from tests.bench.stand_in import MODEL
from tests.router.daemon import ROOT, daemon, environment

LITELLM = "litellm[proxy]==1.106.2"
_LITELLM_HOME = ROOT / ".bench" / "litellm"
_START_S = 300.0
"""Seconds that LiteLLM may take to listen: it imports for long on a busy machine."""
_CONFIG = """
[policy]
cloud = "vendor/{model}"
[upstreams.vendor]
base_url = "{url}/v1"
models = ["{model}"]
api_key_env = "TEST_VENDOR_KEY"
"""
_LITELLM_CONFIG = """
model_list:
  - model_name: {model}
    litellm_params: {{model: openai/{model}, api_base: "{url}/v1", api_key: none}}
litellm_settings: {{telemetry: false}}
"""


@dataclass(frozen=True, slots=True)
class Contender:
    """A process that answers chat completions below `url`."""

    name: str
    url: str
    pid: int

    @property
    def resident_mb(self) -> float:
        """Its memory now, in MB; Linux only."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8")
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    @property
    def processor_s(self) -> float:
        """Seconds of processor that it has used; Linux only."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def upstream() -> Iterator[Contender]:
    """Give the stand-in upstream."""
    with _module("upstream itself", "tests.bench.stand_in") as running:
        yield running


@contextmanager
def bare(upstream_url: str) -> Iterator[Contender]:
    """Give the bare pass-through."""
    with _module("bare pass-through", "tests.bench.bare_proxy", upstream_url) as running:
        yield running


@contextmanager
def router(upstream_url: str, home: Path) -> Iterator[Contender]:
    """Give the daemon with the default policy, redaction and a durable ledger, in a home of its own."""
    home.mkdir(parents=True)
    config = _CONFIG.format(url=upstream_url, model=MODEL)
    (home / "modelbreeder.toml").write_text(config, encoding="utf-8")
    with daemon(home) as running:
        yield Contender("router", running.url, running.process.pid)


@contextmanager
def litellm(upstream_url: str, folder: Path) -> Iterator[Contender]:
    """Give LiteLLM's proxy: one worker, no database, no callbacks; installed on demand."""
    config, port = folder / "litellm.yaml", free_port()
    config.write_text(_LITELLM_CONFIG.format(url=upstream_url, model=MODEL), encoding="utf-8")
    program = [str(_litellm()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    alone = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else a price list is fetched from the net at each start
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # no client needs a token, as with the router
        "LITELLM_LOG": "ERROR",
        "PYTHONPATH": "",
    }
    with open(folder / "litellm.log", "wb") as log, _running(program, stdout=log, env=environment(**alone)) as process:
        url = f"http://127.0.0.1:{port}"
        _await(f"{url}/health/liveliness", process, folder / "litellm.log")
        yield Contender("LiteLLM", url, process.pid)


def _litellm() -> Path:
    """Return its program, from a virtual environment of its own: it pins older versions of what we use."""
    program = _LITELLM_HOME / "bin" / "litellm"
    mark = _LITELLM_HOME / ".installed"
    if not mark.exists() or mark.read_text(encoding="utf-8") != LITELLM:
        sys.stderr.write(f"installing {LITELLM} into {_LITELLM_HOME}, which takes a minute or two\n")
        venv.create(_LITELLM_HOME, clear=True, with_pip=True)
        pip = [str(_LITELLM_HOME / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, LITELLM], check=True)
        mark.write_text(LITELLM, encoding="utf-8")
    return program


@contextmanager
def _module(name: str, module: str, *arguments: str) -> Iterator[Contender]:
    """Run a module of ours that prints its port."""
    program = [sys.executable, "-P", "-m", module, *arguments]
    with _running(program, stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline() or 0)
        if not port:
            raise RuntimeError(f"{module} ended with {process.wait()} before it listened")
        yield Contender(name, f"http://127.0.0.1:{port}", process.pid)


@contextmanager
def _running(
    program: list[str], *, stdout: BinaryIO | int, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    stderr = None if stdout == subprocess.PIPE else subprocess.STDOUT
    # In the checkout, a demo's modelbreeder.toml would count as a project's.
    away = tempfile.gettempdir()
    process = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env, cwd=away)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"LiteLLM did not start: {log.read_text(errors='replace')[-1000:]}")
