"""Every surface over an in-memory transport: whole and streamed, by specialists and by upstreams of any dialect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from registry.entities import Status
from registry.errors import UpstreamError
from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.dialects.messages.dialect import Messages
from router.exchange import CollectingWire, CutStreamError, Incoming
from router.hints import Hints
from tests.router.making import FakeReply, World, answered, delta, run, sse, world

SECRET = "bob@example.org"
PROMPT = "Classify this commit.\nfix typo"


def both_dialects() -> Settings:
    """Return settings with an OpenAI-like upstream and one of Anthropic's dialect."""
    upstreams = {
        "vendor": UpstreamSettings(base_url="https://vendor.test/v1", models=("gpt-5.4",)),
        "anth": UpstreamSettings(base_url="https://anth.test/v1", dialect="anthropic", models=("claude-9",)),
    }
    return Settings(upstreams=upstreams, policy=PolicySettings(cloud="vendor/gpt-5.4"))


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[tuple[World, httpx2.AsyncClient]]:
    async with world(root, both_dialects()) as made:
        transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield made, client


def message(text: str = PROMPT, **more: Any) -> dict[str, Any]:
    return {"model": "gpt-5.4", "max_tokens": 50, "messages": [{"role": "user", "content": text}], **more}


def events(answer: httpx2.Response) -> list[Any]:
    """Return the data of a stream's events, each of which must be named by its own type."""
    found = []
    for frame in answer.text.split("\n\n")[:-1]:
        named, data = frame.split("\n")
        parsed = json.loads(data.removeprefix("data: "))
        assert named == f"event: {parsed['type']}"
        found.append(parsed)
    return found


def spoken(found: list[Any]) -> str:
    return "".join(one["delta"].get("text", "") for one in found if one["type"] == "content_block_delta")


def anthropic_events(*texts: str) -> list[bytes]:
    start = {"id": "m", "type": "message", "role": "assistant", "model": "claude-9", "content": []}
    payloads: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": one}} for one in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    ]
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in payloads]


def test_a_specialist_answers_messages_whole_and_streamed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            whole = await client.post("/v1/messages?beta=true", json=message())
            streamed = await client.post("/v1/messages", json=message(stream=True))

            assert whole.headers["x-modelbreeder-lane"] == "local_fast"
            assert whole.json()["type"] == "message"
            assert whole.json()["content"][0]["text"] == spoken(events(streamed))
            assert whole.json()["stop_reason"] == "end_turn"
            assert events(streamed)[-1]["type"] == "message_stop"
            assert {one.intent.surface for one in made.interactions()} == {"anthropic.messages"}

    run(scene())


def test_messages_reach_a_chat_upstream_translated_and_masked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.cloud.script = [FakeReply(pieces=[answered("to PIIEMAIL1")])]
            answer = await client.post("/v1/messages", json=message(f"mail {SECRET}", system="be brief"))

            sent = made.cloud.requests[0]
            assert [turn["role"] for turn in sent["messages"]] == ["system", "user"]
            assert SECRET not in json.dumps(sent)
            assert answer.json()["content"][0]["text"] == f"to {SECRET}"
            assert answer.json()["usage"]["input_tokens"] == 100

    run(scene())


