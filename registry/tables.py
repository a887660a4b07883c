"""The schema, once: ledger events with their typed facts and erasable contents, and the catalog.

Migrations create it; a test compares the two. Every column is text without a length, integer or float (see
`columns`), so SQLite and PostgreSQL hold and accept the same values.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

writers = Table(
    "writers",
    metadata,
    Column("writer", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("head_seq", Integer, nullable=False),
    Column("head_hash", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("interaction_id", Text, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("at_utc", Text, nullable=False),
    Column("writer", Text, ForeignKey("writers.writer"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("facts_digest", Text, nullable=False),
    Column("content_digest", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    UniqueConstraint("writer", "seq"),
)

contents = Table(
    "contents",
    metadata,
    Column("event_id", Text, ForeignKey("events.event_id"), primary_key=True),
    Column("salt", Text),
    Column("body", Text),
)

intents = Table(
    "intents",
    metadata,
    Column("event_id", Text, ForeignKey("events.event_id"), primary_key=True),
    Column("interaction_id", Text, nullable=False, unique=True),
    Column("at_utc", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("trust_tier", Text, nullable=False),
    Column("surface", Text, nullable=False),
    Column("parent_id", Text),
    Column("session", Text),
    Column("task_id", Text, nullable=False),
    Column("workflow", Text),
    Column("data_class", Text, nullable=False),
    Column("lane", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("envelope", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("redactions", Text, nullable=False),
    # Listings and mining walk one of these in time order; the id breaks ties.
    Index(None, "at_utc", "interaction_id"),
    Index(None, "workflow", "at_utc", "interaction_id"),
    Index(None, "lane", "at_utc", "interaction_id"),
    # For what a session has cost; most interactions have none, and those cost nothing to insert.
    Index(None, "session", sqlite_where=text("session IS NOT NULL"), postgresql_where=text("session IS NOT NULL")),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("event_id", Text, ForeignKey("events.event_id"), primary_key=True),
    Column("interaction_id", Text, ForeignKey("intents.interaction_id"), nullable=False, unique=True),
    Column("at_utc", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("usage_source", Text),
    Column("cost_usd", Float),
    Column("cloud_cost_usd", Float),
    Column("latency_ms", Float),
    Column("ttft_ms", Float),
    Column("confidence", Float),
)

feedback = Table(
    "feedback",
    metadata,
    Column("event_id", Text, ForeignKey("events.event_id"), primary_key=True),
    Column("interaction_id", Text, ForeignKey("intents.interaction_id"), nullable=False, index=True),
    Column("at_utc", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("score", Float),
    Column("client", Text, nullable=False),
)

evidence = Table(
    "evidence",
    metadata,
    Column("event_id", Text, ForeignKey("events.event_id"), primary_key=True),
    Column("interaction_id", Text, ForeignKey("intents.interaction_id"), nullable=False, index=True),
    Column("at_utc", Text, nullable=False),
    Column("type", Text, nullable=False),
)

workflows = Table(
    "workflows",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fingerprints", Text, nullable=False),
    Column("scorer", Text, nullable=False),
    Column("created_at_utc", Text, nullable=False),
    Column("likeness", Text, nullable=False, server_default=""),
    Column("rebreed", Text, nullable=False, server_default=""),
)

specialists = Table(
    "specialists",
    metadata,
    Column("name", Text, primary_key=True),
    Column("workflow", Text, ForeignKey("workflows.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("base_sha256", Text, nullable=False),
    Column("adapter_sha256", Text),
    Column("adapter_source_sha256", Text),
    Column("examples", Text, nullable=False),
    Column("trim", Text, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("max_tokens", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("parents", Text, nullable=False),
    Column("recipe_digest", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("template_digest", Text, nullable=False),
    Column("quantization", Text, nullable=False),
    Column("mlflow_run_id", Text),
    Column("created_at_utc", Text, nullable=False),
    Column("grammar", Text, nullable=False, server_default=""),
    Column("withdrawn", Text, nullable=False, server_default=""),
    UniqueConstraint("workflow", "version"),
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("evaluation_id", Text, primary_key=True),
    Column("specialist", Text, ForeignKey("specialists.name"), nullable=False, index=True),
    Column("at_utc", Text, nullable=False),
    Column("expires_at_utc", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("served", Integer, nullable=False),
    Column("coverage", Float, nullable=False),
    # NULL where nothing was served, so nothing was measured: SQLite cannot hold NaN.
    Column("specialist_score", Float),
    Column("cloud_score", Float),
    Column("mean_difference", Float),
    Column("margin_lower", Float),
    Column("alpha_spent", Float, nullable=False),
    Column("threshold", Float, nullable=False),
    Column("holdout_digest", Text, nullable=False),
    Column("cloud_model", Text, nullable=False),
    Column("engine_build", Text, nullable=False),
    Column("cost_usd", Float),
    Column("tokens_per_second", Float),
)

promotions = Table(
    "promotions",
    metadata,
    # The primary key is the compare-and-swap: of two that move the same pointer, the second insert fails.
    Column("workflow", Text, ForeignKey("workflows.name"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("action", Text, nullable=False),
    Column("specialist", Text, ForeignKey("specialists.name")),
    Column("previous", Text, ForeignKey("specialists.name")),
    Column("evaluation_id", Text, ForeignKey("evaluations.evaluation_id")),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_utc", Text, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    # A client that was revoked keeps its row, so that its token stays refused and others stay demanded.
    Column("client", Text, primary_key=True),
    Column("salt", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("day_usd", Float),
    Column("trust_tier", Text, nullable=False, server_default="trusted"),
    Column("created_at_utc", Text, nullable=False),
    Column("revoked_at_utc", Text),
)
