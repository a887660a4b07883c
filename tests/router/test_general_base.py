"""Turns that the general local base serves, and what becomes of those that it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.entities import EvidenceType, Lane, PromptTrim, Status
from registry.errors import UnknownModelError, UpstreamError
from registry.settings import LocalSettings, PolicySettings, Settings, UpstreamSettings
from router.dialects.embeddings import Embeddings
from router.exchange import CollectingWire, CutStreamError, Incoming, TurnError
from router.hints import Hints
from router.problems import UnservedError
from router.upstream import UnreachableError
from tests.router.daemon import daemon, post, write_config
from tests.router.making import FakeReply, World, answered, delta, frames, incoming, run, sse, streamed_text, world
from tests.router.recording_upstream import recording_upstream

SECRET = "bob@example.org"
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def settings(upstream: dict[str, Any] | None = None, **policy: Any) -> Settings:
    """Return settings with a cloud called vendor and a general base, llama on the private server mine."""
    prices = {"usd_per_million_input": 2, "usd_per_million_output": 10}
    given = {"models": ("llama",), "trust": "private", "context": 32_768, **(upstream or {})}
    mine = {"base_url": "http://127.0.0.1:9/v1", **given}
    return Settings(
        upstreams={
            "vendor": UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",), **prices),
            "mine": UpstreamSettings(**mine),
        },
        local=LocalSettings(runtime="mine", base="llama"),
        policy=PolicySettings(cloud="vendor/gpt-5.4", **policy),
    )


def ask(text: str = "Summarize this.", **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}], **more}


def content(wire: CollectingWire) -> Any:
    return json.loads(wire.body)["choices"][0]["message"]["content"]


async def failure(made: World, body: dict[str, Any]) -> TurnError:
    with pytest.raises(TurnError) as caught:
        await made.ask(body)
    return caught.value


def test_embeddings_of_the_bases_own_model_are_asked_for_as_embeddings(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            raw = b'{"object":"list","data":[{"embedding":[0.5]}],"usage":{"prompt_tokens":3,"total_tokens":3}}'
            made.private.script = [FakeReply(pieces=[raw])]
            body = Embeddings().read(json.dumps({"model": "mine/llama", "input": "hello"}).encode())
            wire = CollectingWire()
            await made.deps.turns.respond(Incoming(Embeddings(), body, Hints(), {}), wire)

            assert made.private.requests == [{"model": "llama", "input": "hello"}]
            assert wire.body == raw

    run(scene())


def test_the_bare_name_of_a_base_that_no_upstream_lists_is_served_here_and_a_likeness_by_nobody(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings({"models": ()})) as made:
            await made.ask(ask("Plan the move.", model="llama"))
            (one,) = made.interactions()
            for likeness in ("llama:70b", "mine", "local_private", "on-prem"):
                with pytest.raises(UnknownModelError, match="did you mean 'local'"):
                    await made.ask(ask(model=likeness))

            assert one.intent.decision.lane is Lane.LOCAL_PRIVATE
            assert [request["model"] for request in made.private.requests] == ["llama"]
            assert made.cloud.requests == []

    run(scene())


def test_the_base_answers_with_the_real_values_under_its_own_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            wire = await made.ask(ask(f"Summarize the mail of {SECRET}."))
            (one,) = made.interactions()

            assert content(wire) == f"echo Summarize the mail of {SECRET}."
            assert made.private.requests[0]["model"] == "llama"
            assert SECRET in str(made.private.requests)
            assert made.cloud.requests == []
            assert wire.headers["x-modelbreeder-lane"] == "local_fast"
            assert wire.headers["x-modelbreeder-model"] == "mine/llama"
            assert wire.headers["x-modelbreeder-reason"].startswith("general-local: task type summarize")
            assert one.intent.envelope.task_type == "summarize"
            assert one.evidence == ()

    run(scene())


def test_the_ledger_holds_the_bases_answer_masked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            frame = delta(f"mail {SECRET}, not eve@example.org")
            made.private.script = [FakeReply(pieces=sse(frame, delta(finish="stop")))]
            wire = await made.ask(ask(f"Summarize the mail of {SECRET}.", stream=True))
            (one,) = made.interactions()
            assert one.outcome is not None

            assert streamed_text(wire) == f"mail {SECRET}, not eve@example.org"
            said = one.outcome.response["choices"][0]["message"]["content"]
            assert said == "mail PIIEMAIL1@masked.invalid, not PIIEMAIL2@masked.invalid"
            assert SECRET not in str(one)

    run(scene())


@pytest.mark.parametrize(
    ("upstream", "cost"),
    [({}, 0.0), ({"usd_per_million_input": 1.0, "usd_per_million_output": 1.0}, pytest.approx(110e-6))],
)
def test_the_cost_is_the_bases_own_and_the_clouds_is_what_was_spared(
    tmp_path: Path, upstream: dict[str, Any], cost: Any
) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(upstream)) as made:
            await made.ask(ask())
            outcome = made.interactions()[0].outcome
            assert outcome is not None

            assert outcome.cost_usd == cost
            assert outcome.cloud_cost_usd == pytest.approx(100 * 2e-6 + 10 * 10e-6)

    run(scene())


@pytest.mark.parametrize(
    "reply",
    [
        UnreachableError("down"),
        FakeReply(400, pieces=[b"{}"]),
        FakeReply(404, pieces=[b"{}"]),
        FakeReply(500, headers={"retry-after": "60"}, pieces=[b"{}"]),
        FakeReply(pieces=[b"no json"]),
    ],
)
def test_a_base_that_fails_hands_over_to_the_cloud_with_parent_and_evidence(tmp_path: Path, reply: Any) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            made.private.script = [reply, reply] if isinstance(reply, Exception) else [reply]
            wire = await made.ask(ask(f"Summarize the mail of {SECRET}."))
            failed, answer = made.interactions()

            assert content(wire) == f"echo Summarize the mail of {SECRET}."
            assert wire.headers["x-modelbreeder-lane"] == "cloud_escalation"
            assert wire.headers["x-modelbreeder-model"] == "vendor/gpt-5.4"
            assert SECRET not in str(made.cloud.requests)
            assert made.cloud.requests[0]["model"] == "gpt-5.4"
            assert failed.outcome is not None
            assert failed.outcome.status is Status.ERROR
            assert EvidenceType.FALLBACK in [note.type for note in failed.evidence]
            assert (answer.intent.decision.rule, answer.intent.parent_id) == (
                "local-failed",
                failed.intent.interaction_id,
            )
            assert [note.type for note in answer.evidence] == [EvidenceType.ESCALATION]
            assert [one.why_not for one in answer.intent.decision.candidates] == [
                answer.intent.decision.local_reason,
                "",
            ]

    run(scene())


def test_a_specialist_that_did_not_fit_keeps_its_own_reason(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            made.promote(trim=PromptTrim(prefix="Classify this commit.\n"))
            made.private.script = [FakeReply(500, headers={"retry-after": "60"}, pieces=[b"{}"])]
            await made.ask(ask(metadata={"workflow": "commit-type"}))
            specialist, base, cloud = made.interactions()[1].intent.decision.candidates

            assert "lacks the constant part" in specialist.why_not
            assert "answered 500" in base.why_not
            assert cloud.why_not == ""

    run(scene())


def test_a_stream_that_breaks_before_its_first_frame_goes_on_in_the_cloud_and_not_after(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            made.private.script = [FakeReply(pieces=[]), FakeReply(pieces=sse(delta("hal"), done=False))]
            made.cloud.script = [FakeReply(pieces=sse(delta("whole"), delta(finish="stop")))]
            early = await made.ask(ask(stream=True))
            late = CollectingWire()
            with pytest.raises(CutStreamError):
                await made.deps.turns.respond(incoming(ask(stream=True)), late)

            assert streamed_text(early) == "whole"
            assert early.ended
            assert not late.ended
            assert "error" in frames(late)[-1]
            assert len(made.cloud.requests) == 1

    run(scene())


def test_what_a_base_says_when_it_fails_is_masked_before_it_is_told_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            said = json.dumps({"error": {"message": f"cannot read {SECRET}"}}).encode()
            made.private.script = [FakeReply(400, pieces=[said])]
            wire = await made.ask(ask(f"Summarize the mail of {SECRET}."))

            assert "cannot read PIIEMAIL1" in wire.headers["x-modelbreeder-reason"]
            assert SECRET not in str(made.interactions())

    run(scene())


def test_customer_data_is_served_by_the_base_and_never_goes_on_to_the_cloud(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            wire = await made.ask(ask("Why did customer_77 leave?"))
            made.private.script = [UnreachableError("down"), UnreachableError("down")]
            error = await failure(made, ask("Why did customer_77 leave?"))

            assert content(wire) == "echo Why did customer_77 leave?"
            assert wire.headers["x-modelbreeder-lane"] == "local_private"
            assert isinstance(error.cause, UpstreamError)
            assert made.cloud.requests == []
            assert "customer_77" not in str(made.interactions())

    run(scene())


def test_offline_the_base_serves_what_comes_and_its_failure_is_the_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings(offline=True)) as made:
            wire = await made.ask(ask("Why is the sky blue?"))
            made.private.script = [UnreachableError("down"), UnreachableError("down")]

            assert wire.headers["x-modelbreeder-model"] == "mine/llama"
            assert isinstance((await failure(made, ask())).cause, UpstreamError)
            assert made.cloud.requests == []

    run(scene())


@pytest.mark.parametrize("able", [True, False])
def test_a_tool_loop_stays_in_the_lane_of_its_first_turn(tmp_path: Path, able: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings({"tools": able, "context": 50_000})) as made:
            turns: list[dict[str, Any]] = [{"role": "user", "content": "Fix the failing build."}]
            lanes = []
            for _ in range(4):
                wire = await made.ask({"model": "gpt-5.4", "messages": turns, "tools": TOOLS})
                lanes.append(wire.headers["x-modelbreeder-lane"])
                turns = [
                    *turns,
                    {"role": "assistant", "content": None, "tool_calls": []},
                    {"role": "tool", "tool_call_id": "c", "content": "log line " * 2500},
                ]

            assert lanes == [Lane.LOCAL_FAST if able else Lane.CLOUD_ESCALATION] * 4

    run(scene())


def test_a_name_that_asks_for_a_specialist_does_not_get_the_base(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, settings()) as made:
            error = await failure(made, {**ask(), "model": "workflow:commit-type"})
            local = await made.ask({**ask("Why is the sky blue?"), "model": "local"})

            assert isinstance(error.cause, UnservedError)
            assert "the client asked for 'workflow:commit-type'" in str(error)
            assert local.headers["x-modelbreeder-model"] == "mine/llama"

    run(scene())


def test_measured_latencies_decide_for_the_fastest(tmp_path: Path) -> None:
    async def scene() -> None:
        now = [0.0]

        class Slow(FakeReply):
            def close(self) -> None:
                now[0] += 2.0

        async with world(tmp_path, settings(choose="fastest"), monotonic=lambda: now[0]) as made:
            made.private.script = [Slow(pieces=[answered("x")]) for _ in range(3)]
            reasons = [(await made.ask(ask("Draft a poem."))).headers["x-modelbreeder-reason"] for _ in range(3)]
            for _ in range(3):
                await made.ask({**ask(), "model": "cloud"})
            last = await made.ask(ask("Draft a poem."))

            assert all("too few answers were timed" in reason for reason in reasons)
            assert last.headers["x-modelbreeder-model"] == "vendor/gpt-5.4"
            assert "vendor/gpt-5.4 is fastest, 0 ms against 2,000" in last.headers["x-modelbreeder-reason"]

    run(scene())


def test_the_real_daemon_asks_the_private_server_first_and_the_cloud_once_it_is_gone(tmp_path: Path) -> None:
    mine_config = (
        '[local]\nruntime = "mine"\nbase = "llama"\n[upstreams.mine]\ntrust = "private"\ncontext = 32768\nbase_url = '
    )
    with recording_upstream() as vendor, recording_upstream() as mine:
        write_config(tmp_path, vendor.url, more=f'{mine_config}"{mine.url}"\n')
        with daemon(tmp_path) as router:
            url = f"{router.url}/v1/chat/completions"
            text = f"Summarize the mail of {SECRET}."
            served = post(url, ask(text))
            mine.statuses = [500, 500]
            handed_on = post(url, ask(text))
            kept = post(url, ask("Summarize the mail of customer_77."))

    assert [reply[1]["x-modelbreeder-model"] for reply in (served, handed_on, kept)] == [
        "mine/llama",
        "vendor/gpt-5.4",
        "mine/llama",
    ]
    assert all(status == 200 for status, _, _ in (served, handed_on, kept))
    assert json.loads(handed_on[2])["choices"][0]["message"]["content"] == f"You said: {text}"
    assert {body["model"] for body in mine.requests} == {"llama"}
    assert SECRET in mine.everything
    assert "PIIEMAIL1" in vendor.everything
    assert SECRET not in vendor.everything
    assert "customer_77" not in vendor.everything
