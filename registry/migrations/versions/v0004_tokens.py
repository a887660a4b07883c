"""Clients have tokens, and what a session has cost is found quickly."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table and the index."""
    op.create_table(
        "tokens",
        sa.Column("client", sa.Text, primary_key=True),
        sa.Column("salt", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("day_usd", sa.Float),
        sa.Column("created_at_utc", sa.Text, nullable=False),
        sa.Column("revoked_at_utc", sa.Text),
    )
    named = sa.text("session IS NOT NULL")
    op.create_index("ix_intents_session", "intents", ["session"], sqlite_where=named, postgresql_where=named)
