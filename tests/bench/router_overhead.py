"""What the router adds to a call: the same tasks straight to a stand-in cloud and through the daemon, in one run."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from breeder.rehearsal.rehearse import Plan
from breeder.rehearsal.staging import staged
from breeder.rehearsal.tasks import RehearsalTask, Workload


def medians(calls: int = 300) -> tuple[float, float]:
    """Return milliseconds of a direct call and of one through the daemon, one client, ledger on."""
    prompts = [f"Say {number}." * 20 for number in range(calls)]
    tasks = tuple(
        RehearsalTask(workload="bench", id=str(n), prompt=prompt, reference="ok", split="train")
        for n, prompt in enumerate(prompts)
    )
    with tempfile.TemporaryDirectory(prefix="mb-") as folder:
        home, sockets = Path(folder) / "home", Path(folder)
        with staged(home, [Workload("bench", tasks, ())], Plan(), sockets, lambda _: None, latency_s=0.0) as stage:
            asyncio.run(_times(stage.router_url, tasks[:50]))
            pairs = [
                (asyncio.run(_times(stage.cloud_url, some)), asyncio.run(_times(stage.router_url, some)))
                for some in (tasks[start : start + 50] for start in range(0, calls, 50))
            ]
    direct = statistics.median(value for one, _ in pairs for value in one)
    routed = statistics.median(value for _, one in pairs for value in one)
    return direct, routed


async def _times(url: str, tasks: Sequence[RehearsalTask]) -> list[float]:
    spent = []
    async with aiohttp.ClientSession() as session:
        for task in tasks:
            started = time.perf_counter()
            body = {"model": "stand-in", "messages": task.messages()}
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                await response.read()
                response.raise_for_status()
            spent.append((time.perf_counter() - started) * 1000)
    return spent
