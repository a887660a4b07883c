"""Which requests leave with their context reduced, and where that is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from registry.entities import Lane
from registry.errors import UpstreamError
from registry.settings import LocalSettings, PolicySettings, Settings, UpstreamSettings
from router.dialects.completions import Completions
from router.dialects.embeddings import Embeddings
from router.dialects.messages.dialect import Messages
from router.dialects.responses.dialect import Responses
from router.exchange import CollectingWire, Incoming
from router.explaining import explanation
from router.hints import parse_hints
from tests.router.daemon import daemon, post, run_command, write_config
from tests.router.making import FakeReply, incoming, run, settings, world
from tests.router.recording_upstream import recording_upstream

LONG = "\n".join(f"line {number} says nothing of note" for number in range(1_200))
TASK = f'What does a.py do?\n<file path="a.py">\nx = 1\n</file>\n<file path="b.py">\n{LONG}\n</file>'
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
LEFT_OUT = "[file b.py left out: the task does not mention it"


def ask(model: str = "auto", text: str = TASK, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def policy(**changes: Any) -> Settings:
    return settings(policy=PolicySettings(cloud="vendor/gpt-5.4", **changes))


@pytest.mark.parametrize("stream", [False, True])
def test_what_leaves_is_recorded_and_told_as_it_left(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            if stream:
                made.cloud.script = [FakeReply(pieces=[b"data: [DONE]\n\n"])]
            wire = await made.ask(ask(stream=stream))
            (one,) = made.interactions()
            cut = one.intent.decision.context

            assert LEFT_OUT in made.cloud.requests[0]["messages"][0]["content"]
            assert one.intent.request_sent["messages"] == made.cloud.requests[0]["messages"]  # type: ignore[index, call-overload]
            assert one.intent.request_received == ask(stream=stream)
            assert cut is not None
            assert (cut.files, cut.messages) == (1, 0)
            assert wire.headers["x-modelbreeder-context"] == f"{cut.tokens_before}->{cut.tokens_after}"
            assert cut.tokens_after < 100
            assert cut.tokens_before > 8_000

    run(scene())


@pytest.mark.parametrize(
    ("asked", "mode", "cut"),
    [
        (ask("auto"), "unnamed", True),
        (ask("auto"), "off", False),
        (ask("gpt-5.4"), "unnamed", False),
        (ask("gpt-5.4"), "escalations", True),
        (ask("cloud"), "escalations", False),
        (ask("vendor/gpt-5.4"), "escalations", False),
        (ask("auto", metadata={"lane": "cloud"}), "escalations", False),
        (ask("auto", tools=TOOLS), "unnamed", False),
        (ask("auto", tools=TOOLS), "escalations", True),
        (ask("auto", "What does a.py do?"), "escalations", False),
    ],
)
def test_a_client_that_names_the_cloud_gets_what_it_sent(
    tmp_path: Path, asked: dict[str, Any], mode: str, cut: bool
) -> None:
    async def scene() -> None:
        async with world(tmp_path, policy(minimum_context=mode)) as made:
            wire = await made.ask(asked)
            (one,) = made.interactions()

            assert (LEFT_OUT in str(made.cloud.requests)) is cut
            assert ("x-modelbreeder-context" in wire.headers) is cut
            assert (one.intent.decision.context is not None) is cut
            if not cut:
                assert made.cloud.requests[0]["messages"] == asked["messages"]

    run(scene())


def general_base() -> Settings:
    mine = UpstreamSettings(base_url="http://127.0.0.1:9/v1", models=("llama",), trust="private", context=32_768)
    vendor = UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",))
    return Settings(
        upstreams={"vendor": vendor, "mine": mine},
        local=LocalSettings(runtime="mine", base="llama"),
        policy=PolicySettings(cloud="vendor/gpt-5.4"),
    )


def test_the_users_own_server_sees_everything_and_the_cloud_behind_it_does_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, general_base()) as made:
            made.private.script = [UpstreamError("down")]
            wire = await made.ask(ask(text=f"Summarize a.py.\n{TASK}"))
            first, second = made.interactions()

            assert "line 1199" in str(made.private.requests)
            assert "line 1199" not in str(made.cloud.requests)
            assert first.intent.decision.lane is Lane.LOCAL_FAST
            assert first.intent.decision.context is None
            assert second.intent.decision.context is not None
            assert "x-modelbreeder-context" in wire.headers

    run(scene())


def test_a_private_fallback_of_a_cloud_that_failed_sees_everything(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, policy(fallbacks=("mine/llama",))) as made:
            made.cloud.script = [UpstreamError("down")]
            await made.ask(ask())
            _, second = made.interactions()

            assert "line 1199" in str(made.private.requests)
            assert second.intent.decision.context is None

    run(scene())


def in_dialect(dialect: Any, body: dict[str, Any]) -> Incoming:
    return Incoming(dialect, dialect.read(json.dumps(body).encode()), parse_hints([]), {})


@pytest.mark.parametrize(
    "asked",
    [
        in_dialect(Responses(), {"model": "auto", "input": TASK}),
        in_dialect(Messages(), {"model": "auto", "max_tokens": 9, "messages": ask()["messages"]}),
    ],
)
def test_every_dialect_is_reduced_on_its_way(tmp_path: Path, asked: Incoming) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            wire = CollectingWire()
            await made.deps.turns.respond(asked, wire)

            assert LEFT_OUT in str(made.cloud.requests)
            assert "line 1199" not in str(made.cloud.requests)
            assert "x-modelbreeder-context" in wire.headers

    run(scene())


@pytest.mark.parametrize(("dialect", "field"), [(Embeddings(), "input"), (Completions(), "prompt")])
def test_what_is_embedded_or_completed_leaves_whole(tmp_path: Path, dialect: Any, field: str) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            asked = in_dialect(dialect, {"model": "auto", field: TASK})

            assert made.deps.router.route(asked, "i1", made.deps.outside.clock()).context is None

    run(scene())


def test_a_deeply_nested_request_is_routed_as_any_other(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            nested: Any = "x"
            for _ in range(450):
                nested = [nested]
            asked = ask()
            asked["messages"].insert(0, {"role": "assistant", "content": "y", "extra": nested})

            assert made.deps.router.route(incoming(asked), "i1", made.deps.outside.clock()).reduced is not None

    run(scene())


def test_tokens_that_no_upstream_counts_are_those_that_left(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            answer = {
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]
            }
            made.cloud.script = [FakeReply(pieces=[json.dumps(answer).encode()])]
            await made.ask(ask())
            (one,) = made.interactions()

            assert one.outcome is not None
            assert one.outcome.usage is not None
            assert one.outcome.usage.prompt_tokens < 100

    run(scene())


def test_explain_tells_what_would_be_left_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            told: Any = explanation(made.deps.router.route(incoming(ask()), "i1", made.deps.outside.clock()))
            whole: Any = explanation(made.deps.router.route(incoming(ask("cloud")), "i2", made.deps.outside.clock()))

            assert told["context"]["left_out"] == ["b.py"]
            assert told["context"]["files"] == 1
            assert LEFT_OUT in told["request_sent"]["messages"][0]["content"]
            assert whole["context"] is None

    run(scene())


def test_the_daemon_and_the_command_line_tell_it_too(tmp_path: Path) -> None:
    with recording_upstream() as vendor:
        write_config(tmp_path, vendor.url)
        (tmp_path / "task.txt").write_text(TASK, encoding="utf-8")
        shown = run_command(tmp_path, "explain", str(tmp_path / "task.txt"))
        with daemon(tmp_path) as running:
            status, headers, _ = post(f"{running.url}/v1/chat/completions", ask())

    assert status == 200
    assert "->" in headers["x-modelbreeder-context"]
    assert LEFT_OUT in vendor.everything
    assert "left out  b.py" in shown.stdout
    assert "context   " in shown.stdout
