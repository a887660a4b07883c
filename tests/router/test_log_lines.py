"""Log lines: one an event, whole, and without a word of what anybody asked."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from typing_extensions import override

from registry.errors import DataError, LedgerError
from router.admission import InFlight
from router.app import make_app
from router.exchange import CutStreamError
from router.log_lines import FACTS, LineHandler, logging_to
from router.metrics import Metrics
from router.observing import EventWatch
from router.tracing import Traced
from tests.router.daemon import admin_of
from tests.router.making import FakeReply, delta, run, settings, sse, task, world

OURS = logging.getLogger("modelbreeder.router")
SECRET = "planted-4711-sesame"


@contextmanager
def log(*, as_json: bool = True) -> Iterator[list[Any]]:
    """Collect lines; they are complete once the block has ended."""
    stream, lines = io.StringIO(), []
    with logging_to(stream, as_json=as_json):
        yield lines
    text = stream.getvalue()
    assert SECRET not in text
    assert text == "" or text.endswith("\n")
    lines.extend(json.loads(line) if as_json else line for line in text.splitlines())


def fail() -> None:
    try:
        {}[SECRET]
    except KeyError as error:
        raise DataError(f"cannot read {SECRET}") from error


def test_a_line_is_one_json_object_with_its_facts() -> None:
    with log() as lines:
        OURS.info("request", extra={FACTS: {"interaction": "i1", "ms": 12.5}})
    (line,) = lines

    assert line.pop("at").endswith("+00:00")
    assert line == {"level": "info", "event": "request", "interaction": "i1", "ms": 12.5}


def test_a_line_of_text_says_the_same() -> None:
    with log(as_json=False) as lines:
        OURS.warning("%d of %s", 3, "five", extra={FACTS: {"interaction": "i1"}})

    assert lines[0].split(" ", 1)[1] == "warning 3 of five interaction=i1"


@pytest.mark.parametrize("as_json", [False, True])
def test_an_exception_is_its_type_and_place_without_its_words(as_json: bool) -> None:
    with log(as_json=as_json) as lines:
        try:
            fail()
        except DataError as error:
            OURS.error("%s %s failed", "POST", "/v1/x", exc_info=error)
            OURS.error("it said: %s", error)
            OURS.error("it said: %(why)s", {"why": error})
    told = json.dumps(lines)

    assert "DataError from KeyError" in told
    assert "test_log_lines.py" in told
    assert " fail" in told
    assert told.count("it said: DataError") == 2


def test_why_the_ledger_failed_is_told() -> None:
    with log() as lines:
        OURS.error("3 submissions failed: %s", LedgerError("database or disk is full"))

    assert lines[0]["event"] == "3 submissions failed: database or disk is full"


def test_of_other_loggers_only_name_and_place_are_told() -> None:
    with log() as lines:
        logging.getLogger("asyncio").error("Task exception was never retrieved: %s", SECRET)
        logging.getLogger("uvicorn.error").info("not of interest")

    assert [line["event"].split(":")[0] for line in lines] == ["asyncio at test_log_lines.py"]


def test_a_request_that_is_cut_off_is_told_by_its_own_line_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # As the daemon has it: a server of uvicorn's own making in this process would have changed it.
    monkeypatch.setattr(logging.getLogger("uvicorn"), "propagate", True)
    server = logging.getLogger("uvicorn.error")
    with log() as lines:
        server.error("Exception in ASGI application\n", exc_info=asyncio.CancelledError())
        server.error("ASGI callable returned without completing response.")
        server.error("Exception in ASGI application\n", exc_info=DataError(SECRET))
        server.error("Cancel %s running task(s), timeout graceful shutdown exceeded", 3)

    assert [line.get("error") or line["event"] for line in lines] == [
        "DataError",
        "the time to drain is over: 3 requests cut off",
    ]


def test_a_task_that_nobody_awaited_is_told_by_its_type() -> None:
    async def scene() -> None:
        async def bug() -> None:
            fail()

        lost = asyncio.create_task(bug())
        await asyncio.wait({lost})
        del lost
        gc.collect()

    gc.collect()  # what earlier tests left behind
    with log() as lines:
        run(scene())

    assert [line["error"] for line in lines] == ["DataError from KeyError"]


def test_what_dies_in_a_thread_or_cannot_be_raised_is_told_by_its_type() -> None:
    class Grave:
        def __del__(self) -> None:
            fail()

    with log() as lines:
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        Grave()
        gc.collect()

    assert [line["event"] for line in lines] == ["a thread died", "an exception could not be raised"]
    assert {line["error"] for line in lines} == {"DataError from KeyError"}


def test_no_client_can_write_a_line_of_its_own_or_move_the_cursor() -> None:
    with log(as_json=False) as lines:
        OURS.error("GET %s failed", "/v1/models/x\n2026 info all is well\x1b[2J")

    assert len(lines) == 1
    assert "\x1b" not in lines[0]


def test_a_message_with_a_percent_sign_and_a_wrong_one_do_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    with log() as lines:
        OURS.info("100 % of it")
        OURS.info("%d of it", SECRET)
        OURS.info("the next")

    assert [line["event"] for line in lines][:2] == ["100 % of it", "the next"]
    assert capsys.readouterr().err == ""


class StuckStream(io.StringIO):
    """A stream that nobody reads until it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    @override
    def write(self, text: str) -> int:
        self.free.wait(10)
        return super().write(text)


