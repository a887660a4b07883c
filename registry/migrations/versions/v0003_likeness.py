"""Workflows have a likeness; those made before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("workflows", sa.Column("likeness", sa.Text, nullable=False, server_default=""))
