"""What is counted, and that no client can make up a label."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from registry.entities import EvidenceType, Lane, Outcome, Status, Usage
from router.admission import InFlight
from router.failures import FailureKind
from router.metrics import CONTENT_TYPE, Metrics, metrics_body
from router.problems import OverloadedError
from router.retrying import AttemptNote
from tests.router.making import NOON, run, settings

CLOUD = Lane.CLOUD_ESCALATION


def outcome(model: str = "vendor/gpt-5.4", **changes: Any) -> Outcome:
    made = {"runtime": "vendor", "usage": Usage(100, 10, "upstream"), "cost_usd": 0.5, "cloud_cost_usd": 0.5}
    return Outcome("i", NOON, **{"status": Status.OK, "response": None, **made, "model": model, **changes})


def fresh(limit: int = 2) -> tuple[Metrics, InFlight]:
    in_flight = InFlight(limit)
    return Metrics(settings(), in_flight), in_flight


def shown(metrics: Metrics) -> dict[str, float]:
    """Return every sample of the page as Prometheus would read it."""
    lines = metrics_body(metrics.registry).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def test_a_request_is_counted_by_surface_lane_rule_and_status() -> None:
    metrics, _ = fresh()
    metrics.ended("openai.chat", CLOUD, "anything-else", outcome())
    metrics.ended("openai.chat", CLOUD, "anything-else", outcome(status=Status.ERROR))
    page = shown(metrics)

    labels = 'lane="cloud_escalation",rule="anything-else",status="{}",surface="openai.chat"'
    assert page[f"modelbreeder_requests_total{{{labels.format('ok')}}}"] == 1
    assert page[f"modelbreeder_requests_total{{{labels.format('error')}}}"] == 1


def test_tokens_and_money_are_summed_and_an_unknown_price_is_no_zero() -> None:
    metrics, _ = fresh()
    metrics.ended("s", CLOUD, "r", outcome())
    metrics.ended("s", CLOUD, "r", outcome(cost_usd=None, cloud_cost_usd=None))
    metrics.ended("s", CLOUD, "r", outcome(usage=None, cost_usd=None))
    page = shown(metrics)

    priced = 'lane="cloud_escalation",model="vendor/gpt-5.4"'
    assert page[f'modelbreeder_tokens_total{{kind="prompt",{priced},source="upstream"}}'] == 200
    assert page[f'modelbreeder_tokens_total{{kind="completion",{priced},source="upstream"}}'] == 20
    assert page[f"modelbreeder_cost_usd_total{{{priced}}}"] == 0.5
    assert page[f"modelbreeder_unpriced_total{{{priced}}}"] == 1
    assert page['modelbreeder_cloud_cost_usd_total{lane="cloud_escalation"}'] == 1.0


def test_specialists_come_and_go_so_they_share_a_label() -> None:
    metrics, _ = fresh()
    for version in (1, 2):
        metrics.ended("s", Lane.LOCAL_FAST, "r", outcome(f"commit-type@{version}", runtime="embedded", cost_usd=0.0))
    prompts = 'kind="prompt",lane="local_fast",model="specialist",source="upstream"'

    assert shown(metrics)[f"modelbreeder_tokens_total{{{prompts}}}"] == 200


def test_only_whole_answers_tell_of_speed() -> None:
    metrics, _ = fresh()
    metrics.ended("s", CLOUD, "r", outcome(latency_ms=800.0, ttft_ms=90.0))
    metrics.ended("s", CLOUD, "r", outcome(latency_ms=9000.0, ttft_ms=9000.0, status=Status.TRUNCATED))
    page = shown(metrics)

    assert page['modelbreeder_request_seconds_sum{lane="cloud_escalation"}'] == pytest.approx(0.8)
    assert page['modelbreeder_first_token_seconds_bucket{lane="cloud_escalation",le="0.1"}'] == 1
    assert page['modelbreeder_first_token_seconds_count{lane="cloud_escalation"}'] == 1


def test_attempts_are_counted_by_upstream_and_kind_of_failure() -> None:
    metrics, _ = fresh()
    for target, failure in (("vendor/gpt-5.4", None), ("vendor/x", FailureKind.TIMEOUT), ("gone/x", None)):
        metrics.attempted(AttemptNote(target, failure, None, 0.0, 0.1))
    page = shown(metrics)

    assert page['modelbreeder_upstream_attempts_total{result="ok",upstream="vendor"}'] == 1
    assert page['modelbreeder_upstream_attempts_total{result="timeout",upstream="vendor"}'] == 1
    assert page['modelbreeder_upstream_attempts_total{result="ok",upstream="other"}'] == 1


def test_evidence_redactions_and_the_ledger_are_counted() -> None:
    metrics, _ = fresh()
    metrics.noted(EvidenceType.WEAK_ANSWER)
    metrics.redacted({"PIIEMAIL": 2, "CUSTOMER": 1})
    metrics.ledger_wrote(0.003)
    metrics.ledger_failed()
    page = shown(metrics)

    assert page['modelbreeder_evidence_total{type="weak_answer"}'] == 1
    assert page['modelbreeder_redactions_total{type="PIIEMAIL"}'] == 2
    assert page["modelbreeder_ledger_write_seconds_count"] == 1
    assert page["modelbreeder_ledger_failures_total"] == 1


def test_what_is_in_flight_and_refused_is_read_at_the_moment_of_asking() -> None:
    metrics, in_flight = fresh(limit=1)
    deaths = [3]
    metrics.watch_engines(lambda: deaths[0])

    async def scene() -> dict[str, float]:
        async with in_flight.turn():
            with pytest.raises(OverloadedError):
                async with in_flight.turn():
                    pass
            return shown(metrics)

    busy = run(scene())
    deaths[0] = 4
    idle = shown(metrics)

    assert (busy["modelbreeder_in_flight"], idle["modelbreeder_in_flight"]) == (1, 0)
    assert (busy["modelbreeder_engine_deaths_total"], idle["modelbreeder_engine_deaths_total"]) == (3, 4)
    assert idle["modelbreeder_admission_refused_total"] == 1
    assert idle["modelbreeder_waiting"] == 0


def test_two_daemons_in_one_process_count_apart() -> None:
    one, other = fresh()[0], fresh()[0]
    one.ledger_failed()

    assert shown(one)["modelbreeder_ledger_failures_total"] == 1
    assert shown(other)["modelbreeder_ledger_failures_total"] == 0
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


@bounded(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["vendor", "embedded", "gone", ""]), st.text(max_size=30)), max_size=20))
def test_no_name_of_a_clients_own_becomes_a_label(named: list[tuple[str, str]]) -> None:
    metrics, _ = fresh()
    for runtime, model in named:
        metrics.ended("s", CLOUD, "r", outcome(f"{runtime}/{model}", runtime=runtime))
    models = set(re.findall(r'model="([^"]*)"', metrics_body(metrics.registry).decode()))

    assert models <= {"vendor/gpt-5.4", "vendor/other", "specialist", "other"}
