"""A detector that is killed, hangs or lies: the user's own model or an error in the client's dialect, never a cloud."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from registry.entities import Lane, Status
from registry.errors import ConfigError, RedactionError
from registry.settings import LocalSettings, RedactionSettings, Settings
from router.admission import InFlight
from router.app import make_app
from router.detector_process import FAILURES, REST_S, START_S, DetectorProcess, ends_at, in_child
from router.exchange import TurnError
from router.inspection import AT_ONCE_BYTES, Inspectors
from router.redaction.detectors import DEFAULT_TYPES, default_detectors
from router.redaction.redactor import RuleRedactor, redactor_of
from router.redaction.spans import Detector, Span, is_unbounded
from router.rulebook import compile_rulebook
from router.upstream import UnreachableError
from tests.faults.in_memory import Got, call
from tests.faults.scripted_upstream import eventually
from tests.faults.test_surface_pairs import every_dialect
from tests.leaks.asking import PATHS
from tests.leaks.failing_detectors import Outside, Raising, Saying, Unusable
from tests.router.daemon import admin_of
from tests.router.making import World, incoming, run, settings, task, world

SECRET = "bob@example.org"
TEXT = f"mark: write to {SECRET}"
LIES: dict[str, Detector] = {
    "overlapping": Saying(Span(0, 4, "SECRET", "x"), Span(2, 6, "SECRET", "x")),
    "beyond the end": Saying(Span(0, 10_000, "SECRET", "x")),
    "negative": Saying(Span(-3, 4, "SECRET", "x")),
    "empty": Saying(Span(3, 3, "SECRET", "x")),
    "reversed": Saying(Span(5, 2, "SECRET", "x")),
    "of a type that nobody declared": Saying(Span(0, 4, "NOVELTY", "x")),
    "of a type in small letters": Saying(Span(0, 4, "secret", "x")),
    "of a type that is no text": Saying(Span(0, 4, 7, "x")),  # type: ignore[arg-type]
    "at places that are no numbers": Saying(Span(0.0, 4.0, "SECRET", "x")),  # type: ignore[arg-type]
    "at no places": Saying(Span(None, None, "SECRET", "x")),  # type: ignore[arg-type]
    "no findings but pairs": Saying((0, 4)),
    "no list": Saying(),
}
LIES["no list"].said = 7  # type: ignore[attr-defined]
DEATHS: dict[str, Detector] = {
    "a bug": Raising(KeyError("x")),
    "no memory": Raising(MemoryError()),
    "too deep": Raising(RecursionError()),
    "after a finding": Raising(OSError(), after=2),
    "late": Raising(TimeoutError()),
}
BODIES: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [{"role": "user", "content": TEXT}], "model": "gpt-5.4"},
    "openai.completions": {"prompt": TEXT, "model": "gpt-5.4"},
    "openai.embeddings": {"input": TEXT, "model": "gpt-5.4"},
    "openai.responses": {"input": TEXT, "model": "o9"},
    "anthropic.messages": {"messages": [{"role": "user", "content": TEXT}], "model": "claude-9", "max_tokens": 9},
}


def look_with(made: World, *detectors: Detector) -> None:
    """Let a router look with further detectors than its own."""
    redactor = RuleRedactor((*default_detectors(), *detectors), DEFAULT_TYPES | {"PIINAME"})
    made.deps.router.rulebook = replace(made.deps.router.rulebook, redactor=redactor)


async def answer(
    root: Path, detector: Detector, surface: str = "openai.chat", given: Settings | None = None
) -> tuple[World, Got]:
    async with world(root, given or every_dialect()) as made:
        look_with(made, detector)
        got = await call(make_app(made.deps, InFlight(4)), PATHS[surface], json.dumps(BODIES[surface]).encode())
        (row,) = made.interactions()

        assert made.cloud.requests == []
        assert SECRET not in str(row)
        assert row.outcome is not None
        return made, got


@pytest.mark.parametrize("how", [*LIES, *DEATHS])
def test_whatever_a_detector_does_wrong_no_cloud_is_asked(tmp_path: Path, how: str) -> None:
    _, got = run(answer(tmp_path, {**LIES, **DEATHS}[how]))

    assert (got.status, json.loads(got.body)["error"]["code"]) == (503, "redaction_failed")
    assert SECRET not in got.body.decode()


@pytest.mark.parametrize("surface", BODIES)
@pytest.mark.parametrize("how", ["overlapping", "no memory"])
def test_the_error_is_in_the_clients_dialect_on_every_surface(tmp_path: Path, surface: str, how: str) -> None:
    _, got = run(answer(tmp_path, {**LIES, **DEATHS}[how], surface))
    error = json.loads(got.body)

    assert got.status == 503
    assert ("type" in error) == (surface == "anthropic.messages")
    assert error["error"]["message"]


def at_home() -> Settings:
    """Return settings with a general local base."""
    known = settings().upstreams
    upstreams = {**known, "mine": known["mine"].model_copy(update={"context": 8192})}
    return settings(upstreams=upstreams, local=LocalSettings(runtime="mine", base="llama"))


@pytest.mark.parametrize("how", ["reversed", "no memory", "of a type that nobody declared"])
def test_where_the_user_has_a_model_of_his_own_it_answers_and_nothing_of_it_is_kept(tmp_path: Path, how: str) -> None:
    made, got = run(answer(tmp_path, {**LIES, **DEATHS}[how], given=at_home()))

    assert (got.status, got.headers["x-modelbreeder-lane"]) == (200, "local_private")
    assert got.headers["x-modelbreeder-reason"].startswith("redaction-failed: ")
    assert [asked["messages"][0]["content"] for asked in made.private.requests] == [TEXT]
    assert TEXT in json.loads(got.body)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("given", [settings(), at_home()], ids=["nowhere", "at home"])
@pytest.mark.parametrize("how", ["a bug", "late and outside"])
def test_nor_do_the_names_that_its_client_gave_it_hold_what_would_be_masked(
    tmp_path: Path, given: Settings, how: str
) -> None:
    late = Raising(TimeoutError())
    late.unbounded = True  # type: ignore[attr-defined]
    detector = late if how == "late and outside" else DEATHS[how]
    headers = {"session": "mark ann@acme.example", "task-id": "of bob@acme.example", "data-class": "carl-acme"}

    async def scene() -> None:
        async with world(tmp_path, given) as made:
            look_with(made, detector)
            with suppress(TurnError):
                hints = {f"X-ModelBreeder-{name}": value for name, value in headers.items()}
                await made.ask({**task(TEXT), "model": "dora@acme.example"}, hints)
            (row,) = made.interactions()
            assert "acme" not in str(row)
            assert (row.intent.envelope.session is not None) == (how == "late and outside")

    run(scene())


def test_nothing_of_a_request_that_could_not_be_inspected_is_recorded_but_that_it_was(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, at_home()) as made:
            look_with(made, LIES["empty"])
            await made.ask(task(TEXT))
            (row,) = made.interactions()

            assert (row.intent.request_received, row.intent.request_sent, row.intent.envelope.summary) == (
                None,
                None,
                "",
            )
            assert row.outcome is not None
            assert (row.outcome.status, row.outcome.response) == (Status.OK, None)
            assert row.intent.decision.lane is Lane.LOCAL_PRIVATE

    run(scene())


def test_what_its_client_said_of_it_holds_for_the_next_turn_that_can_be_inspected(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, at_home()) as made:
            look_with(made, DEATHS["a bug"])
            await made.ask(task(TEXT), {"X-ModelBreeder-Data-Class": "client"})
            look_with(made)
            await made.ask({"model": "gpt-5.4", "messages": [*task(TEXT)["messages"], *task("and now?")["messages"]]})
            first, second = made.interactions()

            assert made.cloud.requests == []
            assert (first.intent.envelope.data_class, second.intent.envelope.data_class) == ("client", "client")

    run(scene())


@pytest.mark.parametrize("body", [{"model": "vendor/gpt-5.4"}, {"model": "cloud"}, {"metadata": {"lane": "no_op"}}])
def test_who_asks_for_a_cloud_by_name_gets_the_error_and_not_another_model(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async def scene() -> None:
        async with world(tmp_path, at_home()) as made:
            look_with(made, LIES["empty"])
            with pytest.raises(Exception, match="not disjoint") as caught:
                await made.ask({**task(TEXT), **body})

            assert isinstance(caught.value.__cause__, RedactionError)
            assert made.cloud.requests == made.private.requests == []

    run(scene())


def test_a_base_that_fails_too_leaves_the_request_unanswered_and_no_cloud_asked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, at_home()) as made:
            look_with(made, LIES["empty"])
            made.private.script.extend([UnreachableError("down")] * 9)
            with pytest.raises(Exception, match="down"):
                await made.ask(task(TEXT))

            assert made.cloud.requests == []

    run(scene())


def test_a_detector_outside_of_the_daemon_finds_and_its_findings_come_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            look_with(made, in_child(Outside))
            wire = await made.ask(task("my name is Rumpelstiltskin, not Rumpel"))

            assert "my name is PIINAME1, not Rumpel" in str(made.cloud.requests)
            assert "my name is Rumpelstiltskin, not Rumpel" in wire.body.decode()

    run(scene())


@contextmanager
def within(limit_s: float) -> Iterator[None]:
    """Let an inspection of so many seconds go on."""
    before = ends_at.set(time.monotonic() + limit_s)
    try:
        yield
    finally:
        ends_at.reset(before)


def child(name: str, *arguments: object, **more: Any) -> DetectorProcess:
    return DetectorProcess(f"tests.leaks.failing_detectors:{name}", *arguments, **more)


def test_a_failure_in_a_child_says_its_kind_and_not_the_text_that_it_failed_on() -> None:
    detector = child("Outside")
    with pytest.raises(Exception, match="failed with ValueError") as caught:
        detector.find(TEXT)

    assert SECRET not in str(caught.value)
    assert detector.find("Rumpelstiltskin")[0].end == 15
    detector.close()


def test_a_child_has_none_of_the_daemons_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_VENDOR_KEY", "x")
    detector = child("KeyFinder")

    assert detector.find("text") == []
    detector.close()


def test_a_killed_child_is_an_error_and_the_next_text_gets_a_new_one() -> None:
    detector = child("Mortal")
    with pytest.raises(Exception, match="has died"):
        detector.find(TEXT)

    assert detector.find("text") == []
    detector.close()


def test_who_dies_again_and_again_is_left_alone_for_a_while() -> None:
    now = [100.0]
    detector = child("Mortal", monotonic=lambda: now[0])
    for _ in range(FAILURES):
        with pytest.raises(Exception, match="has died"):
            detector.find(TEXT)
    with pytest.raises(Exception, match="rests"):
        detector.find("text")
    now[0] += REST_S

    assert detector.find("text") == []
    detector.close()


def test_a_detector_that_cannot_be_made_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        in_child(Unusable, Path("/none"))


@pytest.mark.slow
def test_the_daemons_own_rules_make_such_detectors_in_children() -> None:
    pytest.importorskip("presidio_analyzer", reason="Presidio, the [pii] extra, is not installed")
    redactor = compile_rulebook(Settings(redaction=RedactionSettings(presidio=True))).redactor

    assert "presidio_analyzer" not in sys.modules or is_unbounded(redactor.detectors[-1])
    assert "PIIID1" in str(redactor.redact({"text": "passport 912803456"}).body)
    with pytest.raises(ConfigError, match="NoSuchPipeline"):
        compile_rulebook(Settings(redaction=RedactionSettings(ner_model=Path("/NoSuchPipeline"))))


def test_a_late_child_is_ended(tmp_path: Path) -> None:
    detector = child("Endless", str(tmp_path / "calls"), limit_s=0.2)
    detector.prepare()
    with pytest.raises(Exception, match="was not ready in time and was ended"):
        detector.find(TEXT)
    detector.close()


def test_what_takes_long_to_start_again_is_waited_for_as_long_as_the_request_has_and_goes_on_for_the_next(
    tmp_path: Path,
) -> None:
    ready = tmp_path / "ready"
    ready.touch()
    detector = child("SlowToMake", str(ready))
    first = detector.find("text")[0].end
    ready.unlink()
    os.kill(first, signal.SIGKILL)
    with pytest.raises(Exception, match="has died"):
        detector.find("text")
    for _ in range(FAILURES + 1):
        with pytest.raises(Exception, match="is not ready yet"), within(0.05):
            detector.find("text")
    assert detector._child is not None
    started = detector._child._process.pid
    ready.touch()

    assert detector.find("text")[0].end == started
    detector.close()


def test_what_is_never_ready_is_held_against_it_also_where_its_request_has_no_time_left(tmp_path: Path) -> None:
    now = [1.0]
    detector = child("SlowToMake", str(tmp_path / "never"), monotonic=lambda: now[0])
    before = ends_at.set(1.0)
    try:
        with pytest.raises(Exception, match="is not ready yet"):
            detector.find("text")
        now[0] += START_S
        with pytest.raises(Exception, match="was not ready in time and was ended"):
            detector.find("text")
    finally:
        ends_at.reset(before)

    assert (detector._failures, detector._child) == (1, None)


def test_a_text_whose_request_has_no_time_left_ends_the_child_but_is_not_held_against_it(tmp_path: Path) -> None:
    detector = child("Endless", str(tmp_path / "calls"))
    detector.prepare()
    with pytest.raises(Exception, match="was not ready in time and was ended"), within(-1.0):
        detector.find(TEXT)

    assert (detector._failures, detector._child) == (0, None)


@pytest.mark.parametrize(("path", "status"), [("/v1/chat/completions", 503), ("/v1/route/explain", 200)])
def test_while_a_detector_hangs_the_daemon_serves_others(tmp_path: Path, path: str, status: int) -> None:
    calls = tmp_path / "calls"
    detector = child("Endless", str(calls), limit_s=600.0)

    async def scene() -> None:
        async with world(tmp_path) as made:
            look_with(made, detector)
            app = make_app(made.deps, InFlight(4))
            headers = {name.lower(): value for name, value in admin_of(tmp_path).items()}
            asking = asyncio.create_task(call(app, path, json.dumps(task(TEXT)).encode(), headers))
            await asyncio.to_thread(eventually, calls.exists)
            health = await call(app, "/healthz", method="GET")

            assert (health.status, asking.done()) == (200, False)
            assert detector._child is not None
            os.kill(detector._child._process.pid, signal.SIGKILL)
            got = await asking

            assert got.status == status
            assert "redaction" in got.body.decode()
            assert made.cloud.requests == []

    run(scene())


class Waiting:
    """A built-in detector that takes longer than anybody waits, until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.threads: set[int] = set()

    def find(self, text: str) -> list[Span]:
        self.threads.add(threading.get_ident())
        if "mark" in text:
            assert self.go.wait(60)
        return []


