"""Specialists can be withdrawn, and workflows marked to be bred again; none is by itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("specialists", sa.Column("withdrawn", sa.Text, nullable=False, server_default=""))
    op.add_column("workflows", sa.Column("rebreed", sa.Text, nullable=False, server_default=""))
