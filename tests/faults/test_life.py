"""R22 to R24: settings that change under way, clocks that jump, a redactor that fails; the policy stays closed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from registry.entities import Lane, Status
from registry.errors import RedactionError
from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.exchange import TurnError
from router.problems import problem_of
from router.redaction.redactor import Redaction, RuleRedactor
from router.redaction.spans import Detector
from tests.faults.answers import CHAT, Answer, whole
from tests.faults.reading import read_whole, request
from tests.faults.scene import MODELS, scene
from tests.faults.scripted_upstream import eventually, gated
from tests.router.daemon import get
from tests.router.making import NOON, FakeReply, run, task, world
from tests.router.raw_upstream import says

PLAIN = Answer("Ada, Grace")


def asked() -> bytes:
    return request(CHAT, MODELS[CHAT], "say two names", stream=False)


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda text: text + "\n[policy\n", id="syntax error"),
        pytest.param(lambda text: text.replace("[policy]", "[policy]\nchose = 1"), id="unknown key"),
        pytest.param(lambda text: text.replace("[upstreams.vendor]", "[upstreams.other]"), id="model in use removed"),
    ],
)
def test_r22_a_file_that_cannot_be_used_changes_nothing_and_is_told(tmp_path: Path, bad: Callable[[str], str]) -> None:
    gate = threading.Event()
    answer = says(200, whole(CHAT, PLAIN))
    with scene(tmp_path / "home") as running:
        file = tmp_path / "home" / "modelbreeder.toml"
        good = file.read_text(encoding="utf-8")
        running.upstream.follows(gated(gate, answer), answer)
        with running.ask(CHAT, asked()) as under_way:
            eventually(lambda: running.upstream.requests)
            before = json.loads(get(f"{running.daemon.url}/readyz", running.daemon.admin)[2])["policy"]
            file.write_text(bad(good), encoding="utf-8")
            eventually(lambda: b'"file":"refused"' in get(f"{running.daemon.url}/readyz", running.daemon.admin)[2])
            after = json.loads(get(f"{running.daemon.url}/readyz", running.daemon.admin)[2])["policy"]
            problem = json.loads(get(f"{running.daemon.url}/readyz", running.daemon.admin)[2])["policy"]["problem"]
            new = running.told(CHAT, asked())
            gate.set()
            old = under_way.rest()

        assert before["digest"] == after["digest"]
        assert "modelbreeder.toml" in problem
        assert [read_whole(CHAT, one.body) for one in (old, new)] == [PLAIN, PLAIN]
        file.write_text(good, encoding="utf-8")
        eventually(lambda: b'"file":"in force"' in get(f"{running.daemon.url}/readyz", running.daemon.admin)[2])


class JumpingClock:
    """A clock of the wall that is an hour ahead or behind at every look; nothing that waits may go by it."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return NOON + timedelta(hours=1 if self.looks % 2 else -1)


def test_r23_a_clock_that_jumps_ends_no_pause_no_deadline_and_no_memory(tmp_path: Path) -> None:
    async def scenery() -> None:
        clock, now = JumpingClock(), [1000.0]
        vendor = UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",))
        other = UpstreamSettings(base_url="https://other.test/v1", models=("o",))
        policy = PolicySettings(cloud="vendor/gpt-5.4")
        given = Settings(upstreams={"vendor": vendor, "other": other}, policy=policy)
        async with world(tmp_path, given, clock=clock, monotonic=lambda: now[0]) as made:
            made.cloud.script = [FakeReply(429, headers={"retry-after": "600"}, pieces=[b"{}"])]
            for left_s in (600, 500, 400):
                with pytest.raises(TurnError) as caught:
                    await made.ask(task("hello"))
                assert problem_of(caught.value.cause).retry_after == str(left_s)
                now[0] += 100
            now[0] += 301
            wire = await made.ask(task("mail bob@example.org"), {"x-modelbreeder-deadline-ms": "5000"})
            kept = made.interactions()[-1]

            assert json.loads(wire.body)["choices"][0]["message"]["content"].endswith("bob@example.org")
            assert made.cloud.limits[-1] == pytest.approx(5.0)
            assert len(made.cloud.requests) == 2
            assert clock.looks > 4
            assert kept.outcome is not None
            assert kept.outcome.latency_ms == 0.0
            assert made.deps.turns.memory.recall(kept.intent.interaction_id) is not None
            assert made.deps.ledger.verify().problems == ()

    run(scenery())


class FailingRedactor(RuleRedactor):
    """Fails as it is told to, or masks well and takes its time."""

    def __init__(self, detectors: tuple[Detector, ...], fails: Exception | None, takes: Callable[[], None]) -> None:
        super().__init__(detectors)
        object.__setattr__(self, "fails", fails)
        object.__setattr__(self, "takes", takes)

    @override
    def redact(self, body: Mapping[str, object], **more: bool) -> Redaction:
        self.takes()
        if self.fails:
            raise self.fails
        return super().redact(body, **more)


@pytest.mark.parametrize("model", ["gpt-5.4", "mine/llama", "commit-type@1"])
@pytest.mark.parametrize(
    ("fails", "said"),
    [
        (RedactionError("a detector died"), "a detector died"),
        (RuntimeError("with bob@example.org"), "a bug of the router: RuntimeError"),
        (None, "took 30 s"),
    ],
)
def test_r24_a_redactor_that_fails_or_takes_half_a_minute_lets_nothing_leave(
    tmp_path: Path, fails: Exception | None, said: str, model: str
) -> None:
    now = [0.0]

    def takes() -> None:
        now[0] += 0.0 if fails else 30.0

    async def scenery() -> None:
        async with world(tmp_path, monotonic=lambda: now[0]) as made:
            made.promote()
            router = made.deps.router
            redactor = FailingRedactor(router.rulebook.redactor.detectors, fails, takes)
            router.rulebook = replace(router.rulebook, redactor=redactor)
            with pytest.raises(TurnError) as caught:
                await made.ask(task(model=model))
            problem = problem_of(caught.value.cause)
            (kept,) = made.interactions()

            assert (problem.status, problem.code) == (503, "redaction_failed")
            assert said in problem.message
            assert "bob" not in problem.message
            assert (made.cloud.requests, made.private.requests, made.engine.requests) == ([], [], [])
            assert kept.intent.decision.lane is Lane.NO_OP
            assert kept.intent.request_received is None
            assert kept.outcome is not None
            assert kept.outcome.status is Status.REFUSED
            assert said in str(kept.outcome.error)

    run(scenery())
