"""Prompts of no workflow gather in a real ledger, are named by a person, and are found again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from breeder.adoption import Gathered, adopt, interactions_of, look
from breeder.deps import Deps, open_deps
from breeder.mining import mine
from registry.entities import Lane, Purpose, Workflow
from registry.errors import ConfigError, ConflictError, DataError, NotFoundError
from registry.home import Home
from registry.prompting import Prompt
from registry.settings import Settings
from router.likeness import read_likeness
from router.matching import match_workflow
from router.standings import read_standings
from tests.breeder.instructed import as_shipped, dated, in_system, prompts
from tests.breeder.makers import START, interaction
from tests.breeder.test_cli import call

LATER = START + timedelta(days=1)
USER = {Purpose.USER}


@contextmanager
def opened(folder: Path) -> Iterator[Deps]:
    with open_deps(Home.at(folder), Settings(), folder, lambda line: None) as deps:
        yield replace(deps, now=lambda: LATER)


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    with opened(tmp_path) as one:
        yield one


def record(
    deps: Deps, asked: Iterable[Prompt], first: int = 0, *, cost: float | None = 0.01, **changes: object
) -> None:
    """Record prompts, one a second from `first` on, of no workflow unless the changes say so."""
    for number, prompt in enumerate(asked, first):
        messages: list[dict[str, object]] = [
            {"role": role, "content": text} for role, text in (("system", prompt.system), ("user", prompt.user)) if text
        ]
        one = interaction(number, messages=messages)
        envelope = replace(one.intent.envelope, workflow=None)
        assert one.outcome is not None
        deps.ledger.append(
            replace(one.intent, **{"envelope": envelope, **changes}), replace(one.outcome, cost_usd=cost)
        )


def looked(deps: Deps, least: int = 10) -> list[Gathered]:
    return look(deps, since=START, limit=10_000, least=least)


def matched(deps: Deps, prompt: Prompt) -> str | None:
    standings = read_standings(deps.catalog)
    return match_workflow(None, prompt, standings.by_fingerprint, standings.alike).workflow


def test_candidates_tell_how_often_where_and_for_how_much(deps: Deps) -> None:
    record(deps, prompts("order-fields", as_shipped)[:30])
    record(deps, prompts("ticket-route", as_shipped)[:20], 100, cost=None)
    local = replace(interaction(0).intent.decision, lane=Lane.LOCAL_FAST)
    record(deps, prompts("ticket-route", as_shipped)[20:30], 200, decision=local, cost=None)
    found = looked(deps)

    assert [(one.name, one.tasks, round(one.cloud_share, 2)) for one in found] == [
        ("read-order-message", 30, 1.0),
        ("desk-housing-office", 30, 0.67),
    ]
    assert [one.cost_usd for one in found] == [pytest.approx(0.3), None]
    assert [one.example for one in found] == ["i00029", "i00209"]
    assert found[1].line.startswith("Which desk of the housing office takes this message?")


def test_an_escalated_task_is_counted_once_and_paid_for_twice(deps: Deps) -> None:
    asked = prompts("order-fields", as_shipped)[:12]
    local = replace(interaction(0).intent.decision, lane=Lane.LOCAL_PRIVATE)
    record(deps, asked, decision=local)
    for number, prompt in enumerate(asked):
        record(deps, [prompt], 100 + number, parent_id=f"i{number:05}")
    (one,) = looked(deps)

    assert (one.tasks, one.cloud_share, one.cost_usd) == (12, 1.0, pytest.approx(0.24))


def test_what_specialists_cannot_serve_is_no_candidate(deps: Deps) -> None:
    own = prompts("order-fields", as_shipped)
    for number, prompt in enumerate(own[:15]):
        messages = [{"role": "user", "content": prompt.user}]
        record(deps, [prompt], number, request_received={"tools": [{"type": "function"}], "messages": messages})
        answered = [*messages, {"role": "assistant", "content": "Sure"}, *messages]
        record(deps, [prompt], 100 + number, request_received={"messages": answered})
    record(deps, own[:15], 200, request_received=None)
    assert looked(deps) == []


def test_a_named_candidate_takes_new_traffic_and_its_old_rows(deps: Deps) -> None:
    own = prompts("order-fields", as_shipped)
    record(deps, own[:30])
    record(deps, prompts("ticket-route", as_shipped)[:30], 100)
    workflow = adopt(deps, looked(deps), "read-order-message", "orders")

    assert deps.catalog.workflows() == [workflow]
    assert len(workflow.fingerprints) == 1
    assert matched(deps, own[500]) == "orders"
    assert matched(deps, prompts("ticket-route", as_shipped)[500]) is None
    record(deps, own[40:50], 200, envelope=replace(interaction(0).intent.envelope, workflow="orders"))
    rows = mine(interactions_of(deps, "orders", USER)).rows
    assert [row.prompt for row in rows] == [*own[:30], *own[40:50]]
    assert [one.name for one in looked(deps) if not one.claimed] == ["desk-housing-office"]


def test_a_candidate_whose_every_system_text_differs_is_recognised_by_likeness(deps: Deps) -> None:
    own = prompts("order-fields", dated)
    record(deps, own[:200])
    workflow = adopt(deps, looked(deps), looked(deps)[0].name, "orders")

    assert workflow.fingerprints == ()
    assert sum(matched(deps, prompt) == "orders" for prompt in own[200:300]) >= 95
    assert len(mine(interactions_of(deps, "orders", USER)).rows) >= 190


def test_naming_the_same_again_changes_nothing(deps: Deps) -> None:
    record(deps, prompts("order-fields", dated)[:200])
    first = adopt(deps, looked(deps), "read-order-message", "orders")
    for handle in ("read-order-message", "i00003"):
        assert adopt(deps, looked(deps), handle, "orders") == first
    assert deps.catalog.workflows() == [first]


def test_candidates_named_alike_are_one_workflow(deps: Deps) -> None:
    record(deps, prompts("order-fields", as_shipped)[:50])
    record(deps, prompts("ticket-route", in_system)[:50], 100)
    first = adopt(deps, looked(deps), "read-order-message", "mail")
    both = adopt(deps, looked(deps), "i00120", "mail")

    assert [len(read_likeness(one.likeness)) for one in (first, both)] == [1, 2]
    assert both.created_at_utc == first.created_at_utc
    assert [
        matched(deps, prompts(*one)[500]) for one in (("order-fields", as_shipped), ("ticket-route", in_system))
    ] == [
        "mail",
        "mail",
    ]


def test_the_suggested_name_may_be_kept(deps: Deps) -> None:
    record(deps, prompts("order-fields", as_shipped)[:50])
    for _ in range(2):
        assert adopt(deps, looked(deps), "read-order-message", "read-order-message").name == "read-order-message"
    assert [one.name for one in looked(deps) if not one.claimed] == []


def test_a_suggestion_is_never_the_name_of_a_workflow(deps: Deps) -> None:
    deps.catalog.put_workflow(Workflow("read-order-message", (), "text", START))
    record(deps, prompts("order-fields", as_shipped)[:12])
    assert [one.name for one in looked(deps)] == ["read-order-message-2"]


def test_nothing_becomes_a_workflow_by_itself(deps: Deps) -> None:
    record(deps, prompts("order-fields", as_shipped)[:50])
    looked(deps)
    assert deps.catalog.workflows() == []
    assert list(interactions_of(deps, "read-order-message", USER)) == []


def test_a_candidate_that_has_an_owner_is_refused_to_another(deps: Deps) -> None:
    record(deps, prompts("order-fields", as_shipped)[:50])
    adopt(deps, looked(deps), "read-order-message", "orders")
    with pytest.raises(ConflictError, match="belong to workflow orders"):
        adopt(deps, looked(deps), "read-order-message", "mail")


def test_a_name_or_candidate_that_is_none_is_refused(deps: Deps) -> None:
    record(deps, prompts("order-fields", as_shipped)[:12])
    with pytest.raises(ConfigError, match="'my orders' is no workflow name"):
        adopt(deps, looked(deps), "read-order-message", "my orders")
    with pytest.raises(NotFoundError, match="no candidate is called 'orders'"):
        adopt(deps, looked(deps), "orders", "orders")


def test_prompts_that_could_not_be_recognised_are_not_named(deps: Deps) -> None:
    record(deps, prompts("order-fields", dated)[:15])
    with pytest.raises(DataError, match="has 15 different prompts, too few or too different"):
        adopt(deps, looked(deps), "read-order-message", "orders")
    assert deps.catalog.workflows() == []


def test_the_command_lists_candidates_and_names_one(tmp_path: Path) -> None:
    with opened(tmp_path) as deps:
        record(deps, prompts("order-fields", as_shipped)[:50])
    ever = ("--days", "100000")
    before = json.loads(call(tmp_path, "workflows", "ls", "--json", *ever).stdout)
    named = call(tmp_path, "workflows", "rename", "read-order-message", "orders", *ever)
    after = json.loads(call(tmp_path, "workflows", "ls", "--json", *ever).stdout)
    table = call(tmp_path, "workflows", "ls", *ever).stdout
    missing = call(tmp_path, "workflows", "rename", "nothing", "orders", *ever)

    assert before["workflows"] == []
    assert [(one["name"], one["tasks"], one["example"]) for one in before["candidates"]] == [
        ("read-order-message", 50, "i00049")
    ]
    assert (named.returncode, named.stdout) == (0, "orders is recognised by 1 exact template and likeness\n")
    assert after["candidates"] == []
    assert [(one["name"], one["champion"], one["by_likeness"]) for one in after["workflows"]] == [
        ("orders", None, True)
    ]
    assert table.splitlines() == [
        "workflow\tchampion\ttasks\trecognised by\tbreed again",
        "orders\t-\t50\t1 exact template and likeness\t-",
    ]
    assert (missing.returncode, missing.stderr.count("\n")) == (3, 1)
