"""Random requests through the real daemon, over sockets on both sides: the raw bytes that arrive are looked at."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.faults.in_memory import Got
from tests.faults.scene import scene
from tests.faults.scripted_upstream import ScriptedUpstream
from tests.leaks.asking import EMBEDDINGS, Leaky
from tests.leaks.echoing import leaves_of, said
from tests.leaks.test_fuzz import check_restored, leaks
from tests.router.daemon import KEY
from tests.router.raw_upstream import Step

REQUESTS = 40
_OURS = {
    "host",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-type",
    "content-length",
    "authorization",
    "x-api-key",
}
_VOUCHED = {"anthropic-version", "anthropic-beta", "openai-beta"}


def echoes(upstream: ScriptedUpstream, asking: list[Leaky]) -> Step:
    """Return a step that says again what it was told."""

    async def step(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = upstream.requests[-1]
        pieces = said(asking[-1], asked.path.removeprefix("/v1"), json.loads(asked.body))
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in pieces:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    return step


def test_random_requests_leak_nothing_over_sockets(tmp_path: Path) -> None:
    numbers = (number for number in range(20_000, 30_000) if Leaky(number).pair[0] != EMBEDDINGS)
    asking: list[Leaky] = []
    with scene(tmp_path) as stage:
        stage.upstream.follows(echoes(stage.upstream, asking))
        for _ in range(REQUESTS):
            one = Leaky(next(numbers))
            asking.append(one)
            told = stage.told(one.pair[0], one.body, one.headers)
            asked = stage.upstream.requests[-1]

            assert (told.status, told.whole) == (200, True), f"{one.number}: {told.body!r}"
            assert set(asked.headers) <= _OURS | _VOUCHED, one.number
            assert asked.headers.get("authorization") in (None, f"Bearer {KEY}")
            assert leaks(one, asked.path, asked.headers, asked.body) == [], one.number
            got = Got(told.status, dict(told.headers), told.body, told.whole)
            check_restored(one, leaves_of(json.loads(asked.body)), got)
        assert len(stage.upstream.requests) == REQUESTS
