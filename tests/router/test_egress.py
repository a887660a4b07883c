from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import pytest
from typing_extensions import override

from registry.entities import Event, Intent, Json, Lane, Purpose, RouteDecision
from registry.errors import LedgerError, NotFoundError, UpstreamError
from router.egress import Egress, Parcel, read_whole
from router.recording import Recorder
from router.upstream import UnreachableError
from tests.router.making import NOON, FakeCloud, FakeReply, answered, envelope, run, settings, task

SECRET = "bob@example.org"


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


def intent() -> Intent:
    decision = RouteDecision(
        Lane.CLOUD_ESCALATION, "vendor", "vendor/gpt-5.4", "why", "escalation", True, False, None, (), "d", NOON
    )
    masked: Json = {"messages": []}
    return Intent("i1", NOON, Purpose.USER, envelope(), decision, masked, masked)


def send(
    cloud: FakeCloud,
    writer: Writer,
    upstream: str = "vendor",
    pauses: list[float] | None = None,
    model: str = "a-model",
    **more: Any,
) -> Any:
    async def pause(seconds: float) -> None:
        (pauses if pauses is not None else []).append(seconds)

    egress = Egress(Recorder(writer, lambda: NOON), {"vendor": cloud, "mine": cloud}, settings().upstreams, pause)
    masked, received = ({**task(text), "model": model} for text in ("mail PIIEMAIL1", f"mail {SECRET}"))
    parcel = Parcel(upstream, masked, received, more.pop("headers", {}), **more)
    return run(egress.send(intent(), parcel))


def test_the_intent_is_stored_before_anything_leaves() -> None:
    writer = Writer()

    class Watching(FakeCloud):
        @override
        async def open(self, request: Any) -> Any:
            assert [type(event) for event in writer.stored] == [Intent]
            return await super().open(request)

    cloud = Watching()
    send(cloud, writer)

    assert len(cloud.requests) == 1


def test_nothing_leaves_where_the_intent_cannot_be_stored() -> None:
    cloud = FakeCloud()
    with pytest.raises(LedgerError):
        send(cloud, Writer(fails=LedgerError("disk full")))

    assert cloud.requests == []


def test_a_cloud_gets_the_masked_body_and_a_private_server_the_one_as_received() -> None:
    cloud = FakeCloud()
    send(cloud, Writer())
    send(cloud, Writer(), upstream="mine")

    assert [request["messages"][0]["content"] for request in cloud.requests] == ["mail PIIEMAIL1", f"mail {SECRET}"]


def test_a_model_that_ollamas_cloud_runs_gets_the_masked_body_from_a_private_server_too() -> None:
    cloud = FakeCloud()
    send(cloud, Writer(), upstream="mine", model="gpt-oss:120b-cloud")

    assert cloud.requests[0]["messages"][0]["content"] == "mail PIIEMAIL1"


def test_only_configured_upstreams_are_asked() -> None:
    with pytest.raises(NotFoundError, match="vendor"):
        send(FakeCloud(), Writer(), upstream="evil")


def test_the_clients_headers_stay_here_but_for_the_vendors_own() -> None:
    cloud = FakeCloud()
    send(cloud, Writer(), headers={"authorization": "Bearer x", "openai-beta": "b=1", "x-modelbreeder-lane": "local"})

    assert dict(cloud.headers[0]) == {"openai-beta": "b=1"}


@pytest.mark.parametrize("first", [UnreachableError("refused"), FakeReply(503), FakeReply(429), FakeReply(500)])
def test_one_more_try_before_the_first_byte(first: Any) -> None:
    pauses: list[float] = []
    cloud = FakeCloud(script=[first, FakeReply(pieces=[answered("x")])])
    reply = send(cloud, Writer(), pauses=pauses)

    assert reply.status == 200
    assert len(cloud.requests) == 2
    assert len(pauses) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_an_error_about_the_request_is_not_tried_again(status: int) -> None:
    cloud = FakeCloud(script=[FakeReply(status)])

    assert send(cloud, Writer()).status == status
    assert len(cloud.requests) == 1


def test_two_failures_are_final() -> None:
    cloud = FakeCloud(script=[FakeReply(503), FakeReply(503), FakeReply(503)])

    assert send(cloud, Writer()).status == 503
    assert len(cloud.requests) == 2


def test_an_upstream_failure_that_may_have_begun_is_not_tried_again() -> None:
    cloud = FakeCloud(script=[UpstreamError("broke off")])
    with pytest.raises(UpstreamError):
        send(cloud, Writer())

    assert len(cloud.requests) == 1


def test_a_short_wait_is_honoured_and_a_long_one_is_passed_on() -> None:
    pauses: list[float] = []
    short = FakeCloud(script=[FakeReply(429, {"retry-after": "2"})])
    long = FakeCloud(script=[FakeReply(429, {"retry-after": "3600"})])

    assert send(short, Writer(), pauses=pauses).status == 200
    assert send(long, Writer(), pauses=pauses).status == 429
    assert pauses == [2.0]
    assert len(long.requests) == 1


def test_a_deadline_shortens_the_time_of_a_request() -> None:
    cloud = FakeCloud()
    send(cloud, Writer(), deadline_s=0.5)
    send(cloud, Writer())

    assert cloud.limits == [0.5, 600.0]


def test_an_answer_beyond_the_limit_is_cut_off_and_closed() -> None:
    reply = FakeReply(pieces=[b"x" * 10, b"x" * 10])
    with pytest.raises(UpstreamError, match="15 bytes"):
        run(read_whole(reply, 15))

    assert reply.closed
