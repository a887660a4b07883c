"""The first schema: ledger and catalog, and the view that joins an interaction's events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_INTERACTIONS = """
CREATE VIEW interactions AS
SELECT i.interaction_id, i.at_utc, i.purpose, i.client, i.trust_tier, i.surface, i.parent_id, i.session, i.task_id,
       i.workflow, i.data_class, i.lane, i.rule, i.policy_digest, i.redactions,
       o.at_utc AS ended_at_utc, o.status, o.runtime, o.model, o.prompt_tokens, o.completion_tokens, o.usage_source,
       o.cost_usd, o.cloud_cost_usd, o.latency_ms, o.ttft_ms, o.confidence,
       f.verdict, f.score, f.at_utc AS judged_at_utc
FROM intents AS i
LEFT JOIN outcomes AS o ON o.interaction_id = i.interaction_id
LEFT JOIN feedback AS f ON f.event_id = (
    SELECT l.event_id FROM feedback AS l WHERE l.interaction_id = i.interaction_id
    ORDER BY l.at_utc DESC, l.event_id DESC LIMIT 1
)
"""


def upgrade() -> None:
    """Create everything."""
    _create_chain()
    _create_intents()
    _create_later_facts()
    _create_specialists()
    _create_moves()
    _create_indexes()
    op.execute(_INTERACTIONS)


def _create_chain() -> None:
    op.create_table(
        "writers",
        sa.Column("writer", sa.Text, primary_key=True),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Text, nullable=False),
        sa.Column("head_seq", sa.Integer, nullable=False),
        sa.Column("head_hash", sa.Text, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("interaction_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("writer", sa.Text, sa.ForeignKey("writers.writer"), nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("facts_digest", sa.Text, nullable=False),
        sa.Column("content_digest", sa.Text, nullable=False),
        sa.Column("previous_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.UniqueConstraint("writer", "seq"),
    )
    op.create_table(
        "contents",
        sa.Column("event_id", sa.Text, sa.ForeignKey("events.event_id"), primary_key=True),
        sa.Column("salt", sa.Text),
        sa.Column("body", sa.Text),
    )


def _create_intents() -> None:
    op.create_table(
        "intents",
        sa.Column("event_id", sa.Text, sa.ForeignKey("events.event_id"), primary_key=True),
        sa.Column("interaction_id", sa.Text, nullable=False, unique=True),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("client", sa.Text, nullable=False),
        sa.Column("trust_tier", sa.Text, nullable=False),
        sa.Column("surface", sa.Text, nullable=False),
        sa.Column("parent_id", sa.Text),
        sa.Column("session", sa.Text),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("workflow", sa.Text),
        sa.Column("data_class", sa.Text, nullable=False),
        sa.Column("lane", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("policy_digest", sa.Text, nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("redactions", sa.Text, nullable=False),
    )


def _create_later_facts() -> None:
    op.create_table(
        "outcomes",
        sa.Column("event_id", sa.Text, sa.ForeignKey("events.event_id"), primary_key=True),
        sa.Column("interaction_id", sa.Text, sa.ForeignKey("intents.interaction_id"), nullable=False, unique=True),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("usage_source", sa.Text),
        sa.Column("cost_usd", sa.Float),
        sa.Column("cloud_cost_usd", sa.Float),
        sa.Column("latency_ms", sa.Float),
        sa.Column("ttft_ms", sa.Float),
        sa.Column("confidence", sa.Float),
    )
    op.create_table(
        "feedback",
        sa.Column("event_id", sa.Text, sa.ForeignKey("events.event_id"), primary_key=True),
        sa.Column("interaction_id", sa.Text, sa.ForeignKey("intents.interaction_id"), nullable=False),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("client", sa.Text, nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("event_id", sa.Text, sa.ForeignKey("events.event_id"), primary_key=True),
        sa.Column("interaction_id", sa.Text, sa.ForeignKey("intents.interaction_id"), nullable=False),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
    )


def _create_specialists() -> None:
    op.create_table(
        "workflows",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("fingerprints", sa.Text, nullable=False),
        sa.Column("scorer", sa.Text, nullable=False),
        sa.Column("created_at_utc", sa.Text, nullable=False),
    )
    op.create_table(
        "specialists",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("workflow", sa.Text, sa.ForeignKey("workflows.name"), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("base_sha256", sa.Text, nullable=False),
        sa.Column("adapter_sha256", sa.Text),
        sa.Column("adapter_source_sha256", sa.Text),
        sa.Column("examples", sa.Text, nullable=False),
        sa.Column("trim", sa.Text, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("max_tokens", sa.Integer, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("parents", sa.Text, nullable=False),
        sa.Column("recipe_digest", sa.Text, nullable=False),
        sa.Column("dataset_digest", sa.Text, nullable=False),
        sa.Column("template_digest", sa.Text, nullable=False),
        sa.Column("quantization", sa.Text, nullable=False),
        sa.Column("mlflow_run_id", sa.Text),
        sa.Column("created_at_utc", sa.Text, nullable=False),
        sa.UniqueConstraint("workflow", "version"),
    )


def _create_moves() -> None:
    op.create_table(
        "evaluations",
        sa.Column("evaluation_id", sa.Text, primary_key=True),
        sa.Column("specialist", sa.Text, sa.ForeignKey("specialists.name"), nullable=False),
        sa.Column("at_utc", sa.Text, nullable=False),
        sa.Column("expires_at_utc", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("served", sa.Integer, nullable=False),
        sa.Column("coverage", sa.Float, nullable=False),
        sa.Column("specialist_score", sa.Float),
        sa.Column("cloud_score", sa.Float),
        sa.Column("mean_difference", sa.Float),
        sa.Column("margin_lower", sa.Float),
        sa.Column("alpha_spent", sa.Float, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("holdout_digest", sa.Text, nullable=False),
        sa.Column("cloud_model", sa.Text, nullable=False),
        sa.Column("engine_build", sa.Text, nullable=False),
        sa.Column("cost_usd", sa.Float),
        sa.Column("tokens_per_second", sa.Float),
    )
    op.create_table(
        "promotions",
        sa.Column("workflow", sa.Text, sa.ForeignKey("workflows.name"), primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("specialist", sa.Text, sa.ForeignKey("specialists.name")),
        sa.Column("previous", sa.Text, sa.ForeignKey("specialists.name")),
        sa.Column("evaluation_id", sa.Text, sa.ForeignKey("evaluations.evaluation_id")),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at_utc", sa.Text, nullable=False),
    )


def _create_indexes() -> None:
    for table, *columns in (
        ("events", "interaction_id"),
        ("intents", "at_utc", "interaction_id"),
        ("intents", "workflow", "at_utc", "interaction_id"),
        ("intents", "lane", "at_utc", "interaction_id"),
        ("feedback", "interaction_id"),
        ("evidence", "interaction_id"),
        ("evaluations", "specialist"),
    ):
        op.create_index(f"ix_{table}_{'_'.join(columns)}", table, columns)
