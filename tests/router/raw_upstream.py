"""A real server on loopback, in the test's own event loop, that answers with the bytes it is told to, or misbehaves."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.router.making import answered, delta, sse


@dataclass
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawUpstream:
    """Answers each request by the next step of its script, then by the last one again."""

    script: list[Step]
    requests: list[Asked] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while asked := await _read(reader):
                self.requests.append(asked)
                step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                await step(reader, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


Step = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return Asked(first.split(" ")[1], headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@asynccontextmanager
async def raw_upstream(*script: Step) -> AsyncIterator[RawUpstream]:
    """Give a running server; `url` ends in /v1."""
    upstream = RawUpstream(list(script))
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield upstream
    finally:
        server.close()


def says(status: int, body: bytes = b"{}", **headers: str) -> Step:
    """Return a whole answer; an underscore in a header's name is a dash."""
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    whole = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{named}\r\n".encode() + body

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(whole)

    return step


def answers(text: str = "hello") -> Step:
    """Return a whole chat completion."""
    return says(200, answered(text), content_type="application/json")


def streams(*then: Step, pieces: list[bytes] | None = None) -> Step:
    """Return the head of a stream and some events of it, then what follows; by default all of it and its end."""
    events = sse(delta("hel"), delta("lo"), delta(finish="stop")) if pieces is None else pieces

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in events:
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await writer.drain()
        for following in then:
            await following(reader, writer)
        if not then:
            writer.write(b"0\r\n\r\n")

    return step


async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Stay silent until the other side leaves."""
    await writer.drain()
    await reader.read()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection with an RST, once what was written is read: an RST discards the rest at the other side."""
    await writer.drain()
    await asyncio.sleep(0.1)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def after(seconds: float, step: Step) -> Step:
    """Return a step that waits first."""

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await step(reader, writer)

    return waits


def writes(data: bytes) -> Step:
    """Return bytes as they are."""

    async def step(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return step


async def ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End the connection as one that has nothing more to say."""
    await writer.drain()
    writer.close()