def test_a_log_that_nobody_reads_holds_up_nobody_and_tells_what_is_missing() -> None:
    stream = StuckStream()
    handler = LineHandler(stream, as_json=True, room=5)
    OURS.addHandler(handler)
    try:
        for number in range(100):
            OURS.warning("line %d", number)
        stream.free.set()
        handler.close()
    finally:
        OURS.removeHandler(handler)
    events = [json.loads(line)["event"] for line in stream.getvalue().splitlines()]

    assert events[:5] == [f"line {number}" for number in range(5)]
    assert len(events) <= 8


@pytest.mark.parametrize("room", [1, 100])
def test_closing_a_log_that_nobody_reads_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr("router.log_lines._FLUSH_S", 0.05)
    stream = StuckStream()
    handler = LineHandler(stream, as_json=True, room=room)
    for _ in range(3):
        handler.handle(logging.makeLogRecord({"msg": "x", "name": OURS.name}))
    handler.close()

    assert not stream.free.is_set()
    assert stream.getvalue() == ""
    stream.free.set()


def test_the_loggers_stand_as_before_afterwards() -> None:
    root, ours = logging.getLogger(), logging.getLogger("modelbreeder")
    before = root.handlers[:], ours.level, threading.excepthook, sys.unraisablehook
    with log():
        assert root.handlers != before[0]

    assert (root.handlers, ours.level, threading.excepthook, sys.unraisablehook) == before


def test_no_secret_of_any_failing_path_is_in_the_log(tmp_path: Path) -> None:
    """Every way in which a request is known to fail, each with a secret where a careless line would show it."""
    secret = f"bob.{SECRET}@example.org"

    async def scene() -> None:
        async with world(tmp_path) as made:
            in_flight = InFlight(8)
            made.deps.turns.recorder.watch(EventWatch(Metrics(settings(), in_flight)).observe)
            transport = httpx2.ASGITransport(app=Traced(make_app(made.deps, in_flight)), raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                quoting = json.dumps({"error": {"message": f"no: {secret}"}}).encode()
                made.cloud.script = [
                    FakeReply(400, pieces=[quoting]),
                    FakeReply(400, pieces=[secret.encode()]),
                    FakeReply(pieces=[secret.encode()]),
                    RuntimeError(f"a bug that quotes {secret}"),
                    FakeReply(breaks=ValueError(f"a bug that quotes {secret}")),  # type: ignore[arg-type]  # a bug
                    FakeReply(pieces=sse(delta(secret), done=False)),
                ]
                ask = task(f"mail {secret}")
                for _ in range(5):
                    await client.post("/v1/chat/completions", json=ask)
                with pytest.raises(CutStreamError):
                    await made.ask({**ask, "stream": True})
                made.promote()
                made.engine.fails = RuntimeError(f"a bug that quotes {secret}")
                await client.post("/v1/chat/completions", json=task(f"Classify this commit.\n{secret}"))
                await client.post("/v1/chat/completions", content=secret, headers={"content-type": "application/json"})
                await client.post("/v1/chat/completions", json={"model": secret, "messages": secret})
                await client.post("/v1/chat/completions", json=ask, headers={"X-ModelBreeder-Lane": secret})
                verdict = {"interaction": secret, "verdict": "accepted"}
                await client.post("/v1/feedback", json=verdict, headers=admin_of(tmp_path))
                await client.get(f"/v1/models/{secret}")
                await client.get(f"/{secret}")
                made.deps.writer.close()
                await client.post("/v1/chat/completions", json=ask)

    with log() as lines:
        run(scene())
    told = [line for line in lines if line["event"] == "request"]
    bugs = [line for line in lines if line["level"] == "error"]

    assert {line["status"] for line in told} >= {"error", "truncated"}
    assert all(line["interaction"] for line in told)
    assert [line["error"].split()[0] for line in bugs] == ["RuntimeError", "ValueError", "RuntimeError"]
    assert all(line["interaction"] for line in bugs)
