from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from registry.errors import RedactionError
from registry.settings import PolicySettings, Settings, VerifySettings
from router.admission import InFlight
from router.app import make_app
from router.cli import add_commands
from router.cli.asking import incoming_of
from router.cli.decisions import candidate_rows, facts, told_lines
from router.cli.frame import new_app
from router.cli.frame import run as run_app
from router.explaining import AT_ONCE, IF_NOT_HERE, explain, read_question
from router.problems import InvalidRequestError
from router.redaction.redactor import Redaction, RuleRedactor
from tests.router.daemon import admin_of
from tests.router.making import NOON, run, settings, task, world

KEYS = {
    "sentence", "decision", "envelope", "redactions", "places", "context", "leaves", "verification", "budgets",
    "request_sent", "left_out",
}  # fmt: skip


def told(
    folder: Path,
    body: Mapping[str, Any],
    given: Settings | None = None,
    *,
    promoted: bool = False,
    surface: str | None = None,
) -> Any:
    """Return what is explained of a request."""

    async def scene() -> Any:
        async with world(folder, given) as made:
            if promoted:
                made.promote()
            return explain(made.deps.router, incoming_of(json.dumps(body), None, None, surface), "i1", NOON)

    return run(scene())


def test_what_goes_to_a_cloud_is_told_with_upstream_dialect_and_what_is_masked(tmp_path: Path) -> None:
    checks = (VerifySettings(name="short", pattern="^.{1,80}$"),)
    given = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", fallbacks=("mine/llama",), verify=checks))
    found = told(tmp_path, task("mail bob@example.org and ann@example.org"), given)

    assert set(found) == KEYS
    assert found["sentence"].endswith("; it leaves as openai.chat with 2 PIIEMAIL masked.")
    assert found["leaves"] == {
        "upstream": "vendor",
        "model": "gpt-5.4",
        "dialect": "openai.chat",
        "when": AT_ONCE,
        "fallbacks": ["mine/llama"],
    }
    assert found["redactions"] == {"PIIEMAIL": 2}
    masked = "mail PIIEMAIL1@masked.invalid and PIIEMAIL2@masked.invalid"
    assert found["request_sent"]["messages"][0]["content"] == masked
    assert found["request_sent"]["model"] == "gpt-5.4"
    assert found["verification"] == []
    assert "bob" not in json.dumps(found)


def test_what_a_specialist_serves_is_told_with_its_checks_and_where_it_may_go_on_to(tmp_path: Path) -> None:
    checks = (
        VerifySettings(name="short", pattern="^.{1,80}$"),
        VerifySettings(name="ours", workflow="commit-type", pattern="x"),
        VerifySettings(name="theirs", workflow="other", pattern="x"),
    )
    given = settings(policy=PolicySettings(cloud="vendor/gpt-5.4", verify=checks))
    found = told(tmp_path, task(response_format={"type": "json_object"}), given, promoted=True)

    assert found["decision"]["rule"] == "champion"
    assert found["verification"] == ["response_format", "short", "ours"]
    assert found["leaves"]["when"] == IF_NOT_HERE
    assert f"; {IF_NOT_HERE}, it goes on to vendor/gpt-5.4 with nothing to mask." in found["sentence"]
    assert found["request_sent"]["model"] == "commit-type@1"


@pytest.mark.parametrize("lane", ["local_private", "local"])
def test_what_stays_leaves_nothing(tmp_path: Path, lane: str) -> None:
    found = told(tmp_path, task(metadata={"lane": lane, "data-class": "client"}), promoted=True)

    assert (found["leaves"], found["decision"]["lane"]) == (None, "local_private")
    assert found["sentence"].endswith("; nothing leaves your machines.")


def test_a_private_server_that_is_asked_by_name_is_no_cloud(tmp_path: Path) -> None:
    found = told(tmp_path, {**task(), "model": "mine/llama"})

    assert found["sentence"].startswith("mine/llama answers in lane local_private by rule explicit-lane: ")
    assert found["leaves"] is None
    assert found["request_sent"]["model"] == "llama"