def test_threads_that_are_stuck_are_counted_and_further_requests_refused_at_once() -> None:
    waiting = Waiting()
    redactor, long = RuleRedactor((waiting,)), incoming(task("mark " + "x" * AT_ONCE_BYTES))
    inspectors = Inspectors(limit_s=0.05, threads=2)

    async def scene() -> None:
        for _ in range(2):
            with pytest.raises(RedactionError, match="took 0.05 s"):
                await inspectors.redacted(redactor, long)
        for _ in range(3):
            with pytest.raises(RedactionError, match="earlier requests"):
                await inspectors.redacted(redactor, long)

        assert (await inspectors.redacted(redactor, incoming(task("short")))).counts == {}
        waiting.go.set()
        await asyncio.to_thread(eventually, lambda: not inspectors._stuck)
        inspectors.close()

    run(scene())


@pytest.mark.parametrize("leaves", [True, False])
def test_an_inspection_whose_client_left_or_had_a_deadline_counts_from_its_own_limit_on(leaves: bool) -> None:
    waiting = Waiting()
    redactor, text = RuleRedactor((waiting,)), "mark " + "x" * AT_ONCE_BYTES
    inspectors = Inspectors(limit_s=0.3, threads=1)

    async def scene() -> None:
        began_s = time.monotonic()
        if leaves:
            asking = asyncio.create_task(inspectors.redacted(redactor, incoming(task(text))))
            await asyncio.to_thread(eventually, lambda: waiting.threads)
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
        else:
            hurried = incoming(task(text), {"X-ModelBreeder-Deadline-Ms": "10"})
            # What no thread has begun when its deadline passes is never begun.
            while not waiting.threads:
                with pytest.raises(RedactionError, match="took 0.01 s"):
                    await inspectors.redacted(redactor, hurried)
        assert inspectors._stuck == 0 or time.monotonic() - began_s >= 0.3
        await asyncio.to_thread(eventually, lambda: inspectors._stuck)
        with pytest.raises(RedactionError, match="earlier requests"):
            await inspectors.redacted(redactor, incoming(task(text)))
        waiting.go.set()
        await asyncio.to_thread(eventually, lambda: not inspectors._stuck)
        inspectors.close()

    run(scene())


