"""Ids of devices, accounts and sessions go to the client's own vendor or nowhere; of headers, betas and versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.admission import InFlight
from router.app import make_app
from router.client_telemetry import is_own_vendor, without_telemetry
from router.vendor_headers import vouched_headers
from tests.faults.answers import CHAT, MESSAGES, RESPONSES, Answer, whole
from tests.faults.in_memory import call
from tests.leaks.asking import PATHS
from tests.router.making import FakeCloud, FakeReply, run, world

DEVICE, SESSION = "d" * 64, "2a6dd08c-3f4e-4c06-8b39-1d8d0c5b5a11"
BILLING = "x-anthropic-billing-header: cc_version=2.1.328.0d9; cc_entrypoint=cli; cch=fa690;"
PROMPT = "You are Claude Code, Anthropic's official CLI for Claude."
CLAUDE_CODE: dict[str, Any] = {
    "max_tokens": 64,
    "system": [
        {"type": "text", "text": BILLING},
        {"type": "text", "text": PROMPT, "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [{"role": "user", "content": "hey"}],
    "metadata": {"user_id": json.dumps({"device_id": DEVICE, "account_uuid": "", "session_id": SESSION})},
}
CODEX: dict[str, Any] = {
    "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hey"}]}],
    "instructions": "You are Codex.",
    "store": False,
    "prompt_cache_key": SESSION,
    "client_metadata": {"x-codex-installation-id": DEVICE},
}
CODEX_HEADERS = {
    "originator": "codex_cli_rs",
    "session_id": SESSION,
    "conversation_id": SESSION,
    "x-codex-turn": DEVICE,
}
SDK = {
    "messages": [{"role": "user", "content": "hey"}],
    "user": DEVICE,
    "safety_identifier": SESSION,
    "prompt_cache_key": "k1",
}
OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com/v1"
OTHER, AZURE = "https://openrouter.ai/api/v1", "https://mine.openai.azure.com/openai/v1"
UP = UpstreamSettings(base_url=OTHER)


async def sent(
    root: Path, surface: str, body: dict[str, Any], upstream: Mapping[str, Any], headers: Mapping[str, str]
) -> Any:
    """Return what an upstream is asked for a client's request, what of it is recorded, and the headers."""
    given = UpstreamSettings(models=("m",), **upstream)
    spoken = given.surface_for(surface)
    cloud = FakeCloud(script=[FakeReply(pieces=[whole(spoken, Answer("hello"))])])
    settings = Settings(upstreams={"up": given}, policy=PolicySettings(cloud="up/m"))
    async with world(root, settings, make_cloud=lambda *_: cloud) as made:
        got = await call(
            make_app(made.deps, InFlight(1)), PATHS[surface], json.dumps({"model": "m", **body}).encode(), headers
        )
        assert got.status == 200, got.body
        (row,) = made.interactions()
        assert row.intent.request_sent == cloud.requests[0]
        return cloud.requests[0], row.intent.request_received, dict(cloud.headers[0])