def test_a_model_that_a_private_server_lists_leaves_nothing_either(tmp_path: Path) -> None:
    found = told(tmp_path, {**task(), "model": "llama"})

    assert found["sentence"].startswith("mine/llama answers in lane cloud_escalation by rule escalation: ")
    assert found["leaves"] is None
    assert found["sentence"].endswith("; nothing leaves your machines.")


def test_a_request_of_another_surface_is_read_in_its_dialect(tmp_path: Path) -> None:
    body = {"model": "gpt-5.4", "max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]}
    found = told(tmp_path, body, surface="anthropic.messages")

    assert found["leaves"]["dialect"] == "openai.chat"
    assert found["request_sent"]["messages"][0] == {"role": "system", "content": "Be brief."}


def test_an_unknown_surface_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match=r"'anthropic'.*anthropic\.messages"):
        read_question(b"{}", "anthropic")


@pytest.mark.parametrize("body", [b"{}", b'{"text": 1}', b"[]", b"nothing"])
def test_what_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read_question(body)


@dataclass(frozen=True, slots=True)
class Blind(RuleRedactor):
    """A redactor that can inspect nothing."""

    def redact(self, body: Mapping[str, object], **_: object) -> Redaction:
        raise RedactionError("the request is nested too deeply; send it flatter")


def test_what_cannot_be_inspected_is_explained_as_what_it_is_refused_for(tmp_path: Path) -> None:
    async def scene() -> Any:
        async with world(tmp_path) as made:
            router = made.deps.router
            router.rulebook = replace(router.rulebook, redactor=Blind(()))
            return explain(router, incoming_of("what a secret", None, None), "i1", NOON)

    found = run(scene())

    assert set(found) == KEYS
    assert found["sentence"] == (
        "Nobody answers in lane no_op by rule redaction-failed: the request is nested too deeply; send it flatter; "
        "nothing leaves your machines."
    )
    assert "secret" not in json.dumps(found)


def test_all_that_is_told_is_in_the_lines_for_people(tmp_path: Path) -> None:
    found = told(tmp_path, task("mail bob@example.org"), promoted=True)
    lines = told_lines(found)

    assert lines[0] == found["sentence"]
    assert [name for name, _ in facts(found)] == [
        "lane", "model", "rule", "reason", "fallback", "workflow", "masked", "at", "leaves", "verified",
    ]  # fmt: skip
    assert lines[-1] == "vendor/gpt-5.4\tcloud_escalation\t-\t-\t-\t4\tchosen"
    assert len([*candidate_rows(found)]) == len(found["decision"]["candidates"])


def test_the_daemon_and_the_command_give_the_same_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "modelbreeder.toml").write_text(
        '[upstreams.vendor]\nbase_url = "https://vendor.test/v1"\nmodels = ["gpt-5.4"]\n'
        'usd_per_million_input = 2\nusd_per_million_output = 10\n[policy]\ncloud = "vendor/gpt-5.4"\n'
    )
    asked = task("Plan it for bob@example.org")
    (tmp_path / "request.json").write_text(json.dumps(asked))
    app = new_app("The router.")
    add_commands(app)
    with pytest.raises(SystemExit):
        run_app(app, ["--home", str(tmp_path / "home"), "explain", str(tmp_path / "request.json"), "--json"])
    printed = json.loads(capsys.readouterr().out)

    async def scene() -> Any:
        async with world(tmp_path / "other") as made:
            transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)))
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                headers = admin_of(tmp_path / "other")
                return (await client.post("/v1/route/explain", json=asked, headers=headers)).json()

    answered = run(scene())

    assert _timeless(printed) == _timeless(answered)
    assert printed["sentence"].startswith("vendor/gpt-5.4 answers in lane cloud_escalation by rule escalation: ")


def _timeless(found: dict[str, Any]) -> dict[str, Any]:
    """Return an explanation less its id, time and the digest of a policy that comes from another file."""
    decision = {**found["decision"], "route_created_at_utc": "", "policy_digest": ""}
    return {**found, "decision": decision, "envelope": {**found["envelope"], "task_id": ""}}
