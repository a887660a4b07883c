"""What a turn does when a cloud fails: the policy's fallbacks, in order, then whoever may stand in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.entities import EvidenceType, Status
from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.exchange import TurnError
from router.problems import problem_of
from router.upstream import UnreachableError
from tests.router.making import FakeReply, answered, run, task, world


def chain(**policy: Any) -> Settings:
    """Return settings of three clouds; the second speaks Anthropic's dialect, the third has a larger context."""
    upstreams = {
        "first": UpstreamSettings(base_url="https://first.test/v1", attempts=1, context=1000),
        "second": UpstreamSettings(base_url="https://second.test/v1", dialect="anthropic", attempts=1),
        "third": UpstreamSettings(base_url="https://third.test/v1", attempts=1, context=100_000),
    }
    listed = {"cloud": "first/a", "fallbacks": ("second/b", "third/c"), **policy}
    return Settings(upstreams=upstreams, policy=PolicySettings(**listed))


def anthropic_answer(text: str) -> bytes:
    answer = {"id": "m", "type": "message", "role": "assistant", "stop_reason": "end_turn"}
    content = [{"type": "text", "text": text}]
    return json.dumps({**answer, "content": content, "usage": {"input_tokens": 3, "output_tokens": 1}}).encode()


def limited() -> FakeReply:
    return FakeReply(429, headers={"retry-after": "3600"}, pieces=[b"{}"])


def test_a_cloud_that_fails_is_followed_by_the_next_in_its_own_dialect(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            made.cloud.script = [UnreachableError("down"), FakeReply(pieces=[anthropic_answer("from b")])]
            wire = await made.ask(task("hello", model="auto"))
            failed, served = sorted(made.interactions(), key=lambda one: one.intent.parent_id or "")

            assert json.loads(wire.body)["choices"][0]["message"]["content"] == "from b"
            assert wire.headers["x-modelbreeder-model"] == "second/b"
            assert wire.headers["x-modelbreeder-reason"].startswith("cloud-fallback")
            assert made.cloud.requests[1]["max_tokens"] > 0
            assert served.intent.parent_id == failed.intent.interaction_id
            assert {note.type for note in served.evidence} == {EvidenceType.FALLBACK}
            assert failed.outcome is not None
            assert failed.outcome.status is Status.ERROR

    run(scene())


def test_where_all_fail_the_client_hears_of_the_first(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            made.cloud.script = [FakeReply(503), UnreachableError("b is down"), FakeReply(500)]
            with pytest.raises(TurnError) as caught:
                await made.ask(task("hello", model="auto"))

            assert "'first' answered 503" in problem_of(caught.value.cause).message
            assert len(made.interactions()) == 3

    run(scene())


def test_r06_a_prompt_that_is_too_long_goes_to_the_larger_window_only(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            too_long = json.dumps({"error": {"message": "too long", "code": "context_length_exceeded"}}).encode()
            made.cloud.script = [FakeReply(400, pieces=[too_long]), FakeReply(pieces=[answered("from c")])]
            wire = await made.ask(task("hello", model="auto"))

            assert wire.headers["x-modelbreeder-model"] == "third/c"

    run(scene())


def test_r05_a_request_that_is_refused_is_refused_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain()) as made:
            made.cloud.script = [FakeReply(422, pieces=[b'{"error":{"message":"no"}}'])]
            with pytest.raises(TurnError):
                await made.ask(task("hello", model="auto"))

            assert len(made.cloud.requests) == 1

    run(scene())


def test_r03_a_model_that_asked_for_an_hour_is_not_asked_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain(fallbacks=())) as made:
            made.cloud.script = [limited()]
            problems = []
            for _ in range(2):
                with pytest.raises(TurnError) as caught:
                    await made.ask(task("hello", model="auto"))
                problems.append(problem_of(caught.value.cause))

            assert [problem.status for problem in problems] == [429, 429]
            assert 3500 < int(problems[1].retry_after or 0) <= 3600
            assert len(made.cloud.requests) == 1

    run(scene())


def test_a_model_that_rests_is_passed_over(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, chain(fallbacks=("third/c",))) as made:
            made.cloud.script = [limited(), *(FakeReply(pieces=[answered("c")]) for _ in range(2))]
            await made.ask(task("hello", model="auto"))
            wire = await made.ask(task("hello again", model="auto"))

            assert wire.headers["x-modelbreeder-model"] == "third/c"
            assert [body["model"] for body in made.cloud.requests] == ["a", "c", "c"]

    run(scene())
