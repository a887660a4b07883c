"""The one door to upstreams: what leaves and when, what is sent again, who is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from registry.entities import Event, Intent, Json, Lane, Purpose, RouteDecision
from registry.errors import LedgerError, NotFoundError, UpstreamError
from registry.settings import UpstreamSettings
from router.egress import Egress, Parcel, read_whole
from router.failures import FailureKind, kind_of
from router.http_cloud import HttpCloud
from router.recording import Recorder
from router.retrying import AttemptNote
from router.upstream import NotAskedError, UnreachableError, UpstreamTimeoutError
from tests.router.making import NOON, FakeCloud, FakeReply, envelope, run, task
from tests.router.raw_upstream import RawUpstream, Step, answers, hangs, raw_upstream, resets, says, streams

SECRET = "bob@example.org"
SLOW_DOWN = {"retry-after": "1"}


@dataclass
class Writer:
    """Stores events in memory, or fails."""

    fails: Exception | None = None
    stored: list[Event] = field(default_factory=list)

    def submit(self, *events: Event) -> Future[list[str]]:
        future: Future[list[str]] = Future()
        if self.fails:
            future.set_exception(self.fails)
        else:
            self.stored.extend(events)
            future.set_result(["e"] * len(events))
        return future


@dataclass
class Door:
    """An egress with a clock that only pauses move, to a cloud called vendor and a private server called mine."""

    cloud: Any = field(default_factory=FakeCloud)
    writer: Writer = field(default_factory=Writer)
    settings: Mapping[str, Any] = field(default_factory=dict)
    pauses: list[float] = field(default_factory=list)
    notes: list[AttemptNote] = field(default_factory=list)
    now: float = 50.0

    def __post_init__(self) -> None:
        given = {"base_url": "http://127.0.0.1:9/v1", **self.settings}
        upstreams = {"vendor": UpstreamSettings(**given), "mine": UpstreamSettings(**{**given, "trust": "private"})}
        clouds = {"vendor": self.cloud, "mine": self.cloud}
        recorder = Recorder(self.writer, lambda: NOON)
        self.egress = Egress(recorder, clouds, upstreams, self.pause, lambda: self.now, lambda: 0.5)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def send(self, upstream: str = "vendor", model: str = "m", stream: bool = False, **more: Any) -> Any:
        masked, received = (
            {**task(text), "model": model, "stream": stream} for text in ("mail PIIEMAIL1", f"mail {SECRET}")
        )
        parcel = Parcel(upstream, masked, received, more.pop("headers", {}), **more)
        return await self.egress.send(intent(), parcel, self.notes.append)

    def ask(self, **more: Any) -> Any:
        return run(self.send(**more))

    @property
    def failures(self) -> list[FailureKind | None]:
        return [note.failure for note in self.notes]


def intent() -> Intent:
    decision = RouteDecision(
        Lane.CLOUD_ESCALATION, "vendor", "vendor/gpt-5.4", "why", "escalation", True, False, None, (), "d", NOON
    )
    masked: Json = {"messages": []}
    return Intent("i1", NOON, Purpose.USER, envelope(), decision, masked, masked)


def scripted(*steps: FakeReply | Exception, **settings: Any) -> Door:
    """Return a door to a cloud that plays some steps and then answers."""
    return Door(FakeCloud(script=list(steps)), settings=settings)


@asynccontextmanager
async def real_door(*script: Step, **settings: Any) -> AsyncIterator[tuple[Door, RawUpstream]]:
    """Give a door to a real server, by the real client."""
    async with raw_upstream(*script) as upstream:
        given = {"base_url": upstream.url, **settings}
        door = Door(HttpCloud("vendor", UpstreamSettings(**given), None), settings=given)
        try:
            yield door, upstream
        finally:
            await door.egress.aclose()


async def failure(door: Door, **more: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await read_whole(await door.send(**more), 1 << 20)
    return caught.value


def test_the_intent_is_stored_before_anything_leaves() -> None:
    writer = Writer()

    class Watching(FakeCloud):
        @override
        async def open(self, request: Any) -> Any:
            assert [type(event) for event in writer.stored] == [Intent]
            return await super().open(request)

    door = Door(Watching(), writer)
    door.ask()

    assert len(door.cloud.requests) == 1


def test_nothing_leaves_where_the_intent_cannot_be_stored() -> None:
    door = Door(writer=Writer(fails=LedgerError("disk full")))
    with pytest.raises(LedgerError):
        door.ask()

    assert door.cloud.requests == []
    assert door.notes == []


def test_a_cloud_gets_the_masked_body_and_a_private_server_the_one_as_received() -> None:
    door = Door()
    door.ask()
    door.ask(upstream="mine")

    texts = [request["messages"][0]["content"] for request in door.cloud.requests]
    assert texts == ["mail PIIEMAIL1", f"mail {SECRET}"]


@pytest.mark.parametrize("dialect", ["ollama", "llama-server", "openai"])
def test_a_model_that_ollamas_cloud_runs_gets_the_masked_body_from_a_private_server_too(dialect: str) -> None:
    door = Door(settings={"dialect": dialect})
    door.ask(upstream="mine", model="gpt-oss:120b-cloud")

    assert door.cloud.requests[0]["messages"][0]["content"] == "mail PIIEMAIL1"


def test_only_configured_upstreams_are_asked() -> None:
    with pytest.raises(NotFoundError, match="vendor"):
        Door().ask(upstream="evil")


@pytest.mark.parametrize(
    ("dialect", "passed"),
    [
        ("openai", {"openai-beta": "b=1"}),
        ("vllm", {"openai-beta": "b=1"}),
        ("anthropic", {"anthropic-beta": "x,y", "anthropic-version": "2026-10-21"}),
    ],
)
def test_the_clients_headers_stay_here_but_for_the_vendors_own(dialect: str, passed: dict[str, str]) -> None:
    door = Door(settings={"dialect": dialect})
    theirs = {
        "authorization": "Bearer x",
        "x-api-key": "k",
        "api-key": "k",
        "cookie": "a=b",
        "host": "evil.test",
        "x-modelbreeder-lane": "local",
        "openai-beta": "b=1",
        "anthropic-beta": "x,y",
        "anthropic-version": "2026-10-21",
    }
    door.ask(headers=theirs)

    assert dict(door.cloud.headers[0]) == passed


def test_a_request_goes_to_the_path_that_its_wire_format_has() -> None:
    async def scene() -> None:
        async with real_door(answers()) as (door, upstream):
            (await door.send()).close()
            (await door.send(path="/messages")).close()

            assert [asked.path for asked in upstream.requests] == ["/v1/chat/completions", "/v1/messages"]

    run(scene())


def test_r01_what_cannot_be_reached_is_tried_again_and_each_attempt_told() -> None:
    door = scripted(UnreachableError("refused"), UnreachableError("refused"))
    with pytest.raises(UnreachableError):
        door.ask()

    assert door.pauses == [0.375]
    assert door.notes == [
        AttemptNote("vendor/m", FailureKind.UNREACHABLE, None, 0.0, 0.0),
        AttemptNote("vendor/m", FailureKind.UNREACHABLE, None, 0.375, 0.0),
    ]


def test_r02_a_short_pause_is_made_and_others_do_not_ask_meanwhile() -> None:
    async def scene() -> None:
        door = scripted(FakeReply(429, SLOW_DOWN))
        others: list[Any] = []

        async def pause(seconds: float) -> None:
            door.pauses.append(seconds)
            others.append(await failure(door))
            others.append((await door.send(model="another")).status)
            door.now += seconds

        door.egress._pause = pause
        reply = await door.send()

        assert (reply.status, door.pauses) == (200, [1.0])
        assert isinstance(others[0], NotAskedError)
        assert (others[0].status, others[0].retry_after) == (429, "1")
        assert others[1] == 200
        assert door.egress.resting("vendor/m") is None

    run(scene())


def test_r02_a_date_is_a_pause_too_and_no_clock_of_ours_has_a_say() -> None:
    async def scene() -> None:
        dated = says(503, retry_after="Fri, 01 Jan 1999 00:00:02 GMT", date="Fri, 01 Jan 1999 00:00:00 GMT")
        async with real_door(dated, answers()) as (door, _):
            reply = await door.send()
            reply.close()

            assert (reply.status, door.pauses) == (200, [2.0])

    run(scene())


def test_r03_a_long_pause_is_not_made_and_the_next_client_is_told_what_is_left_of_it() -> None:
    async def scene() -> None:
        async with real_door(says(429, b'{"error": "slow"}', retry_after="3600")) as (door, upstream):
            reply = await door.send()
            reply.close()
            door.now += 600
            error = await failure(door)

            assert (reply.status, reply.headers["retry-after"]) == (429, "3600")
            assert isinstance(error, NotAskedError)
            assert (error.status, error.retry_after) == (429, "3000")
            assert kind_of(error) is FailureKind.RATE_LIMITED
            assert "vendor/m asked for a pause; ask again in 3000 s" in str(error)
            assert (door.pauses, len(upstream.requests)) == ([], 1)

    run(scene())


def test_who_is_not_asked_is_recorded_all_the_same() -> None:
    async def scene() -> None:
        door = scripted(FakeReply(429, {"retry-after": "60"}))
        await door.send()
        await failure(door)

        assert len(door.writer.stored) == 2
        assert len(door.cloud.requests) == 1

    run(scene())


@pytest.mark.parametrize("status", [500, 502, 503, 529])
@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_r04_a_server_that_fails_is_sent_a_request_as_often_as_configured(status: int, attempts: int) -> None:
    async def scene() -> None:
        async with real_door(says(status), attempts=attempts) as (door, upstream):
            reply = await door.send()
            reply.close()

            assert reply.status == status
            assert len(upstream.requests) == len(door.notes) == attempts
            assert door.pauses == [0.375, 0.75, 1.5][: attempts - 1]

    run(scene())


def test_r04_one_answer_comes_of_failures_and_a_success() -> None:
    async def scene() -> None:
        async with real_door(says(500), says(529), answers(), says(500), attempts=4) as (door, upstream):
            whole = await read_whole(await door.send(), 1 << 20)

            assert b"hello" in whole
            assert door.failures == [FailureKind.SERVER, FailureKind.OVERLOADED, None]
            assert [note.status for note in door.notes] == [500, 529, 200]
            assert len(upstream.requests) == 3

    run(scene())


@pytest.mark.parametrize("status", [307, 400, 401, 402, 403, 404, 413, 422])
def test_r05_a_refusal_is_never_sent_again(status: int) -> None:
    door = scripted(FakeReply(status), attempts=5)

    assert door.ask().status == status
    assert len(door.cloud.requests) == 1


def test_an_upstream_that_calls_another_try_pointless_is_believed() -> None:
    for pointless in (FakeReply(429, {"x-should-retry": "false"}), FakeReply(501)):
        door = scripted(pointless)

        assert door.ask().status == pointless.status
        assert len(door.cloud.requests) == 1


def test_an_answer_that_cannot_be_read_is_not_asked_for_again() -> None:
    door = scripted(UpstreamError("garbage"))
    with pytest.raises(UpstreamError):
        door.ask()

    assert door.failures == [FailureKind.TRUNCATED]


@pytest.mark.parametrize("stream", [False, True])
def test_r07_who_never_answers_is_asked_once(stream: bool) -> None:
    async def scene() -> None:
        async with real_door(hangs, first_token_timeout_s=0.05, attempts=5) as (door, upstream):
            error = await failure(door, stream=stream)

            assert isinstance(error, UpstreamTimeoutError)
            assert door.failures == [FailureKind.TIMEOUT]
            assert len(upstream.requests) == 1

    run(scene())


def test_r07_a_deadline_stands_above_attempts_and_pauses() -> None:
    door = scripted(*(FakeReply(503) for _ in range(9)), attempts=9, retry_budget_s=100)
    reply = door.ask(deadline_s=2.0)

    assert reply.status == 503
    assert door.pauses == [0.375, 0.75]
    assert door.cloud.limits == [2.0, 1.625, 0.875]


def test_a_deadline_shortens_the_time_of_a_request_and_never_lengthens_it() -> None:
    door = Door()
    for deadline_s in (0.5, None, 9000.0):
        door.ask(deadline_s=deadline_s)

    assert door.cloud.limits == [0.5, 600.0, 600.0]


def test_pauses_in_all_keep_to_the_budget() -> None:
    door = scripted(*(FakeReply(503) for _ in range(9)), attempts=9, retry_budget_s=1.6)

    assert door.ask().status == 503
    assert door.pauses == [0.375, 0.75]


def test_r09_a_reset_before_the_answer_is_tried_again_and_one_in_it_is_not() -> None:
    async def scene() -> None:
        async with real_door(resets, streams(resets, pieces=[b"data: 1\n\n"]), answers()) as (door, upstream):
            error = await failure(door, stream=True)

            assert kind_of(error) is FailureKind.TRUNCATED
            assert door.failures == [FailureKind.UNREACHABLE, None]
            assert len(upstream.requests) == 2

    run(scene())


def test_five_failures_in_a_row_make_a_model_rest() -> None:
    async def scene() -> None:
        door = scripted(*(FakeReply(500) for _ in range(5)), attempts=1)
        statuses = [(await door.send()).status for _ in range(5)]
        error = await failure(door)

        assert statuses == [500] * 5
        assert isinstance(error, NotAskedError)
        assert (error.status, error.retry_after) == (503, "10")
        assert "vendor/m failed, at last: server; ask again in 10 s" in str(error)
        door.now += 10
        assert (await door.send()).status == 200

    run(scene())


def test_streams_that_stay_silent_after_their_status_line_make_a_model_rest() -> None:
    async def scene() -> None:
        async with real_door(streams(hangs, pieces=[]), first_token_timeout_s=0.01) as (door, _):
            for _ in range(5):
                await failure(door, stream=True)

            assert door.egress.resting("vendor/m") is not None

    run(scene())


def test_an_answer_that_was_read_ends_a_row_of_failures() -> None:
    async def scene() -> None:
        door = scripted(*(FakeReply(500) for _ in range(4)), FakeReply(pieces=[b"x"]), FakeReply(500), attempts=1)
        for _ in range(6):
            reply = await door.send()
            _ = [chunk async for chunk in reply.chunks()]
            reply.close()

        assert door.egress.resting("vendor/m") is None

    run(scene())


def test_the_body_of_an_error_is_no_answer() -> None:
    async def scene() -> None:
        door = scripted(*(FakeReply(500, pieces=[b"no"]) for _ in range(5)), attempts=1)
        for _ in range(5):
            await read_whole(await door.send(), 100)

        assert door.egress.resting("vendor/m") is not None

    run(scene())


def test_clients_with_too_little_time_do_not_make_a_model_rest() -> None:
    async def scene() -> None:
        door = scripted(*(UpstreamTimeoutError("late") for _ in range(10)))
        for _ in range(5):
            await failure(door, deadline_s=0.1)
        assert door.egress.resting("vendor/m") is None

        for _ in range(5):
            await failure(door)
        assert door.egress.resting("vendor/m") is not None

    run(scene())


def test_an_upstream_is_sent_no_more_at_once_than_it_takes() -> None:
    async def scene() -> None:
        door = Door(settings={"max_concurrency": 2})
        first, second = await door.send(), await door.send()
        third, fourth = asyncio.create_task(door.send()), asyncio.create_task(door.send())
        await asyncio.sleep(0.01)
        assert len(door.cloud.requests) == 2

        first.close()
        first.close()
        await asyncio.sleep(0.01)
        assert (len(door.cloud.requests), third.done(), fourth.done()) == (3, True, False)
        second.close()
        for waiting in (third, fourth):
            (await waiting).close()

    run(scene())


def test_a_full_line_is_refused_at_once_and_an_empty_one_serves_again() -> None:
    async def scene() -> None:
        door = Door(settings={"max_concurrency": 1, "max_waiting": 1})
        held = await door.send()
        waiting = asyncio.create_task(door.send())
        await asyncio.sleep(0)
        error = await failure(door)

        assert isinstance(error, NotAskedError)
        assert (error.status, error.retry_after) == (429, "1")
        assert "'vendor' has its 1 requests, and 1 wait" in str(error)
        held.close()
        (await waiting).close()
        (await door.send()).close()
        assert door.egress.resting("vendor/m") is None

    run(scene())


def test_those_in_line_are_not_sent_to_a_model_that_goes_to_rest_meanwhile() -> None:
    async def scene() -> None:
        door = scripted(FakeReply(), FakeReply(429, {"retry-after": "60"}), max_concurrency=1)
        held = await door.send()

        async def wait_and_close() -> int:
            reply = await door.send()
            reply.close()
            return int(reply.status)

        waiting = [asyncio.create_task(wait_and_close()) for _ in range(3)]
        await asyncio.sleep(0.01)
        held.close()
        limited, *others = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)

        assert limited == 429
        assert [type(other) for other in others] == [NotAskedError, NotAskedError]
        assert len(door.cloud.requests) == 2
        door.now += 60
        assert await asyncio.wait_for(wait_and_close(), 1) == 200

    run(scene())


def test_waiting_in_line_ends_at_the_deadline() -> None:
    async def scene() -> None:
        door = Door(settings={"max_concurrency": 1})
        held = await door.send()
        error = await failure(door, deadline_s=0.02)

        assert isinstance(error, UpstreamTimeoutError)
        assert len(door.cloud.requests) == 1
        held.close()
        (await door.send()).close()

    run(scene())


def test_r17_a_client_that_leaves_the_line_or_a_pause_leaves_its_place() -> None:
    async def scene() -> None:
        door = Door(settings={"max_concurrency": 1, "max_waiting": 1})
        held = await door.send()
        for _ in range(3):
            waiting = asyncio.create_task(door.send())
            await asyncio.sleep(0.01)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()
        held.close()

        door.egress._pause = lambda _: asyncio.sleep(60)
        door.cloud.script = [FakeReply(503)]
        pausing = asyncio.create_task(door.send())
        await asyncio.sleep(0.01)
        assert (await asyncio.wait_for(door.send(), 1)).status == 200
        pausing.cancel()
        await asyncio.wait({pausing})

    run(scene())


def test_failures_give_their_places_back() -> None:
    async def scene() -> None:
        door = scripted(UnreachableError("x"), FakeReply(503), FakeReply(400), max_concurrency=1, attempts=3)
        (await door.send()).close()
        await asyncio.wait_for(read_whole(await door.send(), 1 << 20), 1)

        assert len(door.cloud.requests) == 4

    run(scene())


def test_an_answer_beyond_the_limit_is_cut_off_and_closed() -> None:
    reply = FakeReply(pieces=[b"x" * 10, b"x" * 10])
    with pytest.raises(UpstreamError, match="15 bytes"):
        run(read_whole(reply, 15))

    assert reply.closed