def test_an_inspection_that_ends_after_its_client_left_counts_for_nothing() -> None:
    waiting = Waiting()
    redactor, long = RuleRedactor((waiting,)), incoming(task("mark " + "x" * AT_ONCE_BYTES))
    inspectors = Inspectors(limit_s=0.1, threads=1)

    async def scene() -> None:
        asking = asyncio.create_task(inspectors.redacted(redactor, long))
        await asyncio.to_thread(eventually, lambda: waiting.threads)
        waiting.go.set()
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await asyncio.sleep(0.2)
        await asyncio.to_thread(eventually, lambda: not inspectors._stuck)
        inspectors._limit_s = 60.0
        assert (await inspectors.redacted(redactor, long)).counts == {}
        assert inspectors._stuck == 0
        inspectors.close()

    run(scene())


def test_a_client_that_leaves_the_line_leaves_nothing_of_its_request_behind() -> None:
    waiting = Waiting()
    redactor, long = RuleRedactor((waiting,)), incoming(task("mark " + "x" * AT_ONCE_BYTES))
    inspectors = Inspectors(threads=1)

    async def scene() -> None:
        first = asyncio.create_task(inspectors.redacted(redactor, long))
        await asyncio.to_thread(eventually, lambda: waiting.threads)
        asking = [asyncio.create_task(inspectors.redacted(redactor, long)) for _ in range(3)]
        await asyncio.sleep(0)
        for one in asking:
            one.cancel()
        await asyncio.wait(asking)
        assert inspectors._pool is not None
        assert inspectors._pool._work_queue.empty()
        waiting.go.set()
        assert (await first).counts == {}
        assert (await inspectors.redacted(redactor, long)).counts == {}
        inspectors.close()

    run(scene())


