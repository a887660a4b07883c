"""Every answer has a name by which a client can ask about it, whatever became of the request."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from starlette.types import Message

from registry.tokens import Tokens
from router.admission import InFlight
from router.app import make_app
from router.dialects.messages.dialect import Messages
from router.http_wire import HttpWire
from tests.router.making import NOON, World, run, task, world

UNREADABLE = b"{"


@asynccontextmanager
async def served(root: Path) -> AsyncIterator[tuple[World, httpx2.AsyncClient]]:
    async with world(root) as made:
        transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)), raise_app_exceptions=False)
        headers = {"content-type": "application/json"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            yield made, client


def test_an_answered_turn_has_the_name_of_its_interaction_for_both_vendors_clients(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            answer = await client.post("/v1/chat/completions", json=task())

            interaction = answer.headers["x-modelbreeder-interaction"]
            assert answer.headers["x-request-id"] == answer.headers["request-id"] == interaction

    run(scene())


@pytest.mark.parametrize("barred", ["a foreign page", "no token"])
def test_who_may_not_ask_hears_the_name_of_the_request_too(barred: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            if barred == "no token":
                Tokens(made.deps.database).add("somebody", NOON)
            headers = {"x-request-id": "mine-7"} | ({"origin": "https://evil.test"} if barred != "no token" else {})
            answer = await client.post("/v1/messages", json=task(), headers=headers)

            assert answer.status_code == (401 if barred == "no token" else 403)
            assert answer.json()["request_id"] == "mine-7"

    run(scene())


def test_who_is_told_that_the_daemon_stops_hears_the_name_of_the_request(tmp_path: Path) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def scene() -> None:
        await HttpWire(send, Messages(), request_id="mine-7").stop()

    run(scene())

    assert json.loads(sent[1]["body"])["request_id"] == "mine-7"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/nothing", "/v1/models/nothing"])
def test_what_is_refused_before_it_is_a_turn_has_a_name_too(path: str, tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (_, client):
            unnamed = await client.post(path, content=UNREADABLE)
            named = await client.post(path, content=UNREADABLE, headers={"x-request-id": "mine-7"})

            assert unnamed.is_client_error
            assert unnamed.headers["x-request-id"] == unnamed.headers["request-id"] != ""
            assert named.headers["x-request-id"] == named.headers["request-id"] == "mine-7"
            if path == "/v1/messages":
                assert named.json()["request_id"] == "mine-7"

    run(scene())


def test_a_bug_has_a_name(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            made.engine.fails = RuntimeError("a bug")
            answer = await client.post("/v1/messages", json={**task(), "max_tokens": 5})

            assert answer.status_code == 500
            assert answer.headers["request-id"] == answer.json()["request_id"] != ""

    run(scene())
