from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from registry.entities import (
    Champion,
    Intent,
    Interaction,
    Lane,
    Outcome,
    Promotion,
    Purpose,
    RouteDecision,
    Specialist,
    Status,
    TaskEnvelope,
    Usage,
    Workflow,
)
from registry.errors import NotFoundError
from registry.settings import PolicySettings, Settings, UpstreamSettings
from router.pricing import Prices
from router.recording import Latencies
from router.reloading import open_rulebook
from router.replayed import Money, Replay
from router.replaying import ERASED, NOT_INSPECTED, NOT_NAMED, NOT_SERVED, Replayer, replay
from router.standings import Registry
from router.unreadable import RULE as UNREADABLE
from tests.router.making import NOON, evaluation, run, settings, specialist

TEXT = "Classify this commit.\nfix typo"
COST = (100 * 2 + 10 * 10) / 1_000_000
"""What 100 prompt and 10 answer tokens cost at the vendor of `settings`."""
LOCAL = {"lane": Lane.LOCAL_FAST, "selected_runtime": "embedded", "selected_model_or_stack": "commit-type@1"}


class Catalog:
    """Champions in memory, as the router reads them."""

    def __init__(self, *champions: Champion) -> None:
        self._champions = champions

    def champion_sequence(self) -> int:
        return 1

    def champions(self) -> tuple[Champion, ...]:
        return self._champions

    def promotions(self, workflow: str) -> tuple[Promotion, ...]:
        return ()

    def workflows(self) -> tuple[Workflow, ...]:
        return tuple(champion.workflow for champion in self._champions)

    def specialist(self, name: str) -> Specialist:
        raise NotFoundError(name)


CHAMPION = Champion(Workflow("commit-type", (), "exact", NOON), specialist(), evaluation())


def cloud_decision(**changes: Any) -> RouteDecision:
    made = RouteDecision(
        Lane.CLOUD_ESCALATION,
        "vendor",
        "vendor/gpt-5.4",
        "none is promoted",
        "escalation",
        True,
        True,
        None,
        (),
        "d",
        NOON,
    )
    return replace(made, **changes)


def row(number: int, *, cost: float | None = COST, source: str = "upstream", **changes: Any) -> Interaction:
    """Return a recorded task that the cloud answered, one a minute."""
    parts = {
        name: changes.pop(name)
        for name in ("decision", "envelope", "redactions", "parent_id", "received")
        if name in changes
    }
    at, name = NOON + timedelta(minutes=number), f"i{number}"
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": TEXT}]}
    intent = Intent(
        name,
        at,
        Purpose.USER,
        replace(
            TaskEnvelope("t", "a task", "commit-type", 1.0, estimated_tokens=100, requested_model="gpt-5.4"),
            **parts.get("envelope", {}),
        ),
        cloud_decision(**parts.get("decision", {})),
        request_received=parts.get("received", body),
        request_sent=body,
        client="editor",
        parent_id=parts.get("parent_id"),
        redactions=parts.get("redactions", {}),
    )
    usage = Usage(100 if source == "upstream" else 7, 10, source)
    outcome = Outcome(name, at, Status.OK, "vendor", "vendor/gpt-5.4", None, usage, cost, latency_ms=10.0, **changes)
    return Interaction(intent, outcome, None)


def replayed(
    *rows: Interaction,
    new: Settings | None = None,
    champions: tuple[Champion, ...] = (),
    present: Settings | None = None,
) -> Replay:
    """Replay rows under another policy, by default the same."""
    before, latencies = present or settings(), Latencies()
    after = new or before
    registry = Registry(Catalog(*champions), lambda: 0.0)

    def replayer(given: Settings) -> Replayer:
        return Replayer(run(open_rulebook(given)), registry, Prices(given.upstreams), latencies)

    return replay(rows, replayer(before), replayer(after), Prices(after.upstreams), latencies, 2)


def policy(**changes: Any) -> Settings:
    return settings(policy=PolicySettings(**{"cloud": "vendor/gpt-5.4", **changes}))


