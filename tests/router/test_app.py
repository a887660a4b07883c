"""The surface over an in-memory transport: what needs fakes behind it; sockets are in test_daemon."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from registry.entities import SpecialistKind
from registry.settings import PolicySettings, Settings
from router.admission import InFlight
from router.app import make_app
from tests.router.daemon import admin_of
from tests.router.making import World, run, settings, task, world


@asynccontextmanager
async def served(
    root: Path, given: Settings | None = None, **outside: Any
) -> AsyncIterator[tuple[World, httpx2.AsyncClient]]:
    async with world(root, given, **outside) as made:
        transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)), raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            yield made, client


def test_a_bug_is_an_envelope_without_its_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            made.engine.fails = RuntimeError("a bug with bob@example.org")
            answer = await client.post("/v1/chat/completions", json=task())

            assert answer.status_code == 500
            assert answer.json()["error"]["code"] == "internal_error"
            assert "bob" not in answer.text
            assert "a bug" in caplog.text

    run(scene())


def test_champions_are_models(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.promote()
            names = {model["id"] for model in (await client.get("/v1/models")).json()["data"]}

            assert {"workflow:commit-type", "commit-type@1", "mine/llama", "auto"} <= names

    run(scene())


def test_a_daemon_whose_ledger_is_closed_is_alive_but_not_ready(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path) as (made, client):
            made.deps.writer.close()
            ready = await client.get("/readyz", headers=admin_of(tmp_path))

            assert ready.status_code == 503
            assert "closed" in ready.json()["checks"]["ledger"]
            assert (await client.get("/healthz")).status_code == 200

    run(scene())


@pytest.mark.parametrize(
    ("missing", "kind", "status"),
    [
        ("", SpecialistKind.LORA, 200),
        ("the local engine is not installed", SpecialistKind.LORA, 503),
        ("the local engine is not installed", SpecialistKind.TABLE, 200),
        ("the local engine is not installed", SpecialistKind.LINEAR, 200),
    ],
)
def test_offline_only_a_champion_that_has_the_engine_it_needs_makes_a_daemon_ready(
    tmp_path: Path, missing: str, kind: SpecialistKind, status: int
) -> None:
    async def scene() -> None:
        offline = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", offline=True))
        async with served(tmp_path, offline, engine_missing=missing) as (made, client):
            before = await client.get("/readyz", headers=admin_of(tmp_path))
            made.promote(kind=kind)
            after = await client.get("/readyz", headers=admin_of(tmp_path))

            assert before.status_code == 503
            assert "no specialist" in before.json()["checks"]["backend"]
            assert after.status_code == status

    run(scene())
