"""A real server on loopback that follows a script, one step a request, for daemons in processes of their own.

It runs in a thread; the steps are those of `tests/router/raw_upstream.py` and the ones here. A step that has to wait
waits for a `threading.Event` of the test, never for a time.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.router.raw_upstream import RawUpstream, Step, answers, writes

PATIENCE_S = 60.0
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class ScriptedUpstream(RawUpstream):
    """A server whose script a test sets anew; what it was asked stays in `requests`."""

    def __init__(self) -> None:
        super().__init__([answers()])
        self.left = 0
        """Connections that the other side has ended."""

    def follows(self, *script: Step) -> None:
        """Answer the next requests by these steps, then by the last one again; forget earlier requests."""
        self.script, self.left = list(script), 0
        self.requests.clear()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was asked, parsed."""
        return [json.loads(one.body) for one in self.requests]

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.serve(reader, writer)
        finally:
            self.left += 1


Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


@contextmanager
def running(take: Connection) -> Iterator[int]:
    """Take connections in a loop of a thread of its own; give the port."""
    loop, port = asyncio.new_event_loop(), 0
    ready = threading.Event()
    # Held here: nobody else holds a task whose connection says nothing any more.
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(take(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def serve() -> None:
        nonlocal port
        server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=512)
        port = server.sockets[0].getsockname()[1]
        ready.set()
        await stopped.wait()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Connections that were closed are gone one turn of the loop later.
        for _ in range(3):
            await asyncio.sleep(0)

    stopped = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(PATIENCE_S)
        loop.close()


@contextmanager
def scripted_upstream() -> Iterator[ScriptedUpstream]:
    """Give a running server; `url` ends in /v1."""
    upstream = ScriptedUpstream()
    with running(upstream.take) as port:
        upstream.url = f"http://127.0.0.1:{port}/v1"
        yield upstream


def eventually(condition: Callable[[], object]) -> None:
    """Wait for a condition, longer than a loaded machine needs."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, f"it did not happen within {PATIENCE_S} s"
        time.sleep(0.005)


def sends(frames: Sequence[bytes], *, whole: bool = False) -> Step:
    """Return the head of a stream and frames of it, and where it is whole its last HTTP chunk."""
    body = b"".join(f"{len(frame):x}\r\n".encode() + frame + b"\r\n" for frame in frames if frame)
    return writes(HEAD + body + (LAST_CHUNK if whole else b""))


def in_turn(*steps: Step) -> Step:
    """Return steps as one."""

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for one in steps:
            await one(reader, writer)

    return step


def gated(gate: threading.Event, step: Step) -> Step:
    """Return a step that waits until a test lets it go on."""

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.drain()
        assert await asyncio.to_thread(gate.wait, PATIENCE_S)
        await step(reader, writer)

    return waits


def reset(writer: asyncio.StreamWriter) -> None:
    """Break a connection with an RST; what the other side has not read by now is lost."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def resets_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection with an RST, without waiting until what was sent is read."""
    reset(writer)


def endless(frame: bytes, sent: list[int]) -> Step:
    """Return a stream that never ends, sent as fast as the other side takes it; `sent` counts its bytes."""
    chunk = f"{len(frame):x}\r\n".encode() + frame + b"\r\n"

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        while True:
            writer.write(chunk)
            await writer.drain()
            sent.append(len(chunk))

    return step