def test_the_same_policy_moves_nothing_and_costs_the_same() -> None:
    found = replayed(row(1), row(2, envelope={"changed_files": 20}))

    assert (found.tasks, found.moves, found.refused) == (2, (), ())
    assert found.lanes_before == found.lanes_after == {**dict.fromkeys(Lane, 0), Lane.CLOUD_ESCALATION: 2}
    assert found.cost_before == found.cost_after == Money(2 * COST, 0)


def test_what_would_be_refused_is_told_by_client_and_workflow_with_examples() -> None:
    other = {"workflow": None}
    found = replayed(row(1), row(2), row(3), row(4, envelope=other), new=policy(offline=True))

    assert found.lanes_after[Lane.NO_OP] == 4
    assert found.cost_after == Money(0.0, 0)
    assert [(one.client, one.workflow, one.rule, one.tasks, one.examples) for one in found.refused] == [
        ("editor", "commit-type", "offline", 3, ("i1", "i2")),
        ("editor", None, "offline", 1, ("i4",)),
    ]
    assert "policy.offline is set" in found.refused[0].reason
    assert [(move.workflow, move.lane_after, move.tasks, move.by_policy) for move in found.moves] == [
        ("commit-type", Lane.NO_OP, 3, 3),
        (None, Lane.NO_OP, 1, 1),
    ]


def test_a_task_keeps_what_it_was_and_its_own_time() -> None:
    stale = replace(CHAMPION, evaluation=evaluation(expires_at_utc=NOON + timedelta(minutes=2)))
    found = replayed(row(1), row(3), champions=(stale,))

    assert [(move.tasks, move.model_after, move.examples) for move in found.moves] == [(1, "commit-type@1", ("i1",))]


def test_tasks_that_move_because_of_a_newer_champion_are_not_laid_at_the_policys_door() -> None:
    found = replayed(
        row(1), row(2, envelope={"changed_files": 9}), champions=(CHAMPION,), new=policy(max_changed_files=9)
    )

    assert [(move.tasks, move.by_policy, move.rule_after) for move in found.moves] == [(2, 1, "champion")]


def test_a_specialist_costs_what_it_is_known_to_hand_on() -> None:
    measured = replayed(row(1), champions=(CHAMPION,))
    nobody_knows = replayed(row(1), champions=(replace(CHAMPION, evaluation=None),))

    assert measured.cost_after.usd == pytest.approx(0.1 * COST)
    assert nobody_knows.moves == ()


def test_an_answer_that_went_on_to_the_cloud_counts_with_its_task() -> None:
    first = row(1, cost=0.0, source="tokenizer", decision=LOCAL)
    second = row(2, parent_id="i1")
    third = row(3, parent_id="i2")
    found = replayed(first, second, third, champions=(CHAMPION,))

    assert (found.tasks, found.moves) == (1, ())
    assert found.cost_before == found.cost_after == Money(2 * COST, 0)


def test_a_local_answer_that_would_have_gone_to_the_cloud_is_priced_by_the_tokens_of_its_request() -> None:
    local = row(1, cost=0.0, source="tokenizer", decision=LOCAL)
    found = replayed(local, champions=(CHAMPION,), new=policy(minimum_margin=0.0))

    assert [(move.lane_before, move.lane_after) for move in found.moves] == [(Lane.LOCAL_FAST, Lane.CLOUD_ESCALATION)]
    assert (found.cost_before, found.cost_after) == (Money(0.0, 0), Money(pytest.approx(COST), 0))


def test_what_has_no_price_is_counted_and_never_free() -> None:
    vendor = UpstreamSettings(base_url="https://other.test/v1", models=("gpt-5.4",))
    new = Settings(upstreams={"other": vendor}, policy=PolicySettings(cloud="other/gpt-5.4"))
    found = replayed(row(1), row(2, cost=None), new=new)

    assert (found.cost_before, found.cost_after) == (Money(COST, 1), Money(0.0, 2))