def ask(
    root: Path, surface: str, body: dict[str, Any], base_url: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Any:
    return run(sent(root, surface, body, {"base_url": base_url, **more}, headers or {}))


@pytest.mark.parametrize("base_url", [OTHER, "https://api.anthropic.com.evil.test/v1", "https://notanthropic.com/v1"])
def test_claude_codes_ids_and_billing_do_not_reach_another_vendors_server_of_its_dialect(
    tmp_path: Path, base_url: str
) -> None:
    asked, received, _ = ask(tmp_path, MESSAGES, CLAUDE_CODE, base_url, dialect="anthropic")

    assert not any(one in json.dumps(asked) for one in (DEVICE, SESSION, "billing", "cch="))
    assert asked["system"] == CLAUDE_CODE["system"][1:]
    assert "metadata" not in asked
    assert "metadata" in received


def test_claude_codes_ids_and_billing_do_not_reach_a_server_of_another_dialect(tmp_path: Path) -> None:
    asked, _, _ = ask(tmp_path, MESSAGES, CLAUDE_CODE, OPENAI)

    assert not any(one in json.dumps(asked) for one in (DEVICE, SESSION, "billing", "cch=", "user_id"))
    assert PROMPT in json.dumps(asked)


def test_what_the_vendors_own_client_tells_its_own_vendor_passes_as_it_is(tmp_path: Path) -> None:
    asked, _, _ = ask(tmp_path, MESSAGES, CLAUDE_CODE, ANTHROPIC, dialect="anthropic")

    assert asked == {"model": "m", **CLAUDE_CODE}


@pytest.mark.parametrize("base_url", [OTHER, AZURE])
@pytest.mark.parametrize("more", [{"responses": True}, {}])
def test_codexs_ids_do_not_reach_another_vendors_server(tmp_path: Path, base_url: str, more: dict[str, Any]) -> None:
    asked, _, headers = ask(tmp_path, RESPONSES, CODEX, base_url, CODEX_HEADERS, **more)

    assert not any(one in json.dumps([asked, headers]) for one in (DEVICE, SESSION, "codex_cli"))


def test_codexs_session_reaches_openai_and_its_installation_id_nobody(tmp_path: Path) -> None:
    asked, _, headers = ask(tmp_path, RESPONSES, CODEX, OPENAI, CODEX_HEADERS, responses=True)

    assert asked["prompt_cache_key"] == SESSION
    assert DEVICE not in json.dumps(asked)
    assert headers == {}


@pytest.mark.parametrize(
    ("base_url", "passes"), [(OPENAI, True), ("https://eu.api.openai.com/v1", True), (OTHER, False), (AZURE, False)]
)
def test_an_sdks_user_and_safety_identifier_reach_openai_only(tmp_path: Path, base_url: str, passes: bool) -> None:
    asked, _, _ = ask(tmp_path, CHAT, SDK, base_url)

    assert [name in asked for name in ("user", "safety_identifier")] == [passes] * 2
    assert (asked.get("prompt_cache_key") == SDK["prompt_cache_key"]) is passes


def test_azure_gets_a_digest_by_which_it_finds_the_same_cached_prompt_and_no_other(tmp_path: Path) -> None:
    def key_of(number: int, base_url: str, session: str) -> Any:
        return ask(tmp_path / str(number), CHAT, {**SDK, "prompt_cache_key": session}, base_url)[0]["prompt_cache_key"]

    found = [key_of(0, AZURE, SESSION), key_of(1, AZURE, SESSION), key_of(2, AZURE, DEVICE)]
    found.append(key_of(3, "https://other.services.ai.azure.com/openai/v1", SESSION))

    assert found[0] == found[1]
    assert len({*found}) == 3
    assert not any(one in (SESSION, DEVICE) for one in found)


def test_what_the_user_lets_an_upstream_have_of_it_passes(tmp_path: Path) -> None:
    passed = ("prompt_cache_key", "user", "metadata")
    told = {**SDK, "metadata": {"user_id": "u1"}}
    asked, _, _ = ask(tmp_path, CHAT, told, OTHER, pass_fields=passed)

    assert {name: asked.get(name) for name in passed} == {name: told[name] for name in passed}
    assert "safety_identifier" not in asked


def test_a_chat_clients_user_does_not_become_an_anthropic_user_id(tmp_path: Path) -> None:
    asked, _, _ = ask(tmp_path, CHAT, {**SDK, "max_tokens": 9}, ANTHROPIC, dialect="anthropic")

    assert DEVICE not in json.dumps(asked)


def test_a_server_of_the_users_own_gets_everything(tmp_path: Path) -> None:
    async def scene() -> None:
        cloud = FakeCloud(script=[FakeReply(pieces=[whole(CHAT, Answer("hello"))])])
        mine = UpstreamSettings(base_url="http://127.0.0.1:9/v1", models=("m",), trust="private")
        async with world(tmp_path, Settings(upstreams={"up": mine}), make_cloud=lambda *_: cloud) as made:
            body = json.dumps({"model": "up/m", **SDK}).encode()
            await call(make_app(made.deps, InFlight(1)), PATHS[CHAT], body)

            assert cloud.requests[0]["user"] == DEVICE

    run(scene())


@pytest.mark.parametrize(
    ("system", "kept"),
    [
        (f"{BILLING}\n{PROMPT}", PROMPT),
        ([{"type": "text", "text": f"{BILLING}\n\n{PROMPT}"}], [{"type": "text", "text": PROMPT}]),
        (PROMPT, PROMPT),
        (f"{PROMPT} It sends x-anthropic-billing-header: 1", f"{PROMPT} It sends x-anthropic-billing-header: 1"),
    ],
)
def test_a_billing_line_is_taken_from_the_head_of_the_system_text_only(system: Any, kept: Any) -> None:
    assert without_telemetry({"system": system}, UP)["system"] == kept
    turn: Any = {"role": "system", "content": system}
    user: Any = {"role": "user", "content": BILLING}
    assert without_telemetry({"messages": [turn, user]}, UP)["messages"] == [{**turn, "content": kept}, user]


def test_a_system_text_that_is_nothing_but_billing_is_gone() -> None:
    assert without_telemetry({"system": BILLING, "max_tokens": 1}, UP) == {"max_tokens": 1}
    only: Any = {"messages": [{"role": "system", "content": [{"type": "text", "text": BILLING}]}]}
    assert without_telemetry(only, UP) == {"messages": []}


def test_a_request_that_tells_nothing_is_the_same_object() -> None:
    body: Any = {
        "messages": [{"role": "system", "content": PROMPT}],
        "metadata": {"team": "a"},
        "system": [{"type": "text"}],
    }

    assert without_telemetry(body, UP) is body


@pytest.mark.parametrize(
    ("surface", "base_url", "own"),
    [
        (MESSAGES, ANTHROPIC, True),
        (MESSAGES, OPENAI, False),
        (CHAT, OPENAI, True),
        (CHAT, ANTHROPIC, False),
        (RESPONSES, "https://chatgpt.com/backend-api/codex", True),
        (CHAT, "https://openai.com.evil.test/v1", False),
        (CHAT, "https://evil.test/openai.com", False),
        (CHAT, "https://api.openai.com@evil.test/v1", False),
    ],
)
def test_a_vendor_is_told_by_the_host_of_its_server(surface: str, base_url: str, own: bool) -> None:
    assert is_own_vendor(surface, base_url) == own


BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,context-1m-2025-08-07,fine-grained-tool-streaming-2025-05-14,"
    "oauth-2025-04-20,context-management-2025-06-27,model-context-window-exceeded-2025-08-26"
)


