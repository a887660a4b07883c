"""Specialists that need no engine, behind the whole turn: routed, judged, recorded, escalated like any other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from registry.artifacts import ArtifactStore
from registry.entities import EvidenceType, Interaction, Lane, PromptTrim, Specialist, SpecialistKind, Status
from registry.settings import LocalSettings, Settings, UpstreamSettings
from router.deps import NO_ENGINE
from router.exchange import CollectingWire, TurnError
from router.problems import UnservedError, problem_of
from tests.router.making import FakeReply, World, frames, run, settings, streamed_text, task, world
from tests.router.rungs.making import write_linear, write_table

PREFIX = "Classify this commit.\n"
TRIM = PromptTrim(prefix=PREFIX)
CLUES = {"docs": "readme", "fix": "bug", "test": "coverage"}


def promote(made: World, kind: SpecialistKind, path: Path, **changes: Any) -> Specialist:
    digest = ArtifactStore(made.home.artifacts).add(path)
    given = {"threshold": math.log(0.5), **changes}
    return made.promote(kind=kind, base_sha256=digest, adapter_sha256=None, trim=TRIM, **given)


def linear(made: World, **changes: Any) -> Specialist:
    return promote(made, SpecialistKind.LINEAR, write_linear(made.home.data / "linear", CLUES), **changes)


def table(made: World, **known: str) -> Specialist:
    return promote(made, SpecialistKind.TABLE, write_table(made.home.data / "table", known), threshold=0.0)


def content(wire: CollectingWire) -> Any:
    return json.loads(wire.body)["choices"][0]["message"]["content"]


def named(text: str, **more: Any) -> dict[str, Any]:
    return task(f"{PREFIX}{text}", **more)


@pytest.mark.parametrize("missing", ["", NO_ENGINE])
def test_a_linear_champion_answers_with_or_without_an_engine_installed(tmp_path: Path, missing: str) -> None:
    async def scene() -> None:
        async with world(tmp_path, engine_missing=missing) as made:
            linear(made)
            wire = await made.ask(named("explain the readme"))
            (one,) = made.interactions()

            assert content(wire) == "docs"
            assert wire.headers["x-modelbreeder-lane"] == "local_fast"
            assert wire.headers["x-modelbreeder-model"] == "commit-type@1"
            assert wire.headers["x-modelbreeder-held"] == "answer"
            assert made.cloud.requests == []
            assert made.engine.requests == []
            assert json.loads(wire.body)["usage"]["completion_tokens"] > 0
            assert one.outcome is not None
            assert one.outcome.usage is not None
            assert one.outcome.usage.source == "estimate"
            assert one.outcome.confidence is not None
            assert math.log(0.5) < one.outcome.confidence < 0
            assert one.outcome.ttft_ms is not None
            assert one.outcome.cost_usd == 0.0
            assert (one.outcome.cloud_cost_usd or 0) > 0

    run(scene())


@pytest.mark.parametrize("threshold", [-math.inf, math.log(0.5)])
def test_a_streamed_request_gets_the_answer_in_one_piece(tmp_path: Path, threshold: float) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            linear(made, threshold=threshold)
            wire = await made.ask(named("a bug", stream=True, stream_options={"include_usage": True}))

            assert streamed_text(wire) == "fix"
            assert frames(wire)[-1] == "[DONE]"
            assert frames(wire)[-2]["usage"]["completion_tokens"] > 0
            assert len(frames(wire)) == 4
            assert wire.ended

    run(scene())


def test_an_unsure_classifier_hands_on_and_its_answer_is_kept_as_weak(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            linear(made, threshold=math.log(0.9))
            wire = await made.ask(named("zyx"))
            weak, cloud = made.interactions()

            assert content(wire) == f"echo {PREFIX}zyx"
            assert wire.headers["x-modelbreeder-reason"].startswith("weak-answer: confidence -1.")
            assert weak.outcome is not None
            assert weak.outcome.status is Status.ESCALATED
            assert [note.type for note in weak.evidence] == [EvidenceType.WEAK_ANSWER]
            assert cloud.intent.parent_id == weak.intent.interaction_id

    run(scene())


def test_a_table_answers_what_it_has_seen_and_hands_on_the_rest(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            table(made, again="chore")

            assert content(await made.ask(named("again"))) == "chore"
            wire = await made.ask(named("never"))
            known, weak, cloud = made.interactions()

            assert content(wire) == f"echo {PREFIX}never"
            assert wire.headers["x-modelbreeder-reason"] == "weak-answer: no task like this was seen before"
            assert known.outcome is not None
            assert known.outcome.confidence == 0.0
            assert weak.outcome is not None
            assert (weak.outcome.status, weak.outcome.confidence) == (Status.ESCALATED, None)
            assert cloud.intent.decision.lane is Lane.CLOUD_ESCALATION

    run(scene())


def test_a_task_that_must_stay_here_and_is_in_no_table_is_an_error_not_an_empty_answer(tmp_path: Path) -> None:
    async def scene() -> tuple[TurnError, list[Interaction]]:
        async with world(tmp_path) as made:
            table(made, again="chore")
            with pytest.raises(TurnError) as caught:
                await made.ask(named("never", metadata={"data-class": "client"}))
            assert made.cloud.requests == []
            return caught.value, made.interactions()

    failure, (one,) = run(scene())

    assert isinstance(failure.__cause__, UnservedError)
    assert "commit-type@1 does not know this task" in str(failure.__cause__)
    assert one.outcome is not None
    assert one.outcome.status is Status.ERROR


def with_base() -> Settings:
    mine = UpstreamSettings(base_url="http://127.0.0.1:9/v1", trust="private", context=8192)
    vendor = settings().upstreams["vendor"]
    return settings(upstreams={"vendor": vendor, "mine": mine}, local=LocalSettings(runtime="mine", base="llama"))


@pytest.mark.parametrize("hint", [{"data-class": "client"}, {"allow-escalation": "false"}, {"lane": "local"}])
def test_a_task_that_must_stay_here_and_is_in_no_table_goes_to_the_general_base(
    tmp_path: Path, hint: dict[str, str]
) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            table(made, again="chore")
            known = await made.ask(named("again", metadata=hint))
            wire = await made.ask(named("never for bob@example.org", metadata=hint))
            _, unknown, answer = made.interactions()

            assert content(known) == "chore"
            assert content(wire) == f"echo {PREFIX}never for bob@example.org"
            assert wire.headers["x-modelbreeder-model"] == "mine/llama"
            assert wire.headers["x-modelbreeder-lane"].startswith("local_")
            assert made.private.requests[0]["model"] == "llama"
            assert made.cloud.requests == []
            assert unknown.outcome is not None
            assert unknown.outcome.status is Status.ESCALATED
            assert answer.intent.parent_id == unknown.intent.interaction_id
            assert [note.type for note in answer.evidence] == [EvidenceType.FALLBACK]
            assert "bob" not in str((unknown, answer))

    run(scene())


def test_a_table_that_is_asked_by_name_is_not_answered_for_by_the_general_base(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            table(made, again="chore")
            with pytest.raises(TurnError, match="does not know this task"):
                await made.ask({**named("never"), "model": "workflow:commit-type"})
            assert made.private.requests == []

    run(scene())


def test_a_table_that_cannot_stand_in_does_not_hide_what_the_cloud_said(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            table(made, again="chore")
            made.cloud.script = [FakeReply(429, {"retry-after": "60"}, pieces=[b'{"error": "slow down"}'])]
            with pytest.raises(TurnError) as caught:
                await made.ask(named("never", metadata={"retry-count": 2}))
            problem = problem_of(caught.value.cause)

            assert (problem.status, problem.message, problem.retry_after) == (429, "slow down", "60")
            assert len(made.interactions()) == 2

    run(scene())


def test_the_client_s_stop_text_ends_the_answer_and_its_token_limit_cuts_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            table(made, a="first\nsecond\nthird", b="ten words " * 10)

            assert content(await made.ask(named("a", stop=["third", "\n"]))) == "first"
            assert content(await made.ask(named("b", max_tokens=1))) == "ten words " * 10

    run(scene())


def test_a_json_object_that_was_asked_for_is_looked_for(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            table(made, a='{"type":"fix"}', b="fix")
            wanted = {"response_format": {"type": "json_object"}}

            assert content(await made.ask(named("a", **wanted))) == '{"type":"fix"}'
            wire = await made.ask(named("b", **wanted))
            assert "the answer is not as asked for: it is no JSON" in wire.headers["x-modelbreeder-reason"]

    run(scene())


def test_values_that_were_masked_are_put_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            table = write_table(made.home.data / "t", {"to PIIEMAIL1@masked.invalid": "ask PIIEMAIL1"})
            promote(made, SpecialistKind.TABLE, table)

            assert content(await made.ask(named("to bob@example.org"))) == "ask bob@example.org"

    run(scene())


def test_a_damaged_file_lets_the_cloud_answer(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.home.data.joinpath("bad").write_bytes(b"not a rung at all")
            promote(made, SpecialistKind.LINEAR, made.home.data / "bad")
            wire = await made.ask(named("a bug"))

            assert content(wire) == f"echo {PREFIX}a bug"
            assert wire.headers["x-modelbreeder-reason"].startswith("local-failed: rung ")

    run(scene())
