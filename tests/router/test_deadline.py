"""A client's deadline binds what is done on this machine too: decoding, looking up, verifying."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.entities import Interaction, Status
from registry.settings import PolicySettings, VerifySettings
from router.exchange import CollectingWire, CutStreamError, TurnError
from router.judging import Judge
from router.problems import DeadlineError, problem_of
from router.upstream import UpstreamTimeoutError
from router.verifying.finding import Finding, Reply
from router.verifying.verification import PolicyCheck, Verification
from tests.router.making import FakeReply, World, answered, delta, frames, incoming, run, settings, sse, task, world
from tests.router.test_cascade import held, message_of, with_base

SOON = {"X-ModelBreeder-Deadline-Ms": "300"}


class Patient:
    """A verifier that never comes to an end."""

    async def verify(self, _reply: Reply, _request: Any) -> Finding:
        await asyncio.Event().wait()
        raise AssertionError


def verify_for_ever(made: World) -> None:
    rulebook = made.deps.router.rulebook
    judge = Judge(rulebook.judge.hold, Verification((PolicyCheck("slow", Patient()),)))
    made.deps.router.rulebook = replace(rulebook, judge=judge)


async def asked(made: World, body: dict[str, Any]) -> tuple[CollectingWire, BaseException | None]:
    """Ask with a deadline; return what the client got, and how it failed."""
    wire = CollectingWire()
    try:
        async with asyncio.timeout(60):
            await made.deps.turns.respond(incoming(body, SOON), wire)
    except (TurnError, CutStreamError) as error:
        return wire, error
    return wire, None


def late(error: BaseException | None, one: Interaction) -> None:
    """Check that a request failed by its deadline, and that its interaction says so."""
    assert isinstance(error, TurnError)
    assert isinstance(error.cause, DeadlineError)
    assert (problem_of(error.cause).status, problem_of(error.cause).code) == (504, "deadline_passed")
    assert one.outcome is not None
    assert one.outcome.status is Status.ERROR
    assert "within the deadline of 300 ms" in str(one.outcome.error)


@pytest.mark.parametrize("hold", [None, "answer", 50])
def test_decoding_ends_at_the_deadline_and_nobody_else_is_asked(tmp_path: Path, hold: Any) -> None:
    async def scene() -> None:
        async with world(tmp_path, held(hold or "answer")) as made:
            made.promote()
            made.engine.hangs = True
            _, error = await asked(made, task(stream=hold is not None))
            (one,) = made.interactions()

            late(error, one)
            assert made.engine.cancelled == 1
            assert made.cloud.requests == []

    run(scene())


def test_a_stream_under_way_is_cut_at_the_deadline(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held("none")) as made:
            made.promote()
            made.engine.hangs = True
            wire, error = await asked(made, task(stream=True))
            (one,) = made.interactions()

            assert isinstance(error, CutStreamError)
            assert frames(wire)[-1]["error"]["code"] == "deadline_passed"
            assert not wire.ended
            assert one.outcome is not None
            assert one.outcome.status is Status.TRUNCATED

    run(scene())


@pytest.mark.parametrize("local", ["specialist", "base"])
def test_verifying_ends_at_the_deadline_and_what_is_not_verified_is_not_given(tmp_path: Path, local: str) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            verify_for_ever(made)
            if local == "specialist":
                made.promote()
            _, error = await asked(made, task() if local == "specialist" else task("Summarize this."))
            (one,) = made.interactions()

            late(error, one)
            assert made.cloud.requests == []

    run(scene())


def test_a_stream_that_is_said_ends_well_though_it_could_not_be_verified_in_time(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held("none")) as made:
            verify_for_ever(made)
            made.promote()
            wire, error = await asked(made, task(stream=True))
            (one,) = made.interactions()

            assert error is None
            assert wire.ended
            assert one.outcome is not None
            assert (one.outcome.status, one.outcome.verification) == (Status.OK, None)

    run(scene())


def test_a_base_that_takes_all_the_time_hands_nothing_on(tmp_path: Path) -> None:
    async def scene() -> None:
        now = [0.0]

        class Slow(FakeReply):
            async def chunks(self) -> Any:
                now[0] += 1.0
                raise UpstreamTimeoutError("mine was silent")
                yield b""

        async with world(tmp_path, with_base(), monotonic=lambda: now[0]) as made:
            made.private.script = [Slow()]
            _, error = await asked(made, task("Summarize this."))

            assert isinstance(error, TurnError)
            assert isinstance(error.cause, UpstreamTimeoutError)
            assert made.cloud.requests == []

    run(scene())


def test_an_unsure_answer_is_given_where_the_cloud_takes_all_the_time(tmp_path: Path) -> None:
    given = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", verify=(VerifySettings(name="any", pattern="."),)))

    async def scene() -> None:
        now = [0.0]

        class Slow(FakeReply):
            async def chunks(self) -> Any:
                now[0] += 1.0
                raise UpstreamTimeoutError("vendor was silent")
                yield b""

        async with world(tmp_path, given, monotonic=lambda: now[0]) as made:
            made.promote()
            made.engine.confidence = -0.9
            made.cloud.script = [Slow()]
            wire, error = await asked(made, task())

            assert error is None
            assert message_of(wire)["content"].startswith("local")

    run(scene())


def test_without_a_deadline_nothing_is_bounded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.cloud.script = [FakeReply(pieces=[answered("x")]), FakeReply(pieces=sse(delta("x")))]
            wire = await made.ask(task())

            assert json.loads(wire.body)["choices"][0]["finish_reason"] == "stop"

    run(scene())
