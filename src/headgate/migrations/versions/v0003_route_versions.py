"""Versions of the routes that are changed at run time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "route_versions",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("key_name", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("overlay", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_route_versions"),
    )


def downgrade() -> None:
    op.drop_table("route_versions")