def test_a_chat_stream_is_translated_for_a_messages_client(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            pieces = sse(delta("see PII"), delta("EMAIL1"), delta(finish="stop"))
            made.cloud.script = [FakeReply(pieces=pieces)]
            answer = await client.post("/v1/messages", json=message(f"mail {SECRET}", stream=True))

            assert spoken(events(answer)) == f"see {SECRET}"
            assert events(answer)[-1]["type"] == "message_stop"

    run(scene())


def test_a_stream_that_breaks_ends_with_an_error_event_and_no_stop(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, both_dialects()) as made:
            made.cloud.script = [FakeReply(pieces=sse(delta("x"), done=False), breaks=UpstreamError("broke"))]
            dialect, wire = Messages(), CollectingWire()
            request = dialect.read(json.dumps(message("anything", stream=True)).encode())
            with pytest.raises(CutStreamError):
                await made.deps.turns.respond(Incoming(dialect, request, Hints(), {}), wire)
            outcome = made.interactions()[0].outcome

            assert b"message_stop" not in b"".join(wire.frames)
            assert wire.frames[-1].startswith(b"event: error\n")
            assert not wire.ended
            assert outcome is not None
            assert outcome.status is Status.TRUNCATED

    run(scene())


def test_an_anthropic_upstream_passes_unchanged_to_its_own_client_and_translated_to_a_chat_client(
    tmp_path: Path,
) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.cloud.script = [FakeReply(pieces=anthropic_events("he", "llo")) for _ in range(2)]
            own = await client.post("/v1/messages", json=message("x", model="claude-9", stream=True))
            chat = await client.post(
                "/v1/chat/completions",
                json={"model": "claude-9", "messages": [{"role": "user", "content": "x"}], "stream": True},
            )
            kept: Any = [one.outcome.response for one in made.interactions() if one.outcome]

            assert own.content == b"".join(anthropic_events("he", "llo"))
            assert '"content":"he"' in chat.text
            assert chat.text.endswith("data: [DONE]\n\n")
            assert [one["choices"][0]["message"]["content"] for one in kept] == ["hello", "hello"]
            assert all(one["usage"]["prompt_tokens"] == 7 for one in kept)
            assert made.cloud.requests[1]["max_tokens"] > 0

    run(scene())


def test_a_specialist_answers_responses_whole_and_streamed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            body = {"model": "gpt-5.4", "input": PROMPT, "store": False}
            whole = (await client.post("/v1/responses", json=body)).json()
            streamed = events(await client.post("/v1/responses", json={**body, "stream": True}))

            text = whole["output"][0]["content"][0]["text"]
            assert whole["status"] == "completed"
            assert streamed[-1]["type"] == "response.completed"
            assert streamed[-1]["response"]["output"][0]["content"][0]["text"] == text
            assert [one["sequence_number"] for one in streamed] == sorted({one["sequence_number"] for one in streamed})

    run(scene())


def test_a_chat_upstream_answers_a_responses_client_masked_and_restored(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.cloud.script = [FakeReply(pieces=sse(delta("to PIIE"), delta("MAIL1"), delta(finish="stop")))]
            body = {"model": "gpt-5.4", "instructions": "be brief", "input": f"mail {SECRET}", "stream": True}
            streamed = events(await client.post("/v1/responses", json=body))

            assert [turn["role"] for turn in made.cloud.requests[0]["messages"]] == ["system", "user"]
            assert SECRET not in json.dumps(made.cloud.requests)
            assert streamed[-1]["response"]["output"][0]["content"][0]["text"] == f"to {SECRET}"

    run(scene())


def test_errors_are_told_in_the_dialect_of_the_path(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (_, client):
            unread = await client.post("/v1/messages", json={"model": "m"})
            unknown = await client.get("/v1/messages/batches")
            foreign = await client.post("/v1/messages", json=message(), headers={"origin": "https://evil.test"})

            assert [one.status_code for one in (unread, unknown, foreign)] == [400, 404, 403]
            assert [one.json()["error"]["type"] for one in (unread, unknown, foreign)] == [
                "invalid_request_error",
                "not_found_error",
                "permission_error",
            ]
            assert all(one.json()["type"] == "error" for one in (unread, unknown, foreign))

    run(scene())


def test_tokens_are_counted_without_asking_anybody(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            body = {"model": "claude-9", "messages": [{"role": "user", "content": "x" * 400}]}
            answer = await client.post("/v1/messages/count_tokens", json=body)

            assert 100 <= answer.json()["input_tokens"] <= 110
            assert made.cloud.requests == []

    run(scene())


def test_embeddings_pass_as_bytes_and_are_masked_on_their_way_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            raw = b'{"object":"list","data":[{"embedding":"AACAPw=="}],"usage":{"prompt_tokens":3,"total_tokens":3}}'
            made.cloud.script = [FakeReply(pieces=[raw])]
            body = {"model": "gpt-5.4", "input": [f"mail {SECRET}"], "encoding_format": "base64"}
            answer = await client.post("/v1/embeddings", json=body)
            refused = await client.post("/v1/embeddings", json={"model": "claude-9", "input": "x"})

            assert json.loads(answer.content)["data"] == json.loads(raw)["data"]
            assert made.cloud.requests[0]["input"] == ["mail PIIEMAIL1@masked.invalid"]
            assert made.interactions()[0].outcome is not None
            assert refused.status_code == 400
            assert "has no embeddings" in refused.json()["error"]["message"]

    run(scene())


@pytest.mark.parametrize("stream", [False, True])
def test_a_specialist_completes_a_plain_prompt(tmp_path: Path, stream: bool) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            made.cloud.script = [FakeReply(pieces=[b'{"object":"text_completion","choices":[]}'])]
            body = {"model": "gpt-5.4", "prompt": PROMPT, "stream": stream}
            answer = await client.post("/v1/completions", json=body)
            with_gap = await client.post("/v1/completions", json={**body, "suffix": "end", "stream": False})

            assert answer.headers["x-modelbreeder-lane"] == "local_fast"
            assert '"object":"text_completion"' in answer.text
            assert "local" in answer.text
            assert with_gap.headers["x-modelbreeder-lane"] == "cloud_escalation"

    run(scene())


def test_somebody_is_there_at_the_front(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (_, client):
            assert (await client.head("/")).status_code == 200

    run(scene())
