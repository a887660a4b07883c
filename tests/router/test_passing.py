"""How the events of an upstream's stream become what the client is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from registry.entities import Status
from registry.errors import UpstreamError
from registry.settings import BudgetSettings, PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.assembly import upstream_usage
from router.dialects.chat import ChatPassage
from router.passing import MAX_ANSWER_BYTES, Stream, frames_of
from tests.faults.answers import CHAT, MESSAGES, RESPONSES, Answer, whole
from tests.faults.in_memory import call
from tests.leaks.asking import PATHS
from tests.router.making import NOON, FakeCloud, FakeReply, run, task, world

TURN = [{"role": "user", "content": "hello"}]
ONE, TWO = (b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % word for word in (b"one", b"two"))


def passed(*arrived: list[bytes]) -> tuple[list[bytes], Stream, UpstreamError | None]:
    """Return what a client is written of events by how they arrived, the stream, and how it broke."""
    stream = Stream(ChatPassage(None, wants_usage=False, json_text=False))
    written: list[bytes] = []

    async def source() -> AsyncGenerator[list[bytes], None]:
        for each in arrived:
            yield each

    async def read() -> None:
        async for frames in frames_of(stream, source(), "vendor"):
            written.append(frames)  # noqa: PERF401  what was written before an error counts

    try:
        asyncio.run(read())
    except UpstreamError as error:
        return written, stream, error
    return written, stream, None


def test_what_arrived_together_is_written_together_and_the_rest_at_once() -> None:
    written, stream, error = passed([ONE, TWO], [ONE], [b"[DONE]"])
    assert written == [b"data: %b\n\ndata: %b\n\n" % (ONE, TWO), b"data: %b\n\n" % ONE]
    assert error is None
    assert "onetwoone" in str(stream.assembly.completion())


def test_what_came_before_a_broken_event_is_written_and_nothing_behind_the_end_mark_is() -> None:
    written, _, error = passed([ONE, b"{", TWO])
    assert written == [b"data: %b\n\n" % ONE]
    assert "not JSON" in str(error)

    assert passed([ONE, b"[DONE]", TWO])[0] == [b"data: %b\n\n" % ONE]


@pytest.mark.parametrize("arrived", [[], [ONE]])
def test_a_stream_without_its_end_mark_is_not_whole(arrived: list[bytes]) -> None:
    assert "without the end mark" in str(passed(arrived)[2])


def test_a_stream_without_end_is_cut_off_where_a_whole_answer_would_be() -> None:
    event = b'{"choices":[{"index":0,"delta":{"content":"x%b"}}]}' % (b"x" * (1 << 20))
    written, _, error = passed(*([event] for _ in range(80)))

    assert len(written) == MAX_ANSWER_BYTES >> 20
    assert "was cut off" in str(error)


def test_what_a_stream_has_around_its_words_cuts_it_off_later(monkeypatch: pytest.MonkeyPatch) -> None:
    event = b'{"obfuscation":"%b","choices":[{"index":0,"delta":{"content":"x"}}]}' % (b"x" * (1 << 20))
    events = [[event] for _ in range((MAX_ANSWER_BYTES >> 20) + 1)]
    assert passed(*events, [b"[DONE]"])[2] is None

    monkeypatch.setattr("router.passing.MAX_STREAM_BYTES", 8 << 20)
    written, _, error = passed(*events)
    assert len(written) == 8
    assert "was cut off" in str(error)


@pytest.mark.parametrize("text", ["plain", "mail ann@acme.example"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("depth", [300, 900])
def test_what_is_nested_too_deeply_is_the_upstreams_failure_and_nothing_fails_here(
    tmp_path: Path, text: str, stream: bool, depth: int
) -> None:
    nested = b"[" * depth + b"]" * depth
    chunk = b'{"choices":[{"index":0,"delta":{"content":"x","odd":%b}}]}' % nested
    whole = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"x","odd":%b}}]}' % nested

    async def scene() -> None:
        async with world(tmp_path) as made:
            made.cloud.script = [FakeReply(pieces=[b"data: %b\n\ndata: [DONE]\n\n" % chunk if stream else whole])]
            body = json.dumps(task(text, stream=stream)).encode()
            got = await call(make_app(made.deps, InFlight(1)), "/v1/chat/completions", body)
            (row,) = made.interactions()

            assert row.outcome is not None
            # Where nothing has to be put back the upstream's own bytes pass.
            assert (got.status, row.outcome.status) in ((502, Status.ERROR), (200, Status.OK))
            assert got.status == 502 or text == "plain"

    run(scene())


@pytest.mark.parametrize("depth", [100, 300, 600])
def test_arguments_that_are_too_deep_as_the_value_that_another_dialect_has_are_the_clients_to_mend(
    tmp_path: Path, depth: int
) -> None:
    function = {"name": "f", "arguments": '{"a":%s}' % ("[" * depth + "]" * depth)}
    called = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": function}],
    }
    upstream = UpstreamSettings(base_url="https://vendor.test/v1", models=("m",), dialect="anthropic")
    given = Settings(upstreams={"vendor": upstream}, policy=PolicySettings(cloud="vendor/m"))
    cloud = FakeCloud(script=[FakeReply(pieces=[whole(MESSAGES, Answer("hello"))])])

    async def scene() -> None:
        async with world(tmp_path, given, make_cloud=lambda *_: cloud) as made:
            turns = [*TURN, called, {"role": "tool", "tool_call_id": "c", "content": "x"}]
            got = await call(
                make_app(made.deps, InFlight(1)), PATHS[CHAT], json.dumps({"model": "m", "messages": turns}).encode()
            )
            (row,) = made.interactions()

            assert row.outcome is not None
            wanted = (200, Status.OK) if depth == 100 else (400, Status.REFUSED)
            assert (got.status, row.outcome.status) == wanted, got.body

    run(scene())


@pytest.mark.parametrize("count", [-(10**9), 2**63, 10**30, True, 1.5, "7", None])
def test_a_number_of_tokens_that_can_be_none_is_neither_charged_nor_believed(count: object) -> None:
    assert upstream_usage({"prompt_tokens": count, "completion_tokens": 1}) is None  # type: ignore[dict-item]


@pytest.mark.parametrize("count", [-(10**9), 2**63])
@pytest.mark.parametrize("surface", [CHAT, MESSAGES, RESPONSES])
def test_an_upstream_that_reports_mad_numbers_neither_fills_a_budget_up_nor_stops_the_ledger(
    tmp_path: Path, surface: str, count: int
) -> None:
    mad: Any = json.loads(whole(surface, Answer("hello")))
    mad["usage"] = {name: count if isinstance(one, int) else one for name, one in mad["usage"].items()}
    dialect = "anthropic" if surface == MESSAGES else "openai"
    upstream = UpstreamSettings(
        base_url="https://vendor.test/v1", models=("m",), dialect=dialect, responses=True, usd_per_million_input=1.0,
        usd_per_million_output=1.0,
    )  # fmt: skip
    policy = PolicySettings(cloud="vendor/m", budget=BudgetSettings(day_usd=1.0))
    cloud = FakeCloud(script=[FakeReply(pieces=[json.dumps(mad).encode()])])

    async def scene() -> None:
        given = Settings(upstreams={"vendor": upstream}, policy=policy)
        async with world(tmp_path, given, make_cloud=lambda *_: cloud) as made:
            asked: dict[str, dict[str, Any]] = {
                CHAT: {"messages": TURN},
                MESSAGES: {"messages": TURN, "max_tokens": 9},
                RESPONSES: {"input": "x"},
            }
            body = json.dumps({"model": "m", **asked[surface]}).encode()
            got = await call(make_app(made.deps, InFlight(1)), PATHS[surface], body)
            (row,) = made.interactions()

            assert got.status == 200, got.body
            assert row.outcome is not None
            assert row.outcome.status is Status.OK
            assert 0 <= (row.outcome.cost_usd or 0) < 0.01
            assert made.deps.budgets.today(policy.budget, NOON)[0].spent_usd >= 0

    run(scene())
