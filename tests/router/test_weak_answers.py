"""What becomes of a local answer that is weak: escalated, given all the same, mended, or never made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from registry.entities import EvidenceType, Lane, Status
from registry.errors import UpstreamError
from registry.settings import PolicySettings, VerifySettings
from router import base_lane
from router.exchange import TurnError
from router.upstream import UnreachableError
from tests.router.making import FakeReply, World, answered, delta, run, sse, streamed_text, task, world
from tests.router.making import settings as plain_settings
from tests.router.test_cascade import (
    FORMAT,
    TOOLS,
    arguments_of,
    called,
    calling,
    checks,
    held,
    message_of,
    with_base,
)

DOWN = [UnreachableError("vendor is down")] * 3
ODD = {"type": "json_schema", "json_schema": {"name": "k", "schema": {"$ref": "https://example.org/other"}}}
BARRED = {"X-ModelBreeder-Allow-Escalation": "false"}


def unsure(made: World, text: str = "local answer") -> None:
    made.promote()
    made.engine.confidence = -0.9
    made.engine.say = lambda _: text


async def failure(made: World, body: dict[str, Any], headers: dict[str, str] | None = None) -> TurnError:
    with pytest.raises(TurnError) as caught:
        await made.ask(body, headers)
    return caught.value


# An unsure answer where nobody surer can be asked.


@pytest.mark.parametrize("stream", [False, True])
def test_an_unsure_answer_is_given_and_marked_where_the_cloud_is_down(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            unsure(made)
            made.cloud.script = list(DOWN)
            wire = await made.ask(task(stream=stream))
            weak, failed, given = made.interactions()

            assert (streamed_text(wire) if stream else message_of(wire)["content"]) == "local answer"
            assert wire.ended
            assert len(made.engine.requests) == 1
            assert wire.headers["x-modelbreeder-interaction"] == given.intent.interaction_id
            assert wire.headers["x-modelbreeder-lane"] == Lane.LOCAL_FAST
            assert wire.headers["x-modelbreeder-model"] == "commit-type@1"
            reason = "cloud-failed: the unsure local answer is given all the same: vendor is down"
            assert wire.headers["x-modelbreeder-reason"] == reason
            assert "confidence -0.900 is below" in wire.headers["x-modelbreeder-weak"]
            assert [one.outcome and one.outcome.status for one in (weak, failed, given)] == [
                Status.ESCALATED, Status.ERROR, Status.OK,
            ]  # fmt: skip
            assert given.intent.parent_id == weak.intent.interaction_id
            assert {note.type for note in given.evidence} == {EvidenceType.FALLBACK, EvidenceType.WEAK_ANSWER}
            assert given.outcome is not None
            assert given.outcome.confidence == -0.9

    run(scene())


def test_an_unsure_stream_of_which_only_the_beginning_was_held_is_made_once_more(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, held(2)) as made:
            unsure(made, "one two three four")
            made.cloud.script = list(DOWN)
            wire = await made.ask(task(stream=True))
            _, _, given = made.interactions()

            assert streamed_text(wire) == "one two three four"
            assert wire.ended
            assert "confidence -0.900 is below" in wire.headers["x-modelbreeder-weak"]
            assert given.outcome is not None
            assert given.outcome.status is Status.OK

    run(scene())


def test_an_unsure_answer_is_given_where_policy_is_offline_meanwhile(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            unsure(made)

            def unplug(_: str) -> str:
                rulebook, offline = made.deps.router.rulebook, plain_settings(policy=PolicySettings(offline=True))
                made.deps.router.rulebook = replace(rulebook, settings=offline)
                return "local answer"

            made.engine.say = unplug
            wire = await made.ask(task())

            assert message_of(wire)["content"] == "local answer"
            assert "offline" in wire.headers["x-modelbreeder-reason"]

    run(scene())


@pytest.mark.parametrize("hold", ["answer", 2])
@pytest.mark.parametrize("wrong", ["form", "pattern", "empty"])
def test_an_answer_that_is_not_as_asked_is_never_given_in_place_of_an_error(
    tmp_path: Path, wrong: str, hold: Literal["answer"] | int
) -> None:
    rule = VerifySettings(name="shape", pattern="^feat" if wrong == "pattern" else ".")
    given = plain_settings(policy=PolicySettings(cloud="vendor/gpt-5.4", hold=hold, verify=(rule,)))
    # An empty answer that was seen whole is weak without being unsure, so nothing of it is kept.
    tried = wrong != "empty" or hold == 2

    async def scene() -> None:
        async with world(tmp_path, given) as made:
            unsure(made, "   \n " if wrong == "empty" else "no JSON at all")
            made.cloud.script = list(DOWN)
            form: dict[str, Any] = {"response_format": FORMAT} if wrong == "form" else {}
            error = await failure(made, task(stream=True, **form))
            ended = [one.outcome for one in made.interactions()]

            assert isinstance(error.cause, UpstreamError)
            assert error.headers["x-modelbreeder-lane"] == Lane.CLOUD_ESCALATION
            assert [one and one.status for one in ended[:2]] == [Status.ESCALATED, Status.ERROR]
            assert [one and (one.status, "is not given" in str(one.error)) for one in ended[2:]] == (
                [(Status.ERROR, True)] if tried else []
            )

    run(scene())


def test_the_tokens_of_a_held_answer_count_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            unsure(made)
            made.cloud.script = list(DOWN)
            await made.ask(task())
            weak, _, given = (one.outcome for one in made.interactions())

            assert weak is not None
            assert weak.usage is not None
            assert given is not None
            assert (given.usage, given.cloud_cost_usd) == (None, None)

    run(scene())


def test_a_stand_in_gives_no_answer_that_fails_a_check(tmp_path: Path) -> None:
    rule = VerifySettings(name="shape", pattern="^feat")
    given = plain_settings(policy=PolicySettings(cloud="vendor/gpt-5.4", verify=(rule,)))

    async def scene() -> None:
        async with world(tmp_path, given) as made:
            made.promote()
            made.engine.say = lambda _: "no feat"
            made.cloud.script = list(DOWN)
            error = await failure(made, task(metadata={"retry-count": "2"}))
            failed, refused = (one.outcome for one in made.interactions())

            assert isinstance(error.cause, UpstreamError)
            assert failed is not None
            assert refused is not None
            assert (failed.status, refused.status) == (Status.ERROR, Status.ERROR)
            assert "shape" in str(refused.error)

    run(scene())


def test_a_request_that_the_cloud_itself_refuses_is_not_answered_by_an_unsure_answer(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            unsure(made)
            made.cloud.script = [FakeReply(400, pieces=[b'{"error":{"message":"bad top_p"}}'])]

            assert "bad top_p" in str(await failure(made, task(top_p=7)))

    run(scene())


# Several choices.


def two_choices(*arguments: str) -> FakeReply:
    choices = [
        {"index": place, "message": calling(text), "finish_reason": "tool_calls"}
        for place, text in enumerate(arguments)
    ]
    return FakeReply(pieces=[answered("", choices=choices)])


def test_each_choice_is_verified_and_a_wrong_call_of_the_second_is_mended(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [two_choices('{"n": 1}', '{"n":"two"}'), FakeReply(pieces=[answered('{"n": 2}')])]
            wire = await made.ask(task("Summarize this.", tools=TOOLS, n=2))
            said = [arguments_of(choice["message"]) for choice in json.loads(wire.body)["choices"]]

            assert said == [['{"n": 1}'], ['{"n": 2}']]
            (one,) = made.interactions()
            assert [ok for _, ok in checks(one)] == [True, False, True, True]

    run(scene())


def test_a_stream_whose_second_choice_is_wrong_escalates(tmp_path: Path) -> None:
    second = delta("no JSON", finish="stop")
    second["choices"][0]["index"] = 1

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [FakeReply(pieces=sse(delta('{"kind":"fix"}', finish="stop"), second))]
            made.cloud.script = [FakeReply(pieces=sse(delta("from the cloud"), delta(finish="stop")))]
            wire = await made.ask(task("Summarize this.", response_format=FORMAT, stream=True, n=2))

            assert streamed_text(wire) == "from the cloud"

    run(scene())


# Mending.


def test_a_mended_answer_that_is_no_better_leaves_the_first(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            said = iter(['{"kind":"typo"}', "nonsense"])
            made.engine.say = lambda _: next(said)
            wire = await made.ask(task(response_format=FORMAT), BARRED)

            assert message_of(wire)["content"] == '{"kind":"typo"}'
            assert "$.kind" in wire.headers["x-modelbreeder-weak"]

    run(scene())


def test_a_mended_answer_that_passes_more_than_the_first_is_taken(tmp_path: Path) -> None:
    rule = VerifySettings(name="shape", pattern="nothing has this")
    given = plain_settings(policy=PolicySettings(cloud="vendor/gpt-5.4", verify=(rule,)))

    async def scene() -> None:
        async with world(tmp_path, given) as made:
            made.promote()
            said = iter(['{"kind":"typo"}', '{"kind":"fix"}'])
            made.engine.say = lambda _: next(said)
            wire = await made.ask(task(response_format=FORMAT), BARRED)

            assert message_of(wire)["content"] == '{"kind":"fix"}'
            assert wire.headers["x-modelbreeder-weak"].startswith("shape: ")

    run(scene())


def test_what_a_useless_mending_took_is_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [called('{"n":"two"}'), FakeReply(pieces=[answered("none")])]
            await made.ask(task("Summarize this.", tools=TOOLS), BARRED)
            (one,) = made.interactions()

            assert one.outcome is not None
            assert one.outcome.usage is not None
            assert one.outcome.usage.prompt_tokens == 200
            assert checks(one) == [("tool_calls", False)]

    run(scene())


# A schema that nothing can be checked against.


@pytest.mark.parametrize("local", ["base", "specialist"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_cannot_be_checked_sends_the_task_on_before_anything_is_made(
    tmp_path: Path, local: str, stream: bool
) -> None:
    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            if local == "specialist":
                made.promote()
            reply = FakeReply(pieces=sse(delta("{}", finish="stop")) if stream else [answered("{}")])
            made.cloud.script = [reply]
            asked = task("Summarize this.") if local == "base" else task()
            wire = await made.ask({**asked, "response_format": ODD, "stream": stream})
            passed_over, answer = made.interactions()

            assert (made.engine.requests, made.private.requests) == ([], [])
            assert "no answer can be checked: the schema refers to" in wire.headers["x-modelbreeder-reason"]
            assert answer.intent.decision.rule == "local-failed"
            assert passed_over.outcome is not None
            assert passed_over.outcome.status is Status.ESCALATED
            assert [note.type for note in passed_over.evidence] == [EvidenceType.FALLBACK]

    run(scene())


def test_an_answer_that_cannot_be_checked_is_given_and_says_so_where_nobody_else_may(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            wire = await made.ask(task(response_format=ODD), BARRED)

            assert message_of(wire)["content"].startswith("local")
            assert "no answer can be checked" in wire.headers["x-modelbreeder-weak"]

    run(scene())


def test_arguments_that_cannot_be_checked_are_not_asked_for_again(tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": ODD["json_schema"]["schema"]}}]  # type: ignore[index]

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            made.private.script = [called('{"n": 1}')]
            wire = await made.ask(task("Summarize this.", tools=tools), BARRED)

            assert len(made.private.requests) == 1
            assert "the arguments of 'add' cannot be checked" in wire.headers["x-modelbreeder-weak"]

    run(scene())


# Size.


def test_a_stream_that_is_held_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_lane, "MAX_ANSWER_BYTES", 2000)

    async def scene() -> None:
        async with world(tmp_path, with_base()) as made:
            endless = FakeReply(pieces=sse(*[delta("word ")] * 100))
            made.private.script = [endless]
            made.cloud.script = [FakeReply(pieces=sse(delta('{"kind":"fix"}', finish="stop")))]
            wire = await made.ask(task("Summarize this.", response_format=FORMAT, stream=True))
            failed, _ = made.interactions()

            assert streamed_text(wire) == '{"kind":"fix"}'
            assert endless.closed
            assert failed.outcome is not None
            assert "over 2,000 bytes" in str(failed.outcome.error)

    run(scene())
