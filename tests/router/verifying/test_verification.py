"""What a router verifies of an answer: the request's own contract first, then the policy's checks in their order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from router.chat import JsonObject
from router.verifying.finding import Finding, Reply, ToolCall
from router.verifying.verification import PolicyCheck, Verification

OBJECT: JsonObject = {"response_format": {"type": "json_object"}}


@dataclass
class Scripted:
    """A verifier that says what it was told to say, and remembers whom it judged."""

    name: str
    ok: bool = True
    judged: list[Reply] = field(default_factory=list)

    async def verify(self, reply: Reply, _request: JsonObject) -> Finding:
        self.judged.append(reply)
        return Finding(self.ok, self.name, "" if self.ok else "told so")


def found(verification: Verification, reply: Reply, request: JsonObject, workflow: str | None = None) -> list[str]:
    findings = asyncio.run(verification.findings(reply, request, workflow))
    return [f"{'+' if finding.ok else '-'}{finding.name}" for finding in findings]


def test_the_contract_comes_first_and_a_flaw_ends_it() -> None:
    late = Scripted("late")
    verification = Verification([PolicyCheck("bad", Scripted("bad", ok=False)), PolicyCheck("late", late)])

    assert found(verification, Reply("{}"), OBJECT) == ["+response_format", "-bad"]
    assert found(verification, Reply("no"), OBJECT) == ["-response_format"]
    assert late.judged == []


@pytest.mark.parametrize(
    ("workflow", "expected"), [("commit", ["+all", "+one"]), ("other", ["+all"]), (None, ["+all"])]
)
def test_a_check_of_one_workflow_judges_only_that(workflow: str | None, expected: list[str]) -> None:
    verification = Verification([PolicyCheck("all", Scripted("all")), PolicyCheck("one", Scripted("one"), "commit")])

    assert found(verification, Reply("x"), {}, workflow) == expected


def test_the_policys_checks_judge_text_and_not_answers_that_only_call_tools() -> None:
    check = Scripted("text")
    verification = Verification([PolicyCheck("check", check)])
    request: JsonObject = {"tools": [{"type": "function", "function": {"name": "now"}}]}

    assert found(verification, Reply("", (ToolCall("now", "{}"),)), request) == ["+tool_calls"]
    assert found(verification, Reply("said", (ToolCall("now", "{}"),)), request) == ["+tool_calls", "+text"]
    assert found(verification, Reply(""), {}) == ["+text"]


def test_nothing_is_found_where_nothing_applies_and_schemas_are_kept_between_answers() -> None:
    verification = Verification()

    assert found(verification, Reply("x"), {}) == []
    found(verification, Reply("{}"), OBJECT)
    found(verification, Reply("{}"), OBJECT)
    assert len(verification.shelf) == 1