def test_betas_and_versions_pass() -> None:
    theirs = {"anthropic-beta": BETAS, "anthropic-version": "2026-10-21", "openai-beta": "responses=v1, realtime=v1"}

    assert vouched_headers(theirs, str) == {**theirs, "openai-beta": "responses=v1,realtime=v1"}


@pytest.mark.parametrize(
    "hidden",
    [
        "bob@example.org",
        "Basic YWRtaW46aHVudGVyMg==",
        "4111 1111 1111 1111",
        "x" * 65,
        "a b",
        "naïve",
        "KEY-1",
        '{"a": 1}',
        "a" * 32,
    ],
)
def test_what_is_no_name_of_a_beta_is_left_out(hidden: str) -> None:
    assert vouched_headers({"anthropic-beta": f"{hidden},context-1m-2025-08-07"}, str) == {
        "anthropic-beta": "context-1m-2025-08-07"
    }
    assert vouched_headers({"openai-beta": hidden, "anthropic-version": hidden}, str) == {}


def test_a_secret_that_looks_like_a_beta_is_left_out(tmp_path: Path) -> None:
    secret = f"glpat-{'7kq2mx9rt4wz8b1v5'[:17]}n3c"
    theirs = {"anthropic-beta": f"{secret},context-1m-2025-08-07", "anthropic-version": "2023-06-01"}
    _, _, headers = ask(tmp_path, MESSAGES, CLAUDE_CODE, ANTHROPIC, theirs, dialect="anthropic")

    assert headers == {"anthropic-beta": "context-1m-2025-08-07", "anthropic-version": "2023-06-01"}
