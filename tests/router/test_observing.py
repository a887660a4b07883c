"""The recorder tells its observers of everything that became durable, and the watch counts and logs it once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from registry.entities import Event, EvidenceNote, EvidenceType, Intent, Lane, Outcome, Status
from registry.errors import LedgerError
from router.admission import InFlight
from router.exchange import TurnError
from router.metrics import Metrics
from router.observing import EventWatch
from router.recording import Recorder
from router.retrying import AttemptNote
from router.tracing import Traced, traced_interaction
from tests.registry.making import intent as made_intent
from tests.router.making import NOON, FakeReply, run, settings, task, world


class ScriptedWriter:
    """Stores what it is given once it is let, or fails with what it is told."""

    def __init__(self) -> None:
        self.futures: list[Future[list[str]]] = []

    def submit(self, *events: Event) -> Future[list[str]]:
        self.futures.append(Future())
        return self.futures[-1]


def intent(name: str = "i1", **changes: object) -> Intent:
    return replace(made_intent(name), **changes)


def outcome(name: str = "i1", status: Status = Status.OK) -> Outcome:
    return Outcome(name, NOON, status, "vendor", "vendor/gpt-5.4", response=None, latency_ms=12.34)


def watch() -> tuple[EventWatch, Metrics]:
    metrics = Metrics(settings(), InFlight(1))
    return EventWatch(metrics), metrics


def requests(metrics: Metrics, status: str = "ok") -> float | None:
    labels = {"surface": "openai.chat", "lane": "cloud_escalation", "rule": "escalate", "status": status}
    return metrics.registry.get_sample_value("modelbreeder_requests_total", labels)


def test_an_observer_hears_of_a_write_whose_caller_was_cancelled() -> None:
    heard: list[tuple[Sequence[Event], float, BaseException | None]] = []

    async def scene() -> None:
        writer, ticks = ScriptedWriter(), iter([1.0, 3.5])
        recorder = Recorder(writer, lambda: NOON, lambda: next(ticks))
        recorder.watch(lambda *told: heard.append(told))
        recording = asyncio.create_task(recorder.record(outcome()))
        await asyncio.sleep(0)
        recording.cancel()
        await asyncio.wait({recording})
        writer.futures[0].set_result(["e1"])
        await asyncio.sleep(0.01)

    run(scene())
    assert heard == [((outcome(),), 2.5, None)]


def test_an_observer_hears_why_a_write_failed_and_the_caller_too() -> None:
    heard: list[BaseException | None] = []
    full = LedgerError("the disk is full")

    async def scene() -> None:
        writer = ScriptedWriter()
        recorder = Recorder(writer, lambda: NOON)
        recorder.watch(lambda events, took_s, error: heard.append(error))
        for number in range(3):
            recording = asyncio.create_task(recorder.record(outcome()))
            await asyncio.sleep(0)
            writer.futures[number].set_exception(full)
            with pytest.raises(LedgerError):
                await recording
        assert recorder.latencies.median_ms("vendor/gpt-5.4", NOON) is None

    run(scene())
    assert heard == [full] * 3


def test_who_watches_attempts_hears_of_each() -> None:
    heard: list[AttemptNote] = []
    recorder = Recorder(ScriptedWriter(), lambda: NOON)
    recorder.watch_attempts(heard.append)
    note = AttemptNote("vendor/gpt-5.4", None, 200, 0.0, 0.1)
    recorder.attempted(note)

    assert heard == [note]


def test_an_outcome_is_counted_and_logged_under_its_intents_lane_and_rule(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watching, metrics = watch()
    watching.observe([intent()], 0.001, None)
    watching.observe([outcome(), EvidenceNote("i1", NOON, EvidenceType.ESCALATION)], 0.001, None)
    (line,) = caplog.records

    assert requests(metrics) == 1
    assert metrics.registry.get_sample_value("modelbreeder_evidence_total", {"type": "escalation"}) == 1
    assert (line.levelname, line.getMessage()) == ("INFO", "request")
    assert line.facts == {  # type: ignore[attr-defined]  # what `extra` brings
        "interaction": "i1",
        "status": "ok",
        "surface": "openai.chat",
        "lane": "cloud_escalation",
        "rule": "escalate",
        "ms": 12.3,
    }


def test_what_the_ledger_did_not_take_is_a_failure_of_the_ledger_and_no_request() -> None:
    watching, metrics = watch()
    watching.observe([intent()], 0.001, None)
    watching.observe([outcome()], 0.001, LedgerError("full"))
    watching.observe([outcome("i2")], 0.001, None)

    assert requests(metrics) is None
    assert metrics.registry.get_sample_value("modelbreeder_ledger_failures_total") == 1


def test_values_are_masked_once_however_often_a_request_is_dispatched() -> None:
    watching, metrics = watch()
    watching.observe([intent()], 0.001, None)
    watching.observe([intent("i2", parent_id="i1")], 0.001, None)

    assert metrics.registry.get_sample_value("modelbreeder_redactions_total", {"type": "email"}) == 2


def test_intents_that_never_end_are_not_held_for_ever() -> None:
    watching, metrics = watch()
    for number in range(9000):
        watching.observe([intent(str(number))], 0.0, None)
    watching.observe([outcome("0")], 0.0, None)
    watching.observe([outcome("8999")], 0.0, None)

    assert requests(metrics) == 1


def test_a_real_turn_with_an_escalation_is_told_of_whole(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            watching, metrics = watch()
            made.deps.turns.recorder.watch(watching.observe)
            made.promote(threshold=-0.5)
            made.engine.confidence = -0.9
            await made.ask(task())
            read = metrics.registry.get_sample_value
            escalated = {
                "surface": "openai.chat", "lane": Lane.LOCAL_FAST.value, "rule": "champion", "status": "escalated"
            }  # fmt: skip

            assert read("modelbreeder_requests_total", escalated) == 1
            assert read("modelbreeder_evidence_total", {"type": "weak_answer"}) == 1
            assert read("modelbreeder_evidence_total", {"type": "escalation"}) == 1
            assert read("modelbreeder_ledger_write_seconds_count") == 4
            assert read("modelbreeder_cost_usd_total", {"lane": "cloud_escalation", "model": "vendor/gpt-5.4"}) > 0

    run(scene())


def test_the_task_that_began_a_request_knows_its_interaction_also_after_a_bug(tmp_path: Path) -> None:
    seen: list[str] = []

    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [FakeReply(breaks=RuntimeError("a bug"))]  # type: ignore[arg-type]  # a bug it is

            async def app(scope: object, receive: object, send: object) -> None:
                with pytest.raises(TurnError):
                    await asyncio.create_task(made.ask(task()))
                seen.append(traced_interaction())

            await asyncio.create_task(Traced(app)({}, None, None))  # type: ignore[arg-type]  # a stub of a request
            assert seen == [made.interactions()[0].intent.interaction_id]
            assert traced_interaction() == ""

    run(scene())
