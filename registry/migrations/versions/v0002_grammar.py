"""Specialists have a grammar; those made before have none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("specialists", sa.Column("grammar", sa.Text, nullable=False, server_default=""))
