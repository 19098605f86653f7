"""Preprocessing: what each model remembers of its data

A new table, of which a process of the previous version knows nothing. Jobs that were trained
before have no row in it; theirs is made again from the specification when somebody asks.

Revision: 0008, after 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "preprocessing",
        sa.Column("job", KEY, autoincrement=False, nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("pk_preprocessing")),
        sa.ForeignKeyConstraint(["job"], ["jobs.pk"], name=op.f("fk_preprocessing_job")),
    )
    # For lists, which do not read the specification; older jobs show it one by one.
    op.add_column("jobs", sa.Column("score_name", sa.Text()))


def downgrade() -> None:
    op.drop_column("jobs", "score_name")
    op.drop_table("preprocessing")
