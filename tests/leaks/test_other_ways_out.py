"""Ways out that a random request does not take: model names, counting tokens, images, files, fallbacks."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from tests.faults.answers import CHAT, MESSAGES, Answer, whole
from tests.faults.in_memory import Got, call
from tests.leaks.asking import PATHS
from tests.leaks.planting import ALNUM, some
from tests.leaks.test_client_telemetry import ANTHROPIC, CLAUDE_CODE, DEVICE, OTHER, SESSION
from tests.router.making import FakeCloud, FakeReply, World, run, settings, world

MAIL = "jane.doe@example.org"
TOKEN = some(Random(7), ALNUM, 32)


async def asked_of(made: World, path: str, body: dict[str, Any]) -> Got:
    return await call(make_app(made.deps, InFlight(2)), path, json.dumps(body).encode())


def outcome(root: Path, path: str, body: dict[str, Any], **policy: Any) -> tuple[Got, FakeCloud, str]:
    """Return what a client got, what its cloud was asked, and the intents that the ledger holds."""

    async def scene() -> tuple[Got, FakeCloud, str]:
        given = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", **policy))
        async with world(root, given) as made:
            got = await asked_of(made, path, body)
            return got, made.cloud, repr([one.intent for one in made.interactions()])

    return run(scene())


def parts(*more: dict[str, Any]) -> dict[str, Any]:
    return {"model": "gpt-5.4", "messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, *more]}]}


@pytest.mark.parametrize("model", [MAIL, f"vendor/{MAIL}", "sk-" + "4kX9" * 12, f" {MAIL} "])
def test_a_model_name_that_holds_a_value_goes_nowhere(tmp_path: Path, model: str) -> None:
    got, cloud, kept = outcome(tmp_path, PATHS[CHAT], {**parts(), "model": model})

    assert (got.status, json.loads(got.body)["error"]["param"]) == (400, "model")
    assert cloud.requests == []
    assert model.strip() not in got.body.decode() + kept


@pytest.mark.parametrize(
    "model", ["gpt-5.4", "vendor/gpt-5.4", "o9-mini-2026-01-31", "claude-3@20240620", "ft:gpt-5.4:acme::AbC12xYz"]
)
def test_names_that_vendors_give_models_pass(tmp_path: Path, model: str) -> None:
    got, cloud, _ = outcome(tmp_path, PATHS[CHAT], {**parts(), "model": model})

    assert got.status == 200
    assert cloud.requests[0]["model"] == model.removeprefix("vendor/")


def test_counting_tokens_asks_nobody_and_keeps_nothing(tmp_path: Path) -> None:
    body = {"model": "claude-9", "messages": [{"role": "user", "content": MAIL}], "system": MAIL}
    got, cloud, kept = outcome(tmp_path, "/v1/messages/count_tokens", body)

    assert got.status == 200
    assert (cloud.requests, kept) == ([], "[]")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://cdn.example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64," + "QUJD" * 20}},
        {"type": "input_audio", "input_audio": {"data": "QUJD" * 20, "format": "wav"}},
        {"type": "text", "text": "![x](data:image/png;base64," + "QUJD" * 20 + ")"},
    ],
)
def test_what_cannot_be_looked_into_stays_unless_policy_lets_it_go(tmp_path: Path, part: dict[str, Any]) -> None:
    got, cloud, _ = outcome(tmp_path / "stays", PATHS[CHAT], parts(part))
    allowed, free, kept = outcome(tmp_path / "goes", PATHS[CHAT], parts(part), images="allow")

    assert (got.status // 100, cloud.requests) == (5, []) or got.status == 403
    assert cloud.requests == []
    assert allowed.status == 200
    assert free.requests[0]["messages"][0]["content"][1] == part
    assert "QUJDQUJD" not in kept


def test_what_can_be_read_beside_an_image_is_masked_also_where_it_may_go(tmp_path: Path) -> None:
    url = f"https://bucket.example.com/a.png?access_token={TOKEN}"
    image = {"type": "image_url", "image_url": {"url": url, "detail": f"of {MAIL}"}}
    file = {
        "type": "file",
        "file": {"filename": f"{MAIL}.pdf", "file_data": "data:application/pdf;base64," + "QUJD" * 20},
    }
    got, cloud, _ = outcome(tmp_path, PATHS[CHAT], parts(image, file), images="allow")
    sent = json.dumps(cloud.requests)

    assert got.status == 200
    assert not any(value in sent for value in (MAIL, TOKEN))
    assert "QUJDQUJD" in sent


def test_a_fallback_to_another_vendor_gets_neither_values_nor_ids(tmp_path: Path) -> None:
    clouds = {
        "anth": FakeCloud(script=[FakeReply(500)] * 9),
        "other": FakeCloud(script=[FakeReply(pieces=[whole(MESSAGES, Answer("hi"))])]),
    }
    quick: dict[str, Any] = {"dialect": "anthropic", "retry_budget_s": 0, "cooldown_s": 0}
    upstreams = {
        "anth": UpstreamSettings(base_url=ANTHROPIC, models=("claude-9",), **quick),
        "other": UpstreamSettings(base_url=OTHER, models=("claude-x",), **quick),
    }
    policy = PolicySettings(cloud="anth/claude-9", fallbacks=("other/claude-x",))
    body = {**CLAUDE_CODE, "model": "claude-9", "messages": [{"role": "user", "content": f"I am {MAIL}"}]}

    async def scene() -> None:
        given = Settings(upstreams=upstreams, policy=policy)
        async with world(tmp_path, given, make_cloud=lambda name, _: clouds[name]) as made:
            got = await asked_of(made, PATHS[MESSAGES], body)
            first, second = made.interactions()

            assert got.status == 200
            assert clouds["anth"].requests[0]["metadata"] == CLAUDE_CODE["metadata"]
            assert not any(
                value in json.dumps(clouds["other"].requests) for value in (DEVICE, SESSION, "billing", MAIL)
            )
            assert MAIL not in json.dumps(clouds["anth"].requests)
            assert second.intent.request_sent == clouds["other"].requests[0]
            assert first.intent.request_sent == clouds["anth"].requests[0]

    run(scene())
