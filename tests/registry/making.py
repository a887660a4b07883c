"""Entities for the tests of the registry, and databases that need no migration of their own."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry.database import Database, open_database
from registry.entities import (
    Candidate,
    Durability,
    Evaluation,
    Intent,
    Lane,
    Outcome,
    Purpose,
    RouteDecision,
    Specialist,
    SpecialistKind,
    Status,
    TaskEnvelope,
    Usage,
    Verdict,
    Workflow,
)
from registry.erasing import scrub

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def decision(lane: Lane = Lane.CLOUD_ESCALATION) -> RouteDecision:
    return RouteDecision(
        lane=lane,
        selected_runtime="openai",
        selected_model_or_stack="gpt-5.4",
        local_reason="no champion yet",
        rule="escalate",
        redaction_required=True,
        evidence_required=True,
        fallback_target="local_summary",
        candidates=(Candidate("commit-type@3", Lane.LOCAL_FAST, margin=-0.01, why_not="margin too old"),),
        policy_digest="d1",
        route_created_at_utc=NOON,
    )


def intent(
    interaction_id: str = "i1",
    when: float = 0.0,
    *,
    workflow: str | None = "commit-type",
    purpose: Purpose = Purpose.USER,
    lane: Lane = Lane.CLOUD_ESCALATION,
    text: str = "feat or fix?",
) -> Intent:
    return Intent(
        interaction_id=interaction_id,
        at_utc=at(when),
        purpose=purpose,
        envelope=TaskEnvelope(
            "t1", text, workflow, match_score=1.0, requested_lane=Lane.CLOUD_ESCALATION, session="s1"
        ),
        decision=decision(lane),
        request_received={"messages": [{"role": "user", "content": text}]},
        request_sent={"messages": [{"role": "user", "content": text}], "model": "gpt-5.4"},
        client="editor",
        trust_tier="tool",
        redactions={"email": 2},
    )


def outcome(interaction_id: str = "i1", when: float = 1.0, text: str = "fix") -> Outcome:
    return Outcome(
        interaction_id=interaction_id,
        at_utc=at(when),
        status=Status.OK,
        runtime="openai",
        model="gpt-5.4",
        response={"choices": [{"message": {"content": text}}]},
        usage=Usage(12, 1, "upstream"),
        cost_usd=0.001,
        latency_ms=350.0,
        confidence=-0.25,
        verification={"schema": "ok"},
    )


def workflow(name: str = "commit-type", scorer: str = "exact") -> Workflow:
    return Workflow(name, ("f1", "f2"), scorer, NOON)


def specialist(
    version: int, name: str = "commit-type", parents: tuple[str, ...] = (), generation: int = 0
) -> Specialist:
    return Specialist(
        workflow=name,
        version=version,
        kind=SpecialistKind.LORA,
        base_sha256="a" * 64,
        created_at_utc=at(version),
        adapter_sha256="b" * 64,
        examples=(("question", "answer"),),
        parents=parents,
        generation=generation,
    )


def evaluation(evaluation_id: str, of: str, alpha_spent: float = 0.05, when: float = 0.0) -> Evaluation:
    return Evaluation(
        evaluation_id=evaluation_id,
        specialist=of,
        at_utc=at(when),
        expires_at_utc=at(when + 86_400),
        verdict=Verdict.PASS,
        reason="margin -0.01 is at least -0.05",
        n=150,
        served=140,
        coverage=0.93,
        specialist_score=0.95,
        cloud_score=0.94,
        mean_difference=0.01,
        margin_lower=-0.01,
        alpha_spent=alpha_spent,
        threshold=-0.3,
        holdout_digest="h1",
        cloud_model="openai/gpt-5.4",
        engine_build="b1",
    )


@functools.cache
def _template() -> Path:
    folder = tempfile.mkdtemp(prefix="modelbreeder-tests-")
    atexit.register(shutil.rmtree, folder)
    file = Path(folder) / "ledger.db"
    database = open_database(file)
    scrub(database)
    database.close()
    return file


def fresh_database(folder: Path) -> Database:
    """Return an empty database at head, by copy: a hundred migrations would take a minute."""
    file = folder / "ledger.db"
    shutil.copyfile(_template(), file)
    return open_database(file, durability=Durability.NORMAL)
