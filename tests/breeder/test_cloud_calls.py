"""What the breeder asks of a cloud passes the router's own door: rows that must stay do not leave by it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from breeder.cloud_calls import CloudAnswer, ask_cloud
from breeder.deps import open_deps
from breeder.mining import Row
from registry.entities import Lane, Purpose
from registry.home import Home
from registry.settings import DataClassSettings, PolicySettings, Settings, UpstreamSettings
from router.problems import UnservedError
from tests.breeder.makers import row
from tests.router.recording_upstream import MODEL, recording_upstream

CLIENT = DataClassSettings(name="client", paths=("clients/**",))


def asked(tmp_path: Path, url: str, *rows: Row, **policy: object) -> list[CloudAnswer]:
    vendor = UpstreamSettings(base_url=url, models=(MODEL,), attempts=1)
    given = PolicySettings(cloud=f"vendor/{MODEL}", classes=(CLIENT,), **policy)
    told: list[CloudAnswer] = []
    with open_deps(Home.at(tmp_path), Settings(upstreams={"vendor": vendor}, policy=given), tmp_path, print) as deps:
        try:
            asyncio.run(ask_cloud(deps, "w", rows, lambda _, answer: told.append(answer)))
        finally:
            (one,) = deps.ledger.interactions(limit=1, oldest_first=False)
            assert one.intent.purpose is Purpose.EVALUATION
            assert (one.intent.decision.lane is Lane.CLOUD_ESCALATION) is bool(told)
    return told


def test_a_row_that_may_leave_is_asked(tmp_path: Path):
    with recording_upstream() as vendor:
        (answer,) = asked(tmp_path, vendor.url, replace(row(1), data_class="code"))

    assert answer.text.startswith("You said: Say the number twice.")
    assert len(vendor.requests) == 1


@pytest.mark.parametrize(
    "given",
    [
        replace(row(1), data_class="client"),
        row(1, "see clients/acme/plan.md"),
        row(1, "ask customer_41"),
    ],
    ids=["told by a hint once", "told by a path", "told by a detector"],
)
def test_a_row_that_must_stay_reaches_no_cloud(tmp_path: Path, given: Row):
    with recording_upstream() as vendor, pytest.raises(UnservedError, match="local-only|customer data"):
        asked(tmp_path, vendor.url, given)

    assert vendor.requests == []


def test_a_class_that_policy_no_longer_knows_is_not_asked_for(tmp_path: Path):
    with recording_upstream() as vendor:
        asked(tmp_path, vendor.url, replace(row(1), data_class="odd"))

    assert len(vendor.requests) == 1
