"""R16 to R19: clients that do not read, leave at any moment, or come in crowds."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from registry.entities import Status
from registry.settings import PolicySettings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from tests.faults.answers import CHAT, Answer, Wordwise, frames, whole
from tests.faults.reading import request
from tests.faults.scene import MODELS, Scene, scene
from tests.faults.scripted_upstream import PATIENCE_S, endless, eventually, gated
from tests.router.daemon import get, post
from tests.router.making import FakeReply, World, answered, delta, run, settings, sse, task, world
from tests.router.raw_upstream import Step, says

PLAIN = Answer("Ada, Grace")
MEGABYTE = 1 << 20


def asked(*, stream: bool) -> bytes:
    return request(CHAT, MODELS[CHAT], "say two names", stream=stream)


def memory_bytes(running: Scene) -> int:
    """Return how much memory the daemon holds."""
    status = Path(f"/proc/{running.daemon.process.pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_r16_a_client_that_does_not_read_holds_up_its_own_upstream_and_nobody_else(tmp_path: Path) -> None:
    sent: list[int] = []
    spoken = frames(CHAT, Answer("x" * 20_000), Wordwise())[1]
    quick = says(200, whole(CHAT, PLAIN))
    with scene(tmp_path / "home") as running:
        running.upstream.follows(quick)
        for _ in range(20):
            running.told(CHAT, asked(stream=False))
        before = memory_bytes(running)
        running.upstream.follows(endless(spoken, sent), quick)
        with running.ask(CHAT, asked(stream=True)) as lazy:
            lazy.until(b"xxx")
            passed = -1
            # It stands still once all buffers are full; others are served all the while.
            while passed != len(sent):
                passed = len(sent)
                for _ in range(20):
                    assert running.told(CHAT, asked(stream=False)).status == 200
                assert sum(sent) < 64 * MEGABYTE
            assert memory_bytes(running) - before < 32 * MEGABYTE
        eventually(lambda: b'"in_flight":0' in get(f"{running.daemon.url}/readyz", running.daemon.admin)[2])
        eventually(lambda: running.interactions()[20].outcome)
        outcome = running.interactions()[20].outcome

        assert outcome is not None
        assert outcome.status is Status.CLIENT_CANCELLED


@asynccontextmanager
async def on_sockets(root: Path, **upstream: object) -> AsyncIterator[tuple[World, InFlight, int]]:
    """Give an open router with a real HTTP server in this very loop; one request is served at once, one waits."""
    vendor = UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",), cooldown_s=0, **upstream)
    given = settings(upstreams={"vendor": vendor}, policy=PolicySettings(cloud="vendor/gpt-5.4"))
    async with world(root, given) as made, AsyncExitStack() as stack:
        in_flight = InFlight(2, max_waiting=1, max_wait_s=PATIENCE_S)
        config = uvicorn.Config(
            make_app(made.deps, in_flight), log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        listener = socket.create_server(("127.0.0.1", 0))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        try:
            yield made, in_flight, listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
            stack.callback(listener.close)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.005)


async def knock(
    port: int, *, stream: bool, model: str = "vendor/gpt-5.4"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps(task("hello", stream=stream, model=model)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


def _rows(made: World) -> list[Status | None]:
    return [one.outcome.status if one.outcome else None for one in made.interactions()]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("moment", ["before the first byte", "mid-stream", "in a pause between attempts"])
def test_r17_a_client_that_leaves_frees_its_upstream_its_place_and_its_tasks(
    tmp_path: Path, moment: str, stream: bool
) -> None:
    """A client that waits for a whole answer has the same moments as one that reads a stream."""

    async def scenery() -> None:
        async with on_sockets(tmp_path, attempts=2, retry_budget_s=60) as (made, in_flight, port):
            pausing = FakeReply(503, headers={"retry-after": "50"})
            begun = FakeReply(pieces=sse(delta("hel"), done=False) if stream else [b'{"choices": ['], hangs=True)
            reply = {"mid-stream": begun, "in a pause between attempts": pausing}.get(moment, FakeReply(hangs=True))
            tasks = len(asyncio.all_tasks())
            for turn in range(3):
                reply.closed = False
                reply.hanging.clear()
                made.cloud.script = [reply]
                # A model that asked for a pause rests, so that each turn has its own.
                reader, writer = await knock(port, stream=stream, model=f"vendor/m{turn}")
                if stream and moment == "mid-stream":
                    await reader.readuntil(b"hel")
                if moment == "in a pause between attempts":
                    await until(lambda: reply.closed)
                else:
                    await until(reply.hanging.is_set)
                writer.close()
                await until(lambda: reply.closed and in_flight.count == 0)
                await until(lambda: len(asyncio.all_tasks()) <= tasks)
            await until(lambda: None not in _rows(made))

            assert _rows(made) == [Status.CLIENT_CANCELLED] * 3
            assert len(made.cloud.requests) == 3

    run(scenery())


def test_r17_a_client_that_leaves_the_line_is_out_of_it_and_asks_nobody(tmp_path: Path) -> None:
    async def scenery() -> None:
        async with on_sockets(tmp_path, max_concurrency=1) as (made, in_flight, port):
            held = FakeReply(hangs=True)
            made.cloud.script = [held]
            _, first = await knock(port, stream=True)
            await until(held.hanging.is_set)
            tasks = len(asyncio.all_tasks())
            _, at_upstream = await knock(port, stream=True)
            await until(lambda: in_flight.count == 2)
            _, at_daemon = await knock(port, stream=True)
            await until(lambda: in_flight.waiting == 1)
            for writer in (at_daemon, at_upstream):
                writer.close()
            await until(lambda: (in_flight.count, in_flight.waiting) == (1, 0))
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            first.close()
            await until(lambda: in_flight.count == 0)
            await until(lambda: None not in _rows(made))
            made.cloud.script = [FakeReply(pieces=[answered("hello")])]
            reader, last = await knock(port, stream=False)
            said = await reader.readuntil(b"hello")
            last.close()
            await last.wait_closed()

            assert b" 200 " in said
            assert _rows(made)[:2] == [Status.CLIENT_CANCELLED] * 2
            assert len(made.cloud.requests) == 2

    run(scenery())


def test_r18_of_a_crowd_of_500_all_are_answered_or_told_to_come_back(tmp_path: Path) -> None:
    gate = threading.Event()
    slow: Step = gated(gate, says(200, whole(CHAT, PLAIN)))
    limits = "max_in_flight = 8\nmax_waiting = 16\nmax_wait_s = 600\n"
    with scene(tmp_path / "home", more=limits) as running, ExitStack() as crowd:
        running.upstream.follows(slow)
        asking = [crowd.enter_context(running.ask(CHAT, asked(stream=False))) for _ in range(500)]
        eventually(lambda: len(running.upstream.requests) == 8)
        # While every place is taken the daemon tells how it is, and asks nobody else.
        assert all(get(f"{running.daemon.url}/healthz")[0] == 200 for _ in range(50))
        eventually(
            lambda: (
                b"modelbreeder_admission_refused_total 476.0"
                in get(f"{running.daemon.url}/metrics", running.daemon.admin)[2]
            )
        )
        assert len(running.upstream.requests) == 8
        gate.set()
        told = [one.rest() for one in asking]
        served = [one for one in told if one.status == 200]
        refused = [one for one in told if one.status == 503]
        kept = {one.intent.interaction_id: one for one in running.interactions()}

        assert (len(served), len(refused)) == (24, 476)
        assert all(one.headers["retry-after"] == "1" for one in refused)
        assert kept.keys() == {one.interaction for one in served}
        assert all(one.outcome is not None and one.outcome.status is Status.OK for one in kept.values())


@pytest.mark.slow
def test_r19_two_thousand_failing_requests_leave_memory_and_log_as_they_were(tmp_path: Path) -> None:
    with scene(tmp_path / "home") as running:
        running.upstream.follows(says(503, retry_after="0"))
        url, body = f"{running.daemon.url}/v1/chat/completions", asked(stream=False)

        def fail(times: int) -> None:
            assert {post(url, body)[0] for _ in range(times)} == {502}

        fail(400)
        before, lines = memory_bytes(running), len(running.daemon.lines)
        fail(2000)
        grown, said = memory_bytes(running) - before, len(running.daemon.lines) - lines
        sent = len(running.upstream.requests)

    assert sent == 2 * 2400
    assert grown < 50 * MEGABYTE
    assert said <= 2000 + 10