@pytest.mark.parametrize(
    ("recorded", "lane"),
    [(-0.05, Lane.LOCAL_FAST), (-0.04, Lane.CLOUD_ESCALATION)],
)
def test_a_margin_that_the_client_asked_for_stays_and_the_policys_own_gives_way(recorded: float, lane: Lane) -> None:
    lower = replace(CHAMPION, evaluation=evaluation(margin_lower=-0.1))
    found = replayed(row(1, envelope={"minimum_margin": recorded}), champions=(lower,), new=policy(minimum_margin=-0.2))

    assert found.lanes_after[lane] == 1


def test_customer_data_are_those_of_the_types_that_the_new_policy_names() -> None:
    mail, customer = {"PIIEMAIL": 1}, {"CUSTOMER": 1}
    stricter = policy(customer_data_types=("PIIEMAIL",))
    was = {"contains_customer_data": True}
    kept = {"lane": Lane.NO_OP, "selected_runtime": "none", "selected_model_or_stack": "none"}
    found = replayed(row(1, redactions=mail), row(2, redactions=customer, envelope=was, decision=kept), new=stricter)

    assert [one.rule for one in found.refused] == ["local-only"]
    assert found.refused[0].examples == ("i1",)
    assert [(move.lane_before, move.lane_after) for move in found.moves if move.examples == ("i2",)] == [
        (Lane.NO_OP, Lane.CLOUD_ESCALATION)
    ]


def test_a_task_that_nobody_answered_has_an_unknown_cost_once_it_is_served() -> None:
    refused = row(1, cost=None, decision={"lane": Lane.NO_OP, "selected_model_or_stack": "none"})
    refused = replace(refused, outcome=replace(refused.outcome, usage=None))
    found = replayed(refused)

    assert (found.cost_before, found.cost_after) == (Money(0.0, 0), Money(0.0, 1))


def test_what_cannot_be_decided_again_is_left_out_with_the_reason() -> None:
    unreadable = row(2, decision={"rule": UNREADABLE, "lane": Lane.NO_OP})
    old = row(3)
    old = replace(
        old,
        intent=replace(old.intent, surface="openai.completions", request_received={"model": "gpt-5.4", "prompt": "x"}),
    )
    vendor = UpstreamSettings(dialect="anthropic", base_url="https://other.test", models=("gpt-5.4",))
    new = Settings(upstreams={"other": vendor}, policy=PolicySettings(cloud="other/gpt-5.4"))
    withdrawn = row(4, envelope={"requested_model": "commit-type@3"})
    found = replayed(row(1, received=None), unreadable, old, withdrawn, new=new)

    assert (found.tasks, found.left_out) == (0, {ERASED: 1, NOT_INSPECTED: 1, NOT_SERVED: 1, NOT_NAMED: 1})


def test_measured_times_are_those_of_the_tasks_before() -> None:
    mine = UpstreamSettings(base_url="http://127.0.0.1:9/v1", models=("llama",), trust="private", context=8192)
    upstreams = {**settings().upstreams, "mine": mine}
    local = {"runtime": "mine", "base": "llama"}
    new = Settings(upstreams=upstreams, local=local, policy=PolicySettings(cloud="vendor/gpt-5.4", choose="fastest"))  # type: ignore[arg-type]
    slow = [row(number, envelope={"task_type": "draft", "workflow": None}) for number in range(1, 8)]
    base = {"lane": Lane.LOCAL_FAST, "selected_runtime": "mine", "selected_model_or_stack": "mine/llama"}
    fast = [
        replace(one, intent=replace(one.intent, decision=cloud_decision(**base)),
                outcome=replace(one.outcome, model="mine/llama", latency_ms=1000.0, cost_usd=0.0))
        for one in slow[:3]
    ]  # fmt: skip
    found = replayed(*fast, *slow[3:], new=new)

    # Until three of each are timed the cheaper one serves, which is the base; then the cloud is the faster one.
    assert [(move.tasks, move.model_after) for move in found.moves] == [(3, "mine/llama")]