def test_what_inspecting_took_counts_towards_the_deadline(tmp_path: Path) -> None:
    now = [0.0]

    class Slow:
        def find(self, text: str) -> list[Span]:
            now[0] = 3.0
            return []

    async def scene() -> None:
        async with world(tmp_path, monotonic=lambda: now[0]) as made:
            look_with(made, Slow())
            await made.ask(task(TEXT, metadata={"deadline-ms": 5000}))

            assert made.cloud.limits == [2.0]

    run(scene())


@pytest.mark.parametrize(("text", "elsewhere"), [("short", False), ("x" * AT_ONCE_BYTES, True)])
def test_only_a_long_request_is_masked_in_another_thread(text: str, elsewhere: bool) -> None:
    waiting, inspectors = Waiting(), Inspectors()
    run(inspectors.redacted(RuleRedactor((waiting,)), incoming(task(text))))

    assert (waiting.threads != {threading.get_ident()}) == elsewhere
    inspectors.close()


def test_every_detector_that_is_not_built_in_is_bounded() -> None:
    """The daemon's rulebook hands `in_child` to `redactor_of`, which makes all that nothing bounds by it."""
    made: list[Any] = []

    def make(kind: type, *_: object) -> Detector:
        made.append(kind)
        return child("Outside")

    everything = RedactionSettings(
        presidio=True, ner_model=Path("x"), rules={"TICKET": "T-[0-9]+"}, names=("Ann",), paths=("a/**",)
    )
    redactor = redactor_of(everything, make)
    bounded = [one for one in redactor.detectors if is_unbounded(one)]

    assert [kind.unbounded for kind in made] == [True, True]
    assert len(bounded) == len(made)
