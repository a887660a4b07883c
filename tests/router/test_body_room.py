"""All bodies together have so much room, from where they are read until their answers are given."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from router.admission import InFlight
from router.app import make_app
from router.body_room import SMALL_BYTES, BodyRoom
from router.problems import OverloadedError
from tests.faults.in_memory import call
from tests.router.making import run, task, world

MIB = 1 << 20


class Reader:
    """An application that reads a body and answers when it may; `read` has how many bytes each request brought."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.read: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0
        while True:
            message = await receive()
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        self.read.append(size)
        await self.go.wait()


async def upload(app: BodyRoom, pieces: int) -> None:
    left = pieces

    async def receive() -> Message:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": b"x" * MIB, "more_body": left > 0}

    async def send(_: Message) -> None:
        """Nobody listens."""

    await app({"type": "http"}, receive, send)


def test_what_does_not_fit_is_refused_while_small_ones_pass_and_the_room_comes_back() -> None:
    async def scene() -> None:
        reader = Reader()
        app = BodyRoom(reader, room_bytes=8 * MIB)
        served = [asyncio.create_task(upload(app, 4)) for _ in range(2)]
        refused = await asyncio.gather(upload(app, 4), return_exceptions=True)
        small = asyncio.create_task(upload(app, 1))
        while len(reader.read) < 3:  # noqa: ASYNC110  what is read is seen nowhere else
            await asyncio.sleep(0)
        reader.go.set()
        await asyncio.gather(*served, small)
        await upload(app, 8)

        assert isinstance(refused[0], OverloadedError)
        assert reader.read == [4 * MIB, 4 * MIB, MIB, 8 * MIB]

    run(scene())


def test_the_daemon_answers_503_and_when_to_ask_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            app = BodyRoom(make_app(made.deps, InFlight(1)), room_bytes=SMALL_BYTES)
            body = json.dumps(task("x" * 2 * SMALL_BYTES)).encode()
            refused = await call(app, "/v1/chat/completions", body)
            served = await call(app, "/v1/chat/completions", json.dumps(task()).encode())

            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert json.loads(refused.body)["error"]["code"] == "overloaded"
            assert served.status == 200
            assert len(made.interactions()) == 1

    run(scene())
