"""Clients have a trust tier; those there are were trusted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the column."""
    op.add_column("tokens", sa.Column("trust_tier", sa.Text, nullable=False, server_default="trusted"))
