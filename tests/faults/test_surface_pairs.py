"""R14, R15, R25 and the whole contract at once: random requests through every pair of surfaces.

Whatever the upstream says, however its bytes are cut, the client gets valid JSON or events in its own dialect, the
same text, reasoning and calls, with arguments equal to the byte; the ledger has one intent and one outcome for each
request; a stream that breaks off is no whole answer; and nothing fails in the log. `case(NUMBER)` is the same always,
so a failure is repeated by adding its number to `FAILED_ONCE`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from registry.entities import Status
from registry.errors import UpstreamError
from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.dialects.known import dialect_of
from router.dialects.protocol import AnswerFacts, Passage
from router.dialects.translation import Translation
from router.redaction.redactor import default_redactor
from router.sse import EventReader
from router.upstream import CloudReply, CloudRequest
from tests.faults.answers import CHAT, MESSAGES, RESPONSES, Cutter, frames, whole
from tests.faults.cases import ALL_DIALECTS, PLACEHOLDER, SECRET, Case, case, same, same_calls
from tests.faults.in_memory import Got, call
from tests.faults.reading import END_MARKS, ERROR_MARKS, PATHS, read_stream, read_whole, request
from tests.faults.scene import MODELS
from tests.router.making import NOON, FakeReply, run, world

FAILED_ONCE: tuple[int, ...] = ()
AT_ONCE = 16


class SpeakingCloud:
    """All upstreams: knows which case a request is of, and says what that case's upstream says."""

    async def open(self, asked: CloudRequest) -> CloudReply:
        found = re.search(rb"case (\d+)\.", asked.body)
        assert found is not None
        one = case(int(found[1]))
        broken = UpstreamError("broke off") if one.cut is not None and one.cut % 2 else None
        return FakeReply(pieces=one.said, breaks=broken)

    async def aclose(self) -> None:
        """Nothing is open."""


def every_dialect() -> Settings:
    """Return settings with an upstream for each dialect."""
    base: dict[str, Any] = {"base_url": "https://vendor.test/v1", "cooldown_s": 0}
    base["pass_fields"] = ("metadata", "x_passed")
    upstreams = {
        "vendor": UpstreamSettings(models=(MODELS[CHAT],), **base),
        "anth": UpstreamSettings(models=(MODELS[MESSAGES],), dialect="anthropic", **base),
        "resp": UpstreamSettings(models=(MODELS[RESPONSES],), responses=True, **base),
    }
    return Settings(upstreams=upstreams, policy=PolicySettings(cloud="vendor/gpt-5.4"))


def check(one: Case, got: Got) -> Status:
    """Check what the client of a case got, and return how the ledger must say that it ended."""
    if one.cut is None:
        assert (got.status, got.ended) == (200, True)
        understood = (read_stream if one.stream else read_whole)(one.client, got.body)
        assert same(one, understood), f"{understood} is not {one.expected}"
        return Status.OK
    if got.status != 200:
        assert (got.status, got.ended) == (502, True)
        assert json.loads(got.body)["error"]["message"]
        return Status.ERROR
    frame = got.body[got.body.rstrip(b"\n").rfind(b"\n\n") + 2 :]
    assert not got.ended
    assert frame.startswith(ERROR_MARKS[one.client])
    assert not any(mark in got.body for mark in END_MARKS[one.client])
    return Status.TRUNCATED


async def play(root: Path, numbers: list[int]) -> None:
    cloud = SpeakingCloud()
    async with world(root, every_dialect(), make_cloud=lambda *_: cloud) as made:
        app, due = make_app(made.deps, InFlight(AT_ONCE)), iter(numbers)
        ended: dict[str, tuple[int, Status]] = {}

        async def client() -> None:
            for number in due:
                one = case(number)
                got = await call(app, PATHS[one.client], one.body)
                try:
                    ended[got.headers["x-modelbreeder-interaction"]] = number, check(one, got)
                except Exception as error:
                    error.add_note(f"case {number}: {one}\ngot {got}\nrepeat it: add {number} to FAILED_ONCE")
                    raise

        async with asyncio.TaskGroup() as clients:
            for _ in range(AT_ONCE):
                clients.create_task(client())
        kept = made.interactions()

        assert len(ended) == len(numbers) == len(kept)
        for row in kept:
            number, status = ended[row.intent.interaction_id]
            assert row.outcome is not None, f"case {number} has no outcome"
            assert row.outcome.status is status, f"case {number}"
            assert SECRET not in str(row.outcome.response), f"case {number}"
        assert made.deps.ledger.verify().problems == ()


def check_log(log: pytest.LogCaptureFixture) -> None:
    assert [line.getMessage() for line in log.records if line.levelno >= logging.ERROR or line.exc_info] == []


def test_random_requests_through_every_pair_of_surfaces(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run(play(tmp_path, [*FAILED_ONCE, *range(400)]))
    check_log(caplog)


@pytest.mark.slow
def test_ten_thousand_random_requests_through_every_pair_of_surfaces(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(play(tmp_path, [*range(400, 10_400)]))
    check_log(caplog)


def passage(client: str, upstream: str, one: Case) -> Passage:
    """Return the way of a stream of any dialect to a client of any other, as the cloud lane has it."""
    spoken, wire = dialect_of(client), dialect_of(upstream)
    more = {"reasoning": True, "json": one.wants_json}
    asked = spoken.read(request(client, "m", "x", stream=True, tools=("find",), **more))
    masker = default_redactor().redact({"text": f"write to {SECRET}"}).masker if one.masked else None
    if client == upstream:
        return spoken.passage(masker, asked)
    encoder = spoken.encoder(AnswerFacts("i1", "m", NOON), asked)
    return Translation(wire.decoder(), encoder, masker, json_text=one.wants_json)


@pytest.mark.parametrize("client", ALL_DIALECTS)
@pytest.mark.parametrize("upstream", ALL_DIALECTS)
def test_r14_r15_all_nine_pairs_of_dialects_say_the_same_in_streams(client: str, upstream: str) -> None:
    for number in range(150):
        one = case(number)
        way, reader = passage(client, upstream, one), EventReader()
        cutter = Cutter(number)
        pieces = cutter.bytes(b"".join(frames(upstream, one.answer, cutter)))
        told = b"".join(way.forward(data)[0] for piece in pieces for data in reader.feed(piece)) + way.finish()
        expected = one.answer.replacing(PLACEHOLDER, SECRET) if one.masked else one.answer
        understood = read_stream(client, told)

        assert way.ended
        assert (understood.text, understood.reasoning, understood.finish) == (
            expected.text,
            expected.reasoning,
            expected.finish,
        ), f"case {number}"
        assert same_calls(understood.calls, expected.calls, upstream, as_values=False), f"case {number}"


@pytest.mark.parametrize("client", ALL_DIALECTS)
@pytest.mark.parametrize("upstream", ALL_DIALECTS)
def test_r14_r15_all_nine_pairs_of_dialects_say_the_same_in_whole_answers(client: str, upstream: str) -> None:
    for number in range(150):
        answer = case(number).answer
        body = json.loads(request(client, "m", "x", stream=False, tools=("find",), reasoning=True))
        completion = dialect_of(upstream).answer_to_chat(json.loads(whole(upstream, answer)))
        told = dialect_of(client).answer_from_chat(completion, AnswerFacts("i1", "m", NOON), body)
        understood = read_whole(client, json.dumps(told).encode())

        assert (understood.text, understood.reasoning, understood.finish) == (
            answer.text,
            answer.reasoning,
            answer.finish,
        ), f"case {number}"
        assert same_calls(understood.calls, answer.calls, upstream, as_values=True), f"case {number}"
