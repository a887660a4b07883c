"""The stand-in upstream of the proxies' benchmark, in a process of its own: `python -m tests.bench.stand_in`.

It speaks as much HTTP as the contenders' clients do, on a bare protocol: a framework would be slower than what it is
to measure. It prints its port once it listens.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

MODEL = "gpt-5.4"
WORDS = ("The", " reader", " keeps", " each", " quoted", " field", " as", " it", " was", ".")
ANSWER = "".join(WORDS)
END = b"data: [DONE]\n\n"
_USAGE = {"prompt_tokens": 160, "completion_tokens": len(WORDS), "total_tokens": 160 + len(WORDS)}
_NAMED = {"id": "chatcmpl-1", "created": 1_790_000_000, "model": MODEL}
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAMED = re.compile(rb'"stream": ?true')


def _whole() -> bytes:
    message = {"role": "assistant", "content": ANSWER}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({**_NAMED, "object": "chat.completion", "choices": choices, "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def _events() -> list[bytes]:
    """Return the data of a stream's events: the role, a word each, the reason to stop, the usage."""
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in WORDS)]
    choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    chunk = {**_NAMED, "object": "chat.completion.chunk"}
    made = [{**chunk, "choices": each} for each in choices]
    return [json.dumps(each).encode() for each in (*made, {**chunk, "choices": [], "usage": _USAGE})]


def _pieces() -> list[bytes]:
    """Return what a stream is written in: an event each, as a model makes them."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    framed = [*(b"data: %b\n\n" % each for each in _events()), END]
    chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in framed]
    return [head + chunks[0], *chunks[1:-1], chunks[-1] + b"0\r\n\r\n"]


class Upstream(asyncio.Protocol):
    """One connection: answers requests one after the other, a stream with one event in each turn of the loop."""

    whole = _whole()
    pieces = _pieces()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self.transport, self.held = cast("asyncio.Transport", transport), b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self.held, 0, end + 2)
            stop = end + 4 + (int(length[1]) if length else 0)
            if len(self.held) < stop:
                return
            body, self.held = self.held[end + 4 : stop], self.held[stop:]
            if _STREAMED.search(body):
                self._write_on(iter(self.pieces))
            else:
                self.transport.write(self.whole)

    def _write_on(self, pieces: Iterator[bytes]) -> None:
        piece = next(pieces, None)
        if piece is not None and not self.transport.is_closing():
            self.transport.write(piece)
            asyncio.get_running_loop().call_soon(self._write_on, pieces)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
