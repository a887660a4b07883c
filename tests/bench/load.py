"""Load from a process of its own: wrk where it is installed, else `python -m tests.bench.load`, a client of ours.

Both ask with a new prompt each time, as a router may treat one that comes back differently, look at every answer,
and print the same JSON object.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.stand_in import ANSWER, MODEL
from tests.router.daemon import ROOT

_SCRIPT = Path(__file__).with_name("load.lua")
_PROMPT = (
    "Look at the module below and say in one sentence what it does with the fields that are quoted.\n\n"
    + "def read(lines):\n    for line in lines:\n        yield [field.strip() for field in line.split(',')]\n\n" * 6
)
_WANTED = {"plain": ANSWER, "streamed": "data: [DONE]\n\n"}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one spell of load came to; times are to the last byte of an answer."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    broken: int
    """Requests without a whole answer: refused, cut or late."""
    wrong: int
    """Answers with another status or body than the upstream's."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def has_wrk() -> bool:
    """Say whether wrk is installed."""
    return shutil.which("wrk") is not None


def load(url: str, kind: str, clients: int, seconds: int) -> Measured:
    """Ask for `plain` or `streamed` answers by so many clients at once, for so long."""
    before, after = _body(kind).split("NUMBER")
    environ = {**os.environ, "LOAD_BEFORE": before, "LOAD_AFTER": after, "PYTHONPATH": str(ROOT)}
    place, wanted = f"{url}/v1/chat/completions", _WANTED[kind]
    if has_wrk():
        shape = ["--threads", "1", "--connections", str(clients), "--duration", f"{seconds}s", "--timeout", "30s"]
        program = ["wrk", *shape, "--script", str(_SCRIPT), place, kind, wanted]
    else:
        program = [sys.executable, "-P", "-m", "tests.bench.load", place, wanted, str(clients), str(seconds)]
    said = subprocess.run(program, env=environ, stdout=subprocess.PIPE, check=True, text=True).stdout
    return Measured(**json.loads(said.splitlines()[-1]))


def _body(kind: str) -> str:
    turns = [
        {"role": "system", "content": "You are a careful reviewer."},
        {"role": "user", "content": f"Review NUMBER. {_PROMPT}"},
    ]
    return json.dumps({"model": MODEL, "messages": turns, "stream": kind == "streamed"})


async def _ask_on(url: str, wanted: bytes, clients: int, seconds: float) -> dict[str, float]:
    import aiohttp

    run, numbers, times, failed = secrets.token_hex(4), itertools.count(), list[float](), {"broken": 0, "wrong": 0}
    before, after = os.environ["LOAD_BEFORE"], os.environ["LOAD_AFTER"]
    headers = {"Content-Type": "application/json"}
    started = time.perf_counter()

    async def client(session: aiohttp.ClientSession) -> None:
        while (began := time.perf_counter()) < started + seconds:
            body = f"{before}{run}-{next(numbers)}{after}"
            try:
                async with session.post(url, data=body, headers=headers) as answer:
                    failed["wrong"] += wanted not in await answer.read() or answer.status != 200
            except aiohttp.ClientError:
                failed["broken"] += 1
            times.append((time.perf_counter() - began) * 1000)

    limits = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limits) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    p99 = statistics.quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    spent = time.perf_counter() - started
    return {"requests": len(times), "seconds": spent, "p50_ms": statistics.median(times), "p99_ms": p99, **failed}


if __name__ == "__main__":
    import uvloop

    told = uvloop.run(_ask_on(sys.argv[1], sys.argv[2].encode(), int(sys.argv[3]), float(sys.argv[4])))
    sys.stdout.write(f"{json.dumps(told)}\n")
