"""What the router adds to a call: `python -m tests.router.bench_router`; read the numbers as ratios within one run.

Decision times are of the whole route (mask, match, describe, decide); overhead is against calling the recording
upstream itself, over one kept connection.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.router.daemon import ask, daemon, environment, write_config
from tests.router.making import incoming, run, task, world
from tests.router.recording_upstream import recording_upstream

ROUNDS = 200
_WORDS = "refactor the parser so that every quoted field keeps its spaces and the tests say why "


def milliseconds(times: list[float]) -> str:
    """Return median and fastest of some seconds, as milliseconds."""
    return f"p50 {statistics.median(times) * 1000:.3f} ms, fastest {min(times) * 1000:.3f} ms"


def decision_times(size: int, folder: Path, *, promoted: bool) -> list[float]:
    """Return the seconds of single routes of a prompt of `size` characters."""

    async def scene() -> list[float]:
        async with world(folder) as made:
            if promoted:
                made.promote()
            given = incoming(task("Classify this commit.\n" + (_WORDS * (size // len(_WORDS) + 1))[:size]))
            times = []
            for _ in range(ROUNDS):
                started = time.perf_counter()
                made.deps.router.route(given, "i", made.deps.outside.clock())
                times.append(time.perf_counter() - started)
            return times

    return run(scene())


def call_times(url: str, *, stream: bool) -> list[float]:
    """Return the seconds of calls over one connection."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    payload = json.dumps(ask("hello", stream=stream))
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", payload, {"Content-Type": "application/json"})
        connection.getresponse().read()
        times.append(time.perf_counter() - started)
    connection.close()
    return times[ROUNDS // 10 :]


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def import_seconds(modules: str) -> tuple[float, float]:
    """Return wall and processor seconds of importing modules in a new interpreter."""
    clocks = "time.perf_counter(), time.process_time()"
    script = f"import time; w, p = {clocks}; import {modules}; print(time.perf_counter() - w, time.process_time() - p)"
    told = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environment(), check=True
    )
    wall, processor = told.stdout.split()
    return float(wall), float(processor)


def show(name: str, value: str) -> None:
    """Print one number."""
    sys.stdout.write(f"{name:44} {value}\n")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as root:
        show("route, 4 KB prompt, no champion", milliseconds(decision_times(4096, Path(root) / "a", promoted=False)))
        show("route, 4 KB prompt, champion", milliseconds(decision_times(4096, Path(root) / "b", promoted=True)))
        show("route, 100 KB prompt", milliseconds(decision_times(100_000, Path(root) / "c", promoted=False)))
        with recording_upstream() as upstream:
            write_config(Path(root) / "d", upstream.url)
            started = time.perf_counter()
            with daemon(Path(root) / "d") as router:
                show("start to ready", f"{time.perf_counter() - started:.2f} s")
                show("resident, idle", f"{resident_mb(router.process.pid):.0f} MB")
                for stream in (False, True):
                    kind = "streamed" if stream else "plain"
                    show(f"direct call, {kind}", milliseconds(call_times(upstream.url, stream=stream)))
                    show(f"routed call, {kind}", milliseconds(call_times(router.url + "/v1", stream=stream)))
                show("resident, after the calls", f"{resident_mb(router.process.pid):.0f} MB")
    for modules in ("router.cli", "router.deps, router.serve, router.http_cloud"):
        wall, processor = import_seconds(modules)
        show(f"import {modules}", f"{wall:.2f} s wall, {processor:.2f} s processor")


if __name__ == "__main__":
    main()
