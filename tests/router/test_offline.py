"""policy.offline: no connection is opened to anything but the user's own machines, by no surface and no detour."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from registry.errors import RefusedError
from registry.settings import PolicySettings
from router.exchange import TurnError
from router.rulebook import compile_rulebook
from tests.router.daemon import daemon, get, post, write_config
from tests.router.making import FakeReply, run, settings, task, world
from tests.router.recording_upstream import recording_upstream

CHAT = {"messages": [{"role": "user", "content": "Summarize this."}]}
MESSAGES = {"max_tokens": 9, **CHAT}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LOOP = {
    "messages": [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c", "content": "y"},
    ]
}
MODELS = ("gpt-5.4", "auto", "local", "cloud", "vendor/gpt-5.4", "spare/m", "tagged/big:120b-cloud", "workflow:w")
MORE = """
[upstreams.spare]
base_url = "{cloud}"
models = ["m"]
[upstreams.tagged]
dialect = "ollama"
base_url = "{cloud}"
trust = "private"
[upstreams.mine]
base_url = "{private}"
models = ["llama"]
trust = "private"
context = 32768
[local]
runtime = "mine"
base = "llama"
"""


@contextmanager
def listening() -> Iterator[tuple[str, list[object]]]:
    """Give the address of a server of which every connection counts, whatever is said on it."""
    connections: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, peer = server.accept()
                except OSError:
                    return
                connections.append(peer)
                connection.close()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1", connections
        server.shutdown(socket.SHUT_RDWR)


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    for model in MODELS:
        yield "/v1/chat/completions", {"model": model, **CHAT}
        yield "/v1/chat/completions", {"model": model, "stream": True, **CHAT}
        yield "/v1/chat/completions", {"model": model, **LOOP}
        yield "/v1/messages", {"model": model, **MESSAGES}
        yield "/v1/responses", {"model": model, "input": "x", "tools": [{"type": "web_search"}]}
        yield "/v1/embeddings", {"model": model, "input": "x"}
        yield "/v1/completions", {"model": model, "prompt": "x"}
        yield "/v1/messages/count_tokens", {"model": model, **CHAT}
        yield "/v1/route/explain", {"model": model, **CHAT}


def test_no_connection_is_opened_to_a_cloud(tmp_path: Path) -> None:
    policy = 'offline = true\nfallbacks = ["spare/m", "tagged/x-cloud"]\ncontent_policy_fallbacks = ["spare/m"]'
    with listening() as (cloud, connections), recording_upstream() as mine:
        more = MORE.format(cloud=cloud, private=mine.url)
        write_config(tmp_path, cloud, policy=policy, more=more)
        with daemon(tmp_path, TEST_VENDOR_KEY="k") as router:
            statuses = {post(router.url + path, body, router.admin)[0] for path, body in requests()}
            mine.behaviour, hint = "500", {**router.admin, "X-ModelBreeder-Lane": "cloud"}
            failing = {post(router.url + path, body, hint)[0] for path, body in requests()}
            for path in ("/v1/models", "/healthz", "/readyz", "/metrics", "/"):
                assert get(router.url + path, router.admin)[0] == 200
            assert router.stop() == 0

    assert connections == []
    assert len(mine.requests) > len(MODELS)
    assert 200 in statuses
    assert statuses | failing <= {200, 400, 403, 404, 502, 503}


def test_the_gap_closes_behind_a_request_that_pauses_before_it_asks_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            router = made.deps.router
            cloud_open = made.cloud.open

            async def last(request: Any) -> Any:
                offline = PolicySettings(cloud="vendor/gpt-5.4", offline=True)
                router.rulebook = compile_rulebook(settings(policy=offline))
                return await cloud_open(request)

            made.cloud.open = last  # type: ignore[method-assign]
            made.cloud.script = [FakeReply(status=500, headers={"retry-after": "0"})] * 3
            with pytest.raises(TurnError) as caught:
                await made.ask(task())
            await made.ask(task(model="mine/llama"))

            assert isinstance(caught.value.cause, RefusedError)
            assert "policy.offline is set" in str(caught.value)
            assert len(made.cloud.requests) == 1
            assert len(made.private.requests) == 1

    run(scene())


def test_explain_names_the_gap(tmp_path: Path) -> None:
    async def scene() -> None:
        given = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", offline=True))
        async with world(tmp_path, given) as made:
            with pytest.raises(TurnError, match="policy.offline is set"):
                await made.ask(task())
            (one,) = made.interactions()

            assert one.intent.request_sent is None
            assert one.intent.decision.rule == "offline"
            assert made.cloud.requests == []

    run(scene())
