"""What a turn does where the router itself fails: nothing stays open in the ledger, nobody hears what a prompt said."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from registry.entities import Lane, Status
from registry.settings import UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.dialects.chat import Chat
from router.dialects.protocol import Passage, Request
from router.exchange import CollectingWire, Incoming, TurnError
from router.hints import Hints
from router.problems import InvalidRequestError, problem_of
from router.redaction.masking import Masker
from router.upstream import UnreachableError
from tests.faults.in_memory import call
from tests.router.making import NOON, FakeReply, World, answered, delta, run, settings, sse, task, world
from tests.router.test_fallback_chain import chain

SECRET = "bob@example.org"
BUG = RuntimeError(f"a bug with {SECRET}")


async def failure(made: World, body: dict[str, Any]) -> TurnError:
    with pytest.raises(TurnError) as caught:
        await made.ask(body)
    return caught.value


@pytest.mark.parametrize("lane", ["local", "cloud", "private"])
def test_a_bug_closes_its_interaction_and_is_told_without_its_words(
    tmp_path: Path, lane: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            if lane == "local":
                made.promote()
                made.engine.fails = BUG
            else:
                made.cloud.script = made.private.script = [BUG]
            error = await failure(made, task(model="mine/llama") if lane == "private" else task())
            problem = problem_of(error.cause)
            (kept,) = made.interactions()

            assert (problem.status, problem.code) == (500, "internal_error")
            assert SECRET not in problem.message
            assert error.headers["x-modelbreeder-interaction"] == kept.intent.interaction_id
            assert kept.outcome is not None
            assert (kept.outcome.status, kept.outcome.error) == (
                Status.ERROR,
                "a bug of the router: RuntimeError; see its log",
            )
            assert made.deps.ledger.open_intents() == []
            assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [BUG]
            assert kept.intent.interaction_id in caplog.records[0].getMessage()

    run(scene())


def test_a_bug_of_a_second_attempt_closes_that_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            made.cloud.script = [UnreachableError("down"), BUG]
            error = await failure(made, task("hello", model="auto"))
            first, second = sorted(made.interactions(), key=lambda one: one.intent.parent_id or "")

            assert problem_of(error.cause).status == 500
            assert error.headers["x-modelbreeder-interaction"] == second.intent.interaction_id
            assert [one.outcome and one.outcome.status for one in (first, second)] == [Status.ERROR, Status.ERROR]

    run(scene())


class BrokenChat(Chat):
    """A dialect with a bug that comes before anything is recorded."""

    @override
    def passage(self, masker: Masker | None, request: Request) -> Passage:
        raise BUG


def test_a_bug_before_the_intent_leaves_one_row_all_the_same(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            request = BrokenChat().read(json.dumps(task(stream=True)).encode())
            with pytest.raises(TurnError):
                await made.deps.turns.respond(Incoming(BrokenChat(), request, Hints(), {}), CollectingWire())
            (kept,) = made.interactions()

            assert kept.outcome is not None
            assert kept.outcome.status is Status.ERROR
            assert made.cloud.requests == []

    run(scene())


def test_a_bug_in_a_stream_is_an_error_frame_and_no_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            broken: Any = BUG
            made.cloud.script = [FakeReply(pieces=sse(delta("he"), done=False), breaks=broken)]
            app = make_app(made.deps, InFlight(4))
            got = await call(app, "/v1/chat/completions", json.dumps(task(stream=True)).encode())
            (kept,) = made.interactions()
            said, error = got.body.split(b"\n\n")[:-1]

            assert (got.status, got.ended) == (200, False)
            assert b'"he"' in said
            assert json.loads(error[6:])["error"]["code"] == "internal_error"
            assert SECRET.encode() not in got.body
            assert kept.outcome is not None
            assert kept.outcome.status is Status.ERROR

    run(scene())


def test_what_a_models_dialect_has_no_words_for_is_refused_with_one_row(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            error = await failure(made, task("hello", model="second/b", n=2))
            (kept,) = made.interactions()

            assert isinstance(error.cause, InvalidRequestError)
            assert error.cause.param == "n"
            assert error.headers["x-modelbreeder-interaction"] == kept.intent.interaction_id
            assert error.headers["x-modelbreeder-reason"].startswith("untranslatable: second/b ")
            assert (kept.intent.decision.lane, kept.intent.request_sent) == (Lane.NO_OP, None)
            assert kept.outcome is not None
            assert kept.outcome.status is Status.REFUSED
            assert made.cloud.requests == []

    run(scene())


def test_a_fallback_whose_dialect_has_no_words_for_a_request_is_passed_over(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            made.cloud.script = [UnreachableError("down"), FakeReply(pieces=[answered("from c")])]
            wire = await made.ask(task("hello", model="auto", n=2))

            assert wire.headers["x-modelbreeder-model"] == "third/c"

    run(scene())


def test_a_path_that_a_client_chose_is_bounded_and_escaped_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "esc\x1b[2J" + "x" * 500
    broken = False

    def clock() -> datetime:
        if broken:
            raise BUG
        return NOON

    async def scene() -> None:
        nonlocal broken
        upstreams = {"vendor": UpstreamSettings(base_url="https://vendor.test/v1", models=(name,))}
        async with world(tmp_path, settings(upstreams=upstreams), clock=clock) as made:
            broken = True
            with pytest.raises(RuntimeError, match="a bug"):
                await call(make_app(made.deps, InFlight(4)), f"/v1/models/vendor/{name}", method="GET")
            broken = False
        said = caplog.records[-1].getMessage()

        assert said.startswith("GET '/v1/models/vendor/esc\\x1b[2Jxxx")
        assert len(said) < 130

    run(scene())
