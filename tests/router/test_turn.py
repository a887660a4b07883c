from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from registry.entities import EvidenceType, Lane, PromptTrim, SpecialistKind, Status, Verdict
from registry.errors import ConfigError, EngineError, LedgerError, RedactionError, RefusedError, UpstreamError
from registry.settings import PolicyRule, PolicySettings, UpstreamSettings
from router.engine.protocol import FinishReason
from router.exchange import CollectingWire, CutStreamError, TurnError
from router.problems import InvalidRequestError, UnservedError, problem_of
from router.upstream import UnreachableError, UpstreamStatusError
from tests.router.making import (
    FakeReply,
    World,
    delta,
    frames,
    hang,
    incoming,
    run,
    settings,
    specialist,
    sse,
    streamed_text,
    task,
    world,
)

SECRET = "bob@example.org"
TRIM = PromptTrim(prefix="Classify this commit.\n")


def content(wire: CollectingWire) -> Any:
    return json.loads(wire.body)["choices"][0]["message"]["content"]


async def failure(made: World, body: dict[str, Any], headers: dict[str, str] | None = None) -> TurnError:
    with pytest.raises(TurnError) as caught:
        await made.ask(body, headers)
    return caught.value


# The cloud lane.


def test_the_cloud_answers_and_the_ledger_has_it_all(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            wire = await made.ask(task("hello", metadata={"workflow": "greet"}))
            (one,) = made.interactions()

            assert content(wire) == "echo hello"
            assert wire.headers["x-modelbreeder-interaction"] == one.intent.interaction_id
            assert wire.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert wire.headers["x-modelbreeder-model"] == "vendor/gpt-5.4"
            assert wire.headers["x-modelbreeder-redactions"] == "none"
            assert one.intent.envelope.workflow == "greet"
            assert one.outcome is not None
            assert one.outcome.status is Status.OK
            assert one.outcome.usage is not None
            assert (one.outcome.usage.prompt_tokens, one.outcome.usage.source) == (100, "upstream")
            assert one.outcome.cost_usd == pytest.approx(100 * 2e-6 + 10 * 10e-6)
            assert one.outcome.latency_ms is not None
            assert [note.type for note in one.evidence] == [EvidenceType.ESCALATION]

    run(scene())


def test_an_answer_passes_byte_for_byte_where_nothing_was_masked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            raw = b'{"choices": [{"message":  {"content":"x"}}], "model":"gpt-5.4-0101",  "vendor": [1.50]}'
            made.cloud.script = [FakeReply(pieces=[raw[:9], raw[9:]])]

            assert (await made.ask(task())).body == raw

    run(scene())


def test_a_secret_never_reaches_the_cloud_nor_the_ledger_and_is_restored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            wire = await made.ask(task(f"mail {SECRET}"))
            told = json.dumps(made.cloud.requests) + str(made.interactions())

            assert content(wire) == f"echo mail {SECRET}"
            assert wire.headers["x-modelbreeder-redactions"] == "PIIEMAIL=1"
            assert SECRET not in told
            assert "PIIEMAIL1" in told

    run(scene())


def test_a_private_server_that_is_named_gets_the_request_as_it_came(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            wire = await made.ask({**task(f"mail {SECRET}, customer_12"), "model": "mine/llama"})

            assert content(wire) == f"echo mail {SECRET}, customer_12"
            assert made.private.requests[0]["messages"][0]["content"] == f"mail {SECRET}, customer_12"
            assert made.cloud.requests == []
            assert wire.headers["x-modelbreeder-lane"] == "local_private"
            assert SECRET not in str(made.interactions()[0].intent)

    run(scene())


def test_hints_are_stripped_and_other_metadata_stays_where_the_upstream_may_have_it(tmp_path: Path) -> None:
    known = settings().upstreams
    upstreams = {**known, "vendor": known["vendor"].model_copy(update={"pass_fields": ("metadata",)})}

    async def scene() -> None:
        async with world(tmp_path, settings(upstreams=upstreams)) as made:
            await made.ask(task(metadata={"workflow": "w", "user": "7"}), {"X-ModelBreeder-Session": "s"})

            assert made.cloud.requests[0]["metadata"] == {"user": "7"}
            assert made.interactions()[0].intent.envelope.session == "s"

    run(scene())


def test_a_stream_passes_in_frames_and_ends_after_its_outcome_is_stored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:

            class Watching(CollectingWire):
                @override
                async def write(self, frame: bytes) -> None:
                    await super().write(frame)
                    self.stored = [one.outcome is not None for one in made.interactions()]

            usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
            made.cloud.script = [FakeReply(pieces=sse(delta("he"), delta("llo"), delta(finish="stop"), usage))]
            wire = Watching()
            await made.deps.turns.respond(incoming(task(stream=True)), wire)

            assert streamed_text(wire) == "hello"
            assert frames(wire)[-1] == "[DONE]"
            assert wire.ended
            assert wire.stored == [True]
            assert len(frames(wire)) == 4
            assert made.cloud.requests[0]["stream_options"] == {"include_usage": True}

    run(scene())


def test_usage_is_streamed_to_a_client_that_asked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            usage = {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
            made.cloud.script = [FakeReply(pieces=sse(delta("hi"), delta(finish="stop"), usage))]
            wire = await made.ask(task(stream=True, stream_options={"include_usage": True}))

            assert frames(wire)[-2] == usage

    run(scene())


def test_missing_usage_is_estimated_and_said_to_be(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [
                FakeReply(pieces=[json.dumps({"choices": [{"message": {"content": "abcd"}}]}).encode()])
            ]
            await made.ask(task("hello there"))
            outcome = made.interactions()[0].outcome

            assert outcome is not None
            assert outcome.usage is not None
            assert (outcome.usage.source, outcome.usage.completion_tokens) == ("estimate", 1)

    run(scene())


@pytest.mark.parametrize(
    "reply",
    [
        FakeReply(pieces=sse(delta("he"), done=False)),
        FakeReply(pieces=sse(delta("he"), done=False), breaks=UpstreamError("reset")),
        FakeReply(pieces=sse(delta("he"), {"error": {"message": "boom"}}, done=False)),
        FakeReply(pieces=[*sse(delta("he"), done=False), b"data: {nonsense\n\n"]),
    ],
)
def test_a_broken_stream_gives_an_error_frame_and_is_never_ended(tmp_path: Path, reply: FakeReply) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [reply]
            wire = CollectingWire()
            with pytest.raises(CutStreamError):
                await made.deps.turns.respond(incoming(task(stream=True)), wire)
            outcome = made.interactions()[0].outcome

            assert not wire.ended
            assert "error" in frames(wire)[-1]
            assert "[DONE]" not in frames(wire)
            assert reply.closed
            assert outcome is not None
            assert outcome.status is Status.TRUNCATED
            assert "he" in str(outcome.response)

    run(scene())


@pytest.mark.parametrize("pieces", [[], sse(done=False), [b"garbage\n\n"]])
def test_a_stream_that_breaks_before_its_first_frame_is_a_plain_error(tmp_path: Path, pieces: list[bytes]) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [FakeReply(pieces=pieces)]
            error = await failure(made, task(stream=True))
            outcome = made.interactions()[0].outcome

            assert isinstance(error.cause, UpstreamError)
            assert outcome is not None
            assert outcome.status is Status.ERROR

    run(scene())


def test_an_upstreams_refusal_is_recorded_and_passed_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            said = json.dumps({"error": {"message": "PIIEMAIL1 is bad", "code": "c"}}).encode()
            made.cloud.script = [FakeReply(400, pieces=[said])]
            error = await failure(made, task(f"mail {SECRET}"))
            outcome = made.interactions()[0].outcome

            assert isinstance(error.cause, UpstreamStatusError)
            assert error.cause.said.message == f"{SECRET} is bad"
            assert error.headers["x-modelbreeder-model"] == "vendor/gpt-5.4"
            assert outcome is not None
            assert outcome.error == "upstream 'vendor' answered 400: PIIEMAIL1 is bad"

    run(scene())


def test_a_clouds_failure_is_told_to_the_client_with_the_real_values_and_kept_without(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            said = json.dumps({"error": "no room for PIIEMAIL1, ask eve@example.org"}).encode()
            made.cloud.script = [FakeReply(501, pieces=[said])]
            error = await failure(made, task(f"mail {SECRET}"))
            outcome = made.interactions()[0].outcome

            assert f"no room for {SECRET}" in problem_of(error.cause).message
            assert outcome is not None
            told = "no room for PIIEMAIL1, ask PIIEMAIL2@masked.invalid"
            assert outcome.error == f"upstream 'vendor' answered 501: {told}"

    run(scene())


@pytest.mark.parametrize("padding", [68, 74, 290])
@pytest.mark.parametrize("status", [200, 501])
def test_a_secret_that_a_cut_would_hide_from_the_detectors_is_in_no_message(
    tmp_path: Path, status: int, padding: int
) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            said = b"x" * padding + b" " + SECRET.encode()
            made.private.script = [FakeReply(status, pieces=[said])]
            error = await failure(made, {**task(f"mail {SECRET}"), "model": "mine/llama"})

            assert "bob" not in str(error)
            assert "bob" not in str(made.interactions())

    run(scene())


@pytest.mark.parametrize("event", ["no json bob@example.org", '["bob@example.org"]'])
def test_an_event_that_cannot_be_read_is_not_quoted(tmp_path: Path, event: str) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.private.script = [FakeReply(pieces=[f"data: {event}\n\n".encode()])]
            error = await failure(made, {**task(stream=True), "model": "mine/llama"})

            assert "bob" not in str(error)

    run(scene())


def test_a_model_that_ollamas_cloud_runs_is_no_private_one(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            asked = {**task(f"mail {SECRET}"), "model": "mine/gpt-oss:120b-Cloud"}
            wire = await made.ask(asked)
            kept = await failure(made, {**asked, "metadata": {"data-class": "client"}})

            assert content(wire) == f"echo mail {SECRET}"
            assert wire.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert len(made.private.requests) == 1
            assert SECRET not in str(made.private.requests)
            assert isinstance(kept.cause, UnservedError)

    run(scene())


def test_the_name_of_an_upstream_does_not_decide_whether_its_answer_is_masked(tmp_path: Path) -> None:
    async def scene() -> None:
        private = UpstreamSettings(base_url="http://127.0.0.1:9/v1", trust="private")
        async with world(tmp_path, settings(upstreams={"none": private}, policy=PolicySettings())) as made:
            wire = await made.ask({**task(f"mail {SECRET}"), "model": "none/llama"})

            assert content(wire) == f"echo mail {SECRET}"
            assert SECRET not in str(made.interactions())

    run(scene())


def test_the_clients_request_id_comes_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            named = await made.ask(task(), {"X-Request-Id": "mine-7"})
            unnamed = await made.ask(task())

            assert named.headers["x-request-id"] == "mine-7"
            assert unnamed.headers["x-request-id"] == unnamed.headers["x-modelbreeder-interaction"]

    run(scene())


def test_a_second_attempt_has_what_is_left_of_the_deadline(tmp_path: Path) -> None:
    async def scene() -> None:
        now = [0.0]

        def late(text: str) -> str:
            now[0] += 3.0
            return " "

        async with world(tmp_path, monotonic=lambda: now[0]) as made:
            made.promote()
            made.engine.say = late
            await made.ask(task(metadata={"deadline-ms": 5000}))

            assert made.cloud.limits == [2.0]

    run(scene())


def test_an_answer_that_is_no_completion_is_an_error(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [FakeReply(pieces=[b'{"ok": true}'])]

            assert "no chat completion" in str(await failure(made, task()))

    run(scene())


# The local lane.


def test_a_champion_answers_although_the_client_names_a_vendors_model(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(trim=TRIM, examples=(("a", "b"),))
            wire = await made.ask(task(f"Classify this commit.\nmail {SECRET}"))
            (one,) = made.interactions()
            asked = made.engine.requests[0]

            assert content(wire) == f"local mail {SECRET}"
            assert json.loads(wire.body)["model"] == "gpt-5.4"
            assert wire.headers["x-modelbreeder-model"] == "commit-type@1"
            assert wire.headers["x-modelbreeder-lane"] == "local_fast"
            assert wire.headers["x-modelbreeder-held"] == "answer"
            assert made.cloud.requests == []
            assert [message.content for message in asked.messages] == ["a", "b", "mail PIIEMAIL1@masked.invalid"]
            assert asked.temperature == 0.0
            assert asked.max_tokens == 256
            assert asked.adapter is not None
            assert one.outcome is not None
            assert one.outcome.confidence == -0.1
            assert one.outcome.cost_usd == 0.0
            assert one.outcome.cloud_cost_usd is not None
            assert one.outcome.cloud_cost_usd > 0
            assert SECRET not in str(one)

    run(scene())


def test_a_held_answer_can_be_streamed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            wire = await made.ask(task(stream=True, stream_options={"include_usage": True}))

            assert streamed_text(wire) == "local Classify this commit.\nfix typo"
            assert frames(wire)[-1] == "[DONE]"
            assert frames(wire)[-2]["usage"]["prompt_tokens"] == 20
            assert frames(wire)[-3]["choices"][0]["finish_reason"] == "stop"
            assert wire.ended

    run(scene())


def test_without_a_threshold_an_answer_is_streamed_as_it_is_decoded(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(threshold=-math.inf)
            wire = await made.ask(task(f"Classify this commit.\nmail {SECRET} now", stream=True))

            assert streamed_text(wire) == f"local Classify this commit.\nmail {SECRET} now"
            assert len(frames(wire)) > 4
            assert wire.headers["x-modelbreeder-held"] == "none"
            assert wire.ended

    run(scene())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"confidence": -0.9}, "below the threshold"),
        ({"confidence": math.nan}, "confidence none"),
        ({"say": lambda _: " "}, "empty"),
        ({"finish": FinishReason.LENGTH}, "limit of 256 tokens"),
    ],
)
def test_a_weak_answer_escalates_with_its_parent_and_evidence(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            for name, value in changes.items():
                setattr(made.engine, name, value)
            wire = await made.ask(task())
            weak, answer = made.interactions()

            assert content(wire).startswith("echo ")
            assert wire.headers["x-modelbreeder-interaction"] == answer.intent.interaction_id
            assert answer.intent.parent_id == weak.intent.interaction_id
            assert answer.intent.decision.rule == "weak-answer"
            assert why in answer.intent.decision.local_reason
            assert weak.outcome is not None
            assert weak.outcome.status is Status.ESCALATED
            assert weak.outcome.response is not None
            assert [note.type for note in weak.evidence] == [EvidenceType.WEAK_ANSWER]
            assert [note.type for note in answer.evidence] == [EvidenceType.ESCALATION]

    run(scene())


def test_an_answer_as_short_as_the_client_asked_is_not_weak(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.engine.finish = FinishReason.LENGTH
            wire = await made.ask(task(max_tokens=5))

            assert made.engine.requests[0].max_tokens == 5
            assert json.loads(wire.body)["choices"][0]["finish_reason"] == "length"
            assert made.cloud.requests == []

    run(scene())


def test_a_json_object_is_asked_of_a_specialist_and_checked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(threshold=-math.inf)
            wanted = task(response_format={"type": "json_object"})
            made.engine.say = lambda _: '{"type":"fix"}'
            good = await made.ask(wanted)
            made.engine.say = lambda _: "fix"
            await made.ask(wanted)
            first, second, third = made.interactions()

            assert content(good) == '{"type":"fix"}'
            assert first.outcome is not None
            assert first.outcome.verification == [{"name": "response_format", "ok": True, "why": ""}]
            assert second.outcome is not None
            assert second.outcome.status is Status.ESCALATED
            assert third.intent.parent_id == second.intent.interaction_id

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_an_engine_that_fails_hands_over_to_the_cloud(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(threshold=-math.inf)
            made.engine.fails = EngineError("the engine died")
            made.cloud.script = [FakeReply(pieces=sse(delta("x"), delta(finish="stop")))] if stream else []
            wire = await made.ask(task(stream=stream))
            failed, answer = made.interactions()

            assert wire.ended
            assert failed.outcome is not None
            assert failed.outcome.status is Status.ESCALATED
            assert failed.outcome.error == "the engine died"
            assert [note.type for note in failed.evidence] == [EvidenceType.FALLBACK]
            assert answer.intent.decision.rule == "local-failed"

    run(scene())


def test_an_engine_that_fails_in_the_middle_of_a_stream_cuts_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(threshold=-math.inf)
            made.engine.fails, made.engine.fails_after = EngineError("the engine died"), 2
            wire = CollectingWire()
            with pytest.raises(CutStreamError):
                await made.deps.turns.respond(incoming(task(stream=True)), wire)
            outcome = made.interactions()[0].outcome

            assert not wire.ended
            assert "died" in frames(wire)[-1]["error"]["message"]
            assert outcome is not None
            assert outcome.status is Status.TRUNCATED

    run(scene())


def test_a_damaged_adapter_hands_over_to_the_cloud(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            champion = made.promote()
            file = made.home.artifacts / str(champion.adapter_sha256)[:2] / str(champion.adapter_sha256)
            file.chmod(0o600)
            file.write_bytes(b"damaged")
            wire = await made.ask(task())

            assert content(wire).startswith("echo ")
            assert "damaged" in made.interactions()[1].intent.decision.local_reason

    run(scene())


def test_a_weak_answer_that_may_not_escalate_is_given_and_marked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.engine.confidence = -2.0
            wire = await made.ask(task(metadata={"allow-escalation": "false"}))
            (one,) = made.interactions()

            assert content(wire).startswith("local ")
            assert "below the threshold" in wire.headers["x-modelbreeder-weak"]
            assert [note.type for note in one.evidence] == [EvidenceType.WEAK_ANSWER]
            assert made.cloud.requests == []

    run(scene())


def test_customer_data_is_served_locally_and_never_escalates(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.engine.confidence = -2.0
            wire = await made.ask(task("Classify this commit.\nfor customer_77"))
            made.engine.fails = EngineError("dead")
            error = await failure(made, task("Classify this commit.\nfor customer_77"))

            assert content(wire).endswith("for customer_77")
            assert wire.headers["x-modelbreeder-lane"] == "local_private"
            assert isinstance(error.cause, EngineError)
            assert made.cloud.requests == []

    run(scene())


def test_customer_data_without_a_specialist_goes_nowhere(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            error = await failure(made, {**task("for customer_77"), "model": "cloud"})
            (one,) = made.interactions()

            assert isinstance(error.cause, UnservedError)
            assert one.outcome is not None
            assert one.outcome.status is Status.REFUSED
            assert one.intent.decision.lane is Lane.NO_OP
            assert made.cloud.requests == []

    run(scene())


@pytest.mark.parametrize(
    "body",
    [
        task(tools=[{"type": "function", "function": {"name": "f"}}]),
        task(n=2),
        task("Another template.\nfix"),
    ],
)
def test_a_request_of_another_shape_goes_to_the_cloud(tmp_path: Path, body: dict[str, Any]) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(trim=TRIM)
            wire = await made.ask(body)

            assert wire.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert made.engine.requests == []

    run(scene())


def test_a_failed_champion_serves_only_by_hand(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(verdict=Verdict.FAIL, reason=" ")
            first = await made.ask(task())
            made.promote(verdict=Verdict.FAIL, by="ann", reason="good enough for me")
            second = await made.ask(task())

            assert first.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert second.headers["x-modelbreeder-lane"] == "local_fast"
            assert "promoted by hand (ann: good enough for me)" in second.headers["x-modelbreeder-reason"]

    run(scene())


def test_a_specialist_can_be_asked_by_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.promote()
            wire = await made.ask({**task(), "model": "commit-type@1"})

            assert wire.headers["x-modelbreeder-model"] == "commit-type@1"
            assert json.loads(wire.body)["model"] == "commit-type@1"

    run(scene())


@pytest.mark.parametrize(
    ("model", "hint"),
    [("local", {"lane": "cloud"}), ("cloud", {"lane": "local_private"}), ("workflow:a", {"workflow": "b"})],
)
def test_a_hint_that_contradicts_the_model_name_is_an_error(tmp_path: Path, model: str, hint: dict[str, str]) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            with pytest.raises(InvalidRequestError):
                await made.ask({**task(metadata=hint), "model": model})
            assert made.interactions() == []

    run(scene())


def test_a_missing_engine_is_the_reason_for_the_cloud(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, engine_missing="the local engine is not installed") as made:
            made.promote()
            wire = await made.ask(task())

            assert wire.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert "not installed" in wire.headers["x-modelbreeder-reason"]

    run(scene())


def test_a_rollback_sends_the_next_request_to_the_cloud(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            first = await made.ask(task())
            made.catalog.rollback("commit-type", by="ann", reason="worse", at=made.deps.outside.clock())
            second = await made.ask(task())

            assert first.headers["x-modelbreeder-lane"] == "local_fast"
            assert second.headers["x-modelbreeder-lane"] == "cloud_escalation"

    run(scene())


# Failures of the cloud, and what policy allows then.


def test_a_champion_stands_in_for_a_cloud_that_failed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.cloud.script = [UnreachableError("down"), UnreachableError("down")]
            wire = await made.ask(task(metadata={"retry-count": "2"}))
            failed, answer = made.interactions()

            assert content(wire).startswith("local ")
            assert failed.outcome is not None
            assert failed.outcome.status is Status.ERROR
            assert answer.intent.parent_id == failed.intent.interaction_id
            assert answer.intent.decision.rule == "cloud-failed"
            assert [note.type for note in answer.evidence] == [EvidenceType.FALLBACK]

    run(scene())


def test_what_a_private_server_says_is_masked_before_a_specialist_stands_in(tmp_path: Path) -> None:
    async def scene() -> None:
        mine = settings(policy=PolicySettings(cloud="mine/llama"))
        async with world(tmp_path, mine) as made:
            made.promote()
            said = json.dumps({"error": f"no room for {SECRET}"}).encode()
            made.private.script = [FakeReply(501, pieces=[said])]
            asked = task(f"Classify this commit.\nmail {SECRET}", metadata={"retry-count": 2})
            wire = await made.ask({**asked, "model": "auto"})
            failed, answer = made.interactions()

            assert content(wire).startswith("local ")
            assert "no room for PIIEMAIL1" in wire.headers["x-modelbreeder-reason"]
            assert "no room for PIIEMAIL1" in str(answer.evidence)
            assert SECRET not in str((failed, answer))

    run(scene())


def test_a_stand_in_that_fails_too_does_not_hide_what_the_cloud_said(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.engine.fails = EngineError("the engine died")
            made.cloud.script = [FakeReply(429, {"retry-after": "60"}, pieces=[b'{"error": "slow down"}'])]
            error = await failure(made, task(metadata={"retry-count": 2}))

            assert isinstance(error.cause, UpstreamStatusError)
            assert (error.cause.status, error.cause.retry_after) == (429, "60")
            assert error.headers["x-modelbreeder-model"] == "vendor/gpt-5.4"

    run(scene())


def test_nobody_stands_in_for_a_request_that_was_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            made.cloud.script = [FakeReply(400, pieces=[b"{}"])]

            assert isinstance((await failure(made, task(metadata={"retry-count": 2}))).cause, UpstreamStatusError)
            assert made.engine.requests == []

    run(scene())


def test_policy_that_forbids_is_told_from_means_that_lack(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            forbidden = await failure(made, task(), {"X-ModelBreeder-Allow-Escalation": "false"})
            assert type(forbidden.cause) is RefusedError
        async with world(tmp_path, settings(policy=PolicySettings())) as made:
            helpless = await failure(made, {**task(), "model": "unlisted"})
            assert isinstance(helpless.cause, UnservedError)

    run(scene())


# Fail closed.


@pytest.mark.parametrize("depth", [260, 900])
def test_what_cannot_be_inspected_goes_nowhere_and_leaves_no_content(tmp_path: Path, depth: int) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote()
            nested: Any = SECRET
            for _ in range(depth):
                nested = [nested]
            error = await failure(made, {**task(), "deep": nested})
            (one,) = made.interactions()

            assert isinstance(error.cause, RedactionError)
            assert error.headers["x-modelbreeder-interaction"] == one.intent.interaction_id
            assert error.headers["x-modelbreeder-lane"] == "no_op"
            assert made.cloud.requests == []
            assert made.engine.requests == []
            assert one.intent.request_received is None
            assert one.intent.decision.rule == "redaction-failed"
            assert SECRET not in str(one)

    run(scene())


def test_nothing_is_sent_once_the_ledger_is_closed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.deps.writer.close()

            assert isinstance((await failure(made, task())).cause, LedgerError)
            assert made.cloud.requests == []

    run(scene())


# A client that leaves.


async def leave(
    made: World, body: dict[str, Any], hanging: asyncio.Event, wire: CollectingWire | None = None
) -> CollectingWire:
    """Ask, and leave once the answer hangs."""
    wire = wire or CollectingWire()
    turn = asyncio.create_task(made.deps.turns.respond(incoming(body), wire))
    await hanging.wait()
    wire.gone = True
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    return wire


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_closes_the_upstream(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            reply = FakeReply(pieces=sse(delta("par"), done=False), hangs=True)
            made.cloud.script = [reply]
            await leave(made, task(stream=stream), reply.hanging)
            outcome = made.interactions()[0].outcome

            assert reply.closed
            assert outcome is not None
            assert outcome.status is Status.CLIENT_CANCELLED
            assert ("par" in str(outcome.response)) is stream

    run(scene())


@pytest.mark.parametrize("threshold", [-math.inf, -0.5])
def test_a_client_that_leaves_stops_the_decoding(tmp_path: Path, threshold: float) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(threshold=threshold)
            made.engine.hangs = True
            await leave(made, task(stream=True), made.engine.hanging)
            outcome = made.interactions()[0].outcome

            assert made.engine.cancelled == 1
            assert outcome is not None
            assert outcome.status is Status.CLIENT_CANCELLED

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_after_the_outcome_is_stored_changes_nothing(tmp_path: Path, stream: bool) -> None:
    hanging = asyncio.Event()

    class Slow(CollectingWire):
        @override
        async def answer(self, headers: Any, body: bytes) -> None:
            await hang(hanging)

        @override
        async def end(self) -> None:
            await hang(hanging)

    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [FakeReply(pieces=sse(delta("x"), delta(finish="stop")))] if stream else []
            await leave(made, task(stream=stream), hanging, Slow())
            outcome = made.interactions()[0].outcome

            assert outcome is not None
            assert outcome.status is Status.OK

    run(scene())


def test_kinds_that_bring_their_own_file_or_none_are_served(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            made.promote(kind=SpecialistKind.MERGED, adapter_sha256=None)
            await made.ask(task())

            assert made.engine.requests[0].adapter is None
            assert specialist().adapter_sha256 is not None

    run(scene())


def test_a_data_class_that_nobody_knows_is_refused_and_sent_nowhere(tmp_path: Path) -> None:
    async def scene() -> None:
        rule = PolicyRule(name="vault", when={"data_class": "== vault"}, lane=Lane.NO_OP)
        policy = PolicySettings(cloud="vendor/gpt-5.4", rules=(rule,), local_only_classes=("ward",))
        async with world(tmp_path, settings(policy=policy)) as made:
            with pytest.raises(InvalidRequestError, match="'cleint' is not known; known are .*client.*vault.*ward"):
                await made.ask(task(metadata={"data-class": "cleint"}))
            assert not made.cloud.requests
            await made.ask(task(metadata={"data-class": "code"}))
            assert len(made.cloud.requests) == 1

    run(scene())


def test_a_type_of_customer_data_that_nothing_finds_is_a_configuration_error(tmp_path: Path) -> None:
    async def scene() -> None:
        policy = PolicySettings(cloud="vendor/gpt-5.4", customer_data_types=("CUSTOMR",))
        with pytest.raises(ConfigError, match="no redaction rule finds 'CUSTOMR'; known types: .*CUSTOMER"):
            async with world(tmp_path, settings(policy=policy)):
                pass

    run(scene())
