"""Money: what bars the cloud, what is set aside and given back, and what a restart, a new day or a session changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from registry.entities import Outcome, Purpose, Status, Usage
from registry.errors import LedgerError, RefusedError, UpstreamError
from registry.ids import new_id
from registry.policies import BudgetSettings
from registry.settings import PolicySettings, Settings
from registry.spending import Spent
from registry.tokens import Client
from router.admission import InFlight
from router.app import make_app
from router.budgets import Budget, Budgets, Payer, usd
from router.exchange import CollectingWire, TurnError
from router.metrics import Metrics, metrics_body
from tests.router import test_general_base
from tests.router.daemon import admin_of, run_command, write_config
from tests.router.making import NOON, FakeReply, World, answered, incoming, run, settings, task, world

CALL_USD = 0.0003
"""What a call to the stand-in costs: 100 prompt tokens at 2 and 10 answer tokens at 10 dollars a million."""
SMALL = {"max_tokens": 10}


def limited(**budget: Any) -> Settings:
    return settings(policy=PolicySettings(cloud="vendor/gpt-5.4", budget=BudgetSettings(**budget)))


async def refused(made: World, body: dict[str, Any] | None = None, **headers: str) -> str:
    with pytest.raises(TurnError) as caught:
        await made.ask(body or task(), headers)
    assert isinstance(caught.value.cause, RefusedError)
    return str(caught.value.cause)


def test_a_day_that_is_used_up_bars_the_cloud_and_says_until_when(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=2 * CALL_USD)) as made:
            await made.ask(task(**SMALL))
            await made.ask(task(**SMALL))
            why = await refused(made, task(**SMALL))
            last = made.interactions()[-1]

            assert len(made.cloud.requests) == 2
            assert "today's budget of $0.0006 is used up ($0.0006 spent); it resets at 2026-11-22 00:00 UTC" in why
            assert last.intent.decision.rule == "budget"
            assert last.outcome is not None and last.outcome.status is Status.REFUSED
            assert "used up" in last.intent.decision.candidates[0].why_not

    run(scene())


def test_who_asks_for_the_cloud_by_name_is_barred_as_well(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=0)) as made:
            assert "is used up" in await refused(made, task(model="vendor/gpt-5.4"))
            assert "is used up" in await refused(made, task(model="cloud"))
            await made.ask(task(model="mine/llama"))

            assert made.cloud.requests == []

    run(scene())


def test_where_the_cloud_is_barred_the_general_base_takes_what_it_otherwise_would_not(tmp_path: Path) -> None:
    async def scene() -> None:
        given = test_general_base.settings(budget=BudgetSettings(day_usd=0))
        async with world(tmp_path, given) as made:
            wire = await made.ask(task("Ponder the meaning of it all, at length."))

            assert wire.headers["x-modelbreeder-model"] == "mine/llama"
            assert wire.headers["x-modelbreeder-reason"].startswith("budget: today's budget of $0.00 is used up")
            assert made.cloud.requests == []

    run(scene())


def test_a_champion_serves_as_ever_and_its_weak_answer_stays(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=0)) as made:
            made.promote()
            made.engine.confidence = -2.0
            wire = await made.ask(task())

            assert wire.headers["x-modelbreeder-reason"].startswith("champion")
            assert "below the threshold" in wire.headers["x-modelbreeder-weak"]
            assert made.cloud.requests == []

    run(scene())


def test_many_calls_at_once_do_not_each_believe_that_the_rest_is_theirs(tmp_path: Path) -> None:
    async def scene() -> None:
        # About 0.0103 dollars are set aside for each: 1,024 tokens of answer.
        async with world(tmp_path, limited(day_usd=0.05)) as made:
            results = await asyncio.gather(*(made.ask(task()) for _ in range(20)), return_exceptions=True)
            served = [one for one in results if isinstance(one, CollectingWire)]
            (today,) = made.deps.budgets.today(BudgetSettings(day_usd=0.05), NOON)

            assert len(served) == len(made.cloud.requests) == 4
            assert today.spent_usd == pytest.approx(4 * CALL_USD)
            assert today.reserved_usd == pytest.approx(0)
            assert today.unpriced_calls == 0

    run(scene())


def test_a_task_that_would_cost_more_than_is_left_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=0.05)) as made:
            why = await refused(made, task(max_tokens=100_000))

            assert "about $1.0000" in why and "is more than is left of today's budget of $0.05" in why

    run(scene())


def test_a_restart_forgets_nothing_and_a_new_day_does(tmp_path: Path) -> None:
    clock = [NOON]

    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=CALL_USD), clock=lambda: clock[0]) as made:
            await made.ask(task(**SMALL))
        async with world(tmp_path, limited(day_usd=CALL_USD), clock=lambda: clock[0]) as made:
            assert "$0.0003 spent" in await refused(made, task(**SMALL))
            clock[0] = datetime.fromisoformat("2026-11-22T00:00:00+00:00")
            await made.ask(task(**SMALL))
            assert "resets at 2026-11-23 00:00 UTC" in await refused(made, task(**SMALL))
            clock[0] = NOON
            assert len(made.cloud.requests) == 1

    run(scene())


def test_a_call_belongs_to_the_day_on_which_it_began() -> None:
    budgets, payer = Budgets(FakeSpending()), Payer(BudgetSettings(day_usd=1), Client())
    evening, morning = NOON.replace(hour=23), NOON + timedelta(days=1)
    assert budgets.reserve("i1", payer, 0.5, evening) == ""
    assert budgets.of(payer, morning)[0].left_usd == 1
    budgets.observe([ended("i1", 0.4)], 0.0, None)

    assert budgets.of(payer, morning)[0].spent_usd == 0
    assert budgets.of(payer, evening)[0].spent_usd == 0.4


def test_a_clock_that_jumps_over_midnight_and_back_opens_nothing(tmp_path: Path) -> None:
    clock = [NOON.replace(hour=23)]

    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=CALL_USD), clock=lambda: clock[0]) as made:
            await made.ask(task(**SMALL))
            clock[0] += timedelta(hours=2)
            await made.ask(task(**SMALL))
            clock[0] -= timedelta(hours=2)
            assert "resets at 2026-11-22 00:00 UTC" in await refused(made, task(**SMALL))

    run(scene())


def test_a_budget_that_a_reload_sets_knows_what_was_spent_while_there_was_none() -> None:
    asked: list[str] = []

    class Counting:
        def by_client(self, since: datetime, until: datetime) -> Mapping[str, Spent]:
            asked.append("day")
            return {"ann": Spent(1.0, 0)}

        def in_session(self, client: str, session: str) -> Spent:
            return Spent(0.0, 0)

    budgets, ann = Budgets(Counting()), Client("ann")

    def call(payer: Payer) -> str:
        name = new_id()
        why = budgets.reserve(name, payer, 0.5, NOON)
        if not why:
            used = Usage(1, 1, "upstream")
            budgets.observe([Outcome(name, NOON, Status.OK, "vendor", "m", None, used, 0.5)], 0.0, None)
        return why

    day = Payer(BudgetSettings(day_usd=2.0), ann)
    assert call(day) == ""
    assert call(Payer(BudgetSettings(), ann)) == ""
    assert "$2.00 spent" in call(day)
    assert asked == ["day"]


def test_each_session_has_a_budget_that_outlives_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        for _ in range(2):
            async with world(tmp_path, limited(session_usd=CALL_USD)) as made:
                if not made.interactions():
                    await made.ask(task(**SMALL), {"X-ModelBreeder-Session": "one"})
                headers = {"X-ModelBreeder-Session": "one"}
                assert "the session's budget of" in await refused(made, task(**SMALL), **headers)
                assert "a new session has a new one" in await refused(made, task(**SMALL), **headers)
                await made.ask(task(**SMALL), {"X-ModelBreeder-Session": new_id()})
                await made.ask(task(**SMALL))

    run(scene())


def test_a_client_has_a_budget_of_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path) as made:
            wire = CollectingWire()
            poor = replace(incoming(task(**SMALL)), client=Client("ci", CALL_USD))
            rich = replace(poor, client=Client("laptop"))
            await made.deps.turns.respond(poor, wire)
            with pytest.raises(TurnError, match="client ci's budget of today"):
                await made.deps.turns.respond(poor, wire)
            await made.deps.turns.respond(rich, wire)

            assert [one.intent.client for one in made.interactions()] == ["ci", "ci", "laptop"]
        async with world(tmp_path) as made:
            with pytest.raises(TurnError, match="client ci's budget of today"):
                await made.deps.turns.respond(poor, wire)
            await made.deps.turns.respond(rich, wire)

    run(scene())


def test_what_nobody_knows_the_price_of_is_counted_as_unknown_and_never_as_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        given = limited(day_usd=1)
        free = given.upstreams["vendor"].model_copy(
            update={"usd_per_million_input": None, "usd_per_million_output": None}
        )
        given = given.model_copy(update={"upstreams": {**given.upstreams, "vendor": free}})
        for calls in (1, 2):
            async with world(tmp_path, given) as made:
                await made.ask(task())
                (today,) = made.deps.budgets.today(given.policy.budget, NOON)

                assert (today.spent_usd, today.unpriced_calls) == (0, calls)
                assert made.interactions()[-1].outcome.cost_usd is None  # type: ignore[union-attr]

    run(scene())


def test_what_failed_or_was_cancelled_is_settled(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=1)) as made:
            made.cloud.script = [UpstreamError("down"), FakeReply(status=400, pieces=[b"{}"])]
            for _ in range(2):
                with pytest.raises(TurnError):
                    await made.ask(task())
            (today,) = made.deps.budgets.today(BudgetSettings(day_usd=1), NOON)
            assert (today.spent_usd, today.reserved_usd, today.unpriced_calls) == (0, 0, 0)

            reply = FakeReply(hangs=True)
            made.cloud.script = [reply]
            asking = asyncio.create_task(made.ask(task()))
            await reply.hanging.wait()
            (busy,) = made.deps.budgets.today(BudgetSettings(day_usd=1), NOON)
            asking.cancel()
            await asyncio.wait({asking})
            (idle,) = made.deps.budgets.today(BudgetSettings(day_usd=1), NOON)

            assert busy.reserved_usd > 0.01
            assert (idle.reserved_usd, idle.unpriced_calls) == (0, 1)

    run(scene())


def test_a_call_that_the_ledger_refuses_gives_its_money_back(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=1)) as made:
            made.deps.writer.close()
            with pytest.raises(TurnError) as caught:
                await made.ask(task())
            (today,) = made.deps.budgets.today(BudgetSettings(day_usd=1), NOON)

            assert isinstance(caught.value.cause, LedgerError)
            assert (today.spent_usd, today.reserved_usd, today.unpriced_calls) == (0, 0, 0)

    run(scene())


def test_an_escalation_that_can_no_longer_be_paid_is_refused_and_the_unsure_answer_given(tmp_path: Path) -> None:
    limits = BudgetSettings(day_usd=1)

    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=1)) as made:
            made.promote()
            made.engine.confidence = -2.0

            def say(text: str) -> str:
                made.deps.budgets.reserve("another", Payer(limits, Client()), 1.0, NOON)
                return f"local {text}"

            made.engine.say = say
            wire = await made.ask(task())
            weak, child, given = made.interactions()

            assert "is used up" in wire.headers["x-modelbreeder-reason"]
            assert wire.headers["x-modelbreeder-interaction"] == given.intent.interaction_id
            assert weak.outcome is not None and weak.outcome.status is Status.ESCALATED
            assert child.outcome is not None and child.outcome.status is Status.REFUSED
            assert child.intent.parent_id == weak.intent.interaction_id
            assert made.cloud.requests == []

    run(scene())


def test_a_call_of_another_purpose_costs_the_same_money(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=CALL_USD)) as made:
            turns = replace(made.deps.turns, purpose=Purpose.EVALUATION)
            await turns.respond(incoming(task(**SMALL)), CollectingWire())
            assert "used up" in await refused(made, task(**SMALL))
            (today,) = made.deps.budgets.today(BudgetSettings(day_usd=1), NOON)

            assert today.spent_usd == pytest.approx(CALL_USD)

    run(scene())


def test_the_end_of_a_budget_is_warned_of_once_in_the_log_and_in_every_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(day_usd=0.003, warn_at=0.19)) as made:
            transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)), raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                said = [
                    (await client.post("/v1/chat/completions", json=task(**SMALL))).headers.get("x-modelbreeder-budget")
                    for _ in range(11)
                ]
            metrics = Metrics(settings(), InFlight(1))
            budgets, limits = made.deps.budgets, made.deps.settings.policy.budget
            metrics.watch_budgets(lambda: budgets.today(limits, NOON), budgets.warnings)
            page = metrics_body(metrics.registry).decode()

        assert said[0] is None
        assert said[1] == "day; spent=0.0006; limit=0.003; resets=2026-11-22T00:00Z"
        assert said[10] == "day; spent=0.003; limit=0.003; resets=2026-11-22T00:00Z"
        assert 'modelbreeder_budget_usd{amount="limit",budget="day"} 0.003' in page
        assert 'modelbreeder_budget_warnings_total{budget="day"} 1.0' in page

    with caplog.at_level(logging.WARNING, "modelbreeder.router"):
        run(scene())
    assert caplog.text.count("today's budget: $0.0006 of $0.003 are spent, 0 calls had no known price") == 1


def test_a_session_whose_name_is_masked_has_one_account_which_answers_and_explain_show(tmp_path: Path) -> None:
    async def scene() -> None:
        async with world(tmp_path, limited(session_usd=0.003, warn_at=0.19)) as made:
            transport = httpx2.ASGITransport(app=make_app(made.deps, InFlight(4)), raise_app_exceptions=False)
            headers = {**admin_of(tmp_path), "X-ModelBreeder-Session": "ann@acme.example"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
                for _ in range(2):
                    got = await client.post("/v1/chat/completions", json=task(**SMALL))
                explained = (await client.post("/v1/route/explain", json=task(**SMALL))).json()

            assert got.headers["x-modelbreeder-budget"] == "session; spent=0.0006; limit=0.003"
            assert [one["spent_usd"] for one in explained["budgets"]] == [pytest.approx(2 * CALL_USD)]

    run(scene())


class FakeSpending:
    """A ledger of which nothing was spent."""

    def by_client(self, since: datetime, until: datetime) -> Mapping[str, Spent]:
        return {}

    def in_session(self, client: str, session: str) -> Spent:
        return Spent()


def ended(name: str, cost_usd: float | None) -> Outcome:
    return Outcome(name, NOON, Status.OK, "vendor", "m", None, Usage(1, 1, "upstream"), cost_usd)


_amounts = st.floats(0, 2, allow_nan=False)
_steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "unpriced", "release"]),
        st.integers(0, 5),
        _amounts,
        st.sampled_from(["ci", "laptop"]),
        st.sampled_from([None, "s1", "s2"]),
    ),
    max_size=40,
)


@bounded(max_examples=200)
@given(_steps, _amounts, _amounts, _amounts)
def test_no_order_of_events_loses_or_invents_money(steps: list[Any], day: float, client: float, session: float) -> None:
    limits = BudgetSettings(day_usd=day, session_usd=session)
    budgets, held, costs = Budgets(FakeSpending()), {}, []
    for step, number, amount, name, said in steps:
        payer, call = Payer(limits, Client(name, client), said), f"i{number}"
        if step == "reserve" and call not in held:
            before = budgets.of(payer, NOON)
            if not budgets.reserve(call, payer, amount, NOON):
                held[call] = (payer, amount)
                assert all(one.left_usd > 0 and amount <= one.left_usd for one in before)
        elif step in ("settle", "unpriced"):
            cost = amount if step == "settle" else None
            budgets.observe([ended(call, cost)], 0.0, None)
            if held.pop(call, None):
                costs.append((payer, cost))
        elif step == "release":
            budgets.release(call)
            held.pop(call, None)
    (today,) = (one for one in budgets.of(Payer(limits, Client()), NOON) if one.kind == "day")

    assert today.spent_usd == pytest.approx(sum(cost for _, cost in costs if cost))
    assert today.unpriced_calls == sum(cost is None for _, cost in costs)
    assert today.reserved_usd == pytest.approx(sum(amount for _, amount in held.values()), abs=1e-9)


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "$0.00"), (5, "$5.00"), (0.0125, "$0.0125"), (1234.5, "$1,234.50"), (1e-7, "$0.00")]
)
def test_money_is_shown_with_as_many_decimals_as_it_needs(amount: float, shown: str) -> None:
    assert usd(amount) == shown


def test_unknown_prices_are_told_where_a_budget_bars() -> None:
    used = Budget("day", "today's budget", 1.0, 1.0, 0.5, 3, NOON)

    assert "$1.00 spent and 3 calls of unknown price, $0.50 set aside" in used.refusal(0)


def test_the_answer_of_a_stand_in_costs_what_these_tests_think() -> None:
    assert b'"prompt_tokens": 100, "completion_tokens": 10' in answered("x")


def test_explain_shows_what_is_left_and_how_much_nobody_knows(tmp_path: Path) -> None:
    write_config(tmp_path, "http://127.0.0.1:9/v1", policy="budget = { day_usd = 1.5 }")
    told = run_command(tmp_path, "explain", "Ponder this.").stdout
    as_json = json.loads(run_command(tmp_path, "explain", "--json", "Ponder this.").stdout)

    assert "budget    today's budget: $1.50 of $1.50 left\n" in told
    (today,) = as_json["budgets"]
    assert (today["kind"], today["left_usd"], today["unpriced_calls"]) == ("day", 1.5, 0)
