"""Streams that are silent for long are pinged, in words that every client passes over; others are not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from router.dialects.known import dialect_of
from router.exchange import CutStreamError
from router.http_wire import HttpWire, race
from router.problems import Problem, ProblemType
from tests.faults.answers import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Answer, Wordwise, frames
from tests.faults.reading import read_stream
from tests.router.making import run

SURFACES = (CHAT, COMPLETIONS, MESSAGES, RESPONSES)


class Timers:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Handle] = []

    def later(self, seconds: float, call: Callable[[], None]) -> Handle:
        assert 0 < seconds <= 7.5, "two of them are to be within 15 s"
        self.waiting.append(Handle(self, call))
        return self.waiting[-1]

    async def pass_on(self) -> None:
        """Let what waits happen, and what comes of it."""
        for handle in tuple(self.waiting):
            self.waiting.remove(handle)
            handle.call()
        await asyncio.sleep(0)


class Handle:
    def __init__(self, timers: Timers, call: Callable[[], None]) -> None:
        self._timers = timers
        self.call = call

    def cancel(self) -> None:
        if self in self._timers.waiting:
            self._timers.waiting.remove(self)


class Client:
    """The server's end of one response: keeps what is sent, and takes nothing while it is held."""

    def __init__(self, surface: str = CHAT) -> None:
        self.sent: list[Any] = []
        self.free = asyncio.Event()
        self.free.set()
        self.timers = Timers()
        self.wire = HttpWire(self._send, dialect_of(surface), self.timers.later)

    async def _send(self, message: Any) -> None:
        await self.free.wait()
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent)


@pytest.mark.parametrize("surface", SURFACES)
def test_silence_anywhere_in_a_stream_is_pinged_and_every_client_passes_over_it(surface: str) -> None:
    async def scene() -> None:
        client, said = Client(surface), Answer("Ada Grace Hedy")
        *before, end = frames(surface, said, Wordwise())
        await client.wire.begin({})
        for frame in before:
            await client.wire.write(frame)
            await client.timers.pass_on()
            await client.timers.pass_on()
        await client.wire.write(end)
        await client.wire.end()

        # Anthropic's own streams have a ping already.
        assert client.body.count(dialect_of(surface).ping) == len(before) + before.count(dialect_of(surface).ping)
        assert read_stream(surface, client.body) == said

    run(scene())


def test_a_stream_that_speaks_is_not_pinged() -> None:
    async def scene() -> None:
        client = Client()
        await client.wire.begin({})
        for number in range(5):
            await client.wire.write(b"data: %d\n\n" % number)
            await client.timers.pass_on()

        assert b"ping" not in client.body

    run(scene())


def test_before_its_first_frame_nothing_is_pinged_as_another_answer_is_still_possible() -> None:
    client = run(_made())

    assert client.timers.waiting == []


async def _made() -> Client:
    return Client()


def test_a_client_that_does_not_read_has_one_ping_waiting_and_none_behind_the_end() -> None:
    async def scene() -> None:
        client = Client()
        await client.wire.begin({})
        await client.wire.write(b"data: 1\n\n")
        client.free.clear()
        for _ in range(5):
            await client.timers.pass_on()
        client.free.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client.body.count(b"ping") == 1
        client.free.clear()
        await client.timers.pass_on()
        client.wire.hush()
        client.free.set()
        await client.wire.end()
        await asyncio.sleep(0)

        assert client.body.count(b"ping") == 1
        assert client.sent[-1] == {"type": "http.response.body", "body": b""}
        assert client.timers.waiting == []

    run(scene())


@pytest.mark.parametrize("how", ["ends", "is cut", "client leaves", "fails"])
def test_nothing_is_pinged_once_a_stream_is_over(how: str) -> None:
    async def scene() -> None:
        client, gone = Client(), asyncio.Event()

        async def receive() -> dict[str, str]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def turn() -> None:
            await client.wire.begin({})
            await client.wire.write(b"data: 1\n\n")
            assert len(client.timers.waiting) == 1
            if how == "ends":
                await client.wire.end()
            elif how == "is cut":
                raise CutStreamError("broke")
            elif how == "client leaves":
                gone.set()
                await asyncio.Event().wait()
            else:
                raise ZeroDivisionError

        if how == "fails":
            with pytest.raises(ZeroDivisionError):
                await race(receive, client.wire, turn())
        else:
            await race(receive, client.wire, turn())

        assert client.timers.waiting == []
        assert b"ping" not in client.body

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_behind_the_end_of_an_answer_a_failure_says_nothing(stream: bool) -> None:
    async def scene() -> None:
        client = Client()
        if stream:
            await client.wire.begin({})
            await client.wire.end()
        else:
            await client.wire.answer({}, b"{}")
        sent = list(client.sent)
        await client.wire.fail(Problem(500, ProblemType.SERVER, "a bug"), {})

        assert client.sent == sent

    run(scene())


def test_pings_are_what_the_vendors_send() -> None:
    assert dialect_of(CHAT).ping == b": ping\n\n"
    name, data = dialect_of(MESSAGES).ping.decode().removesuffix("\n\n").split("\n")
    assert (name, json.loads(data.removeprefix("data: "))) == ("event: ping", {"type": "ping"})
