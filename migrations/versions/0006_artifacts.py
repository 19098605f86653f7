"""Artifacts: answers that took time to compute

A new table, of which a process of the previous version knows nothing.

Revision: 0006, after 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
UNFINISHED = {
    f"{dialect}_where": sa.text("finished_at IS NULL") for dialect in ("postgresql", "sqlite")
}


def upgrade() -> None:
    op.create_table(
        "artifacts",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), server_default="local", nullable=False),
        sa.Column("job", KEY, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.Double()),
        sa.Column("published_at", sa.Double()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.Column("size", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("media_type", sa.Text()),
        sa.Column("data", sa.LargeBinary()),
        sa.Column("problem", sa.Text()),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_artifacts")),
        sa.ForeignKeyConstraint(["job"], ["jobs.pk"], name=op.f("fk_artifacts_job")),
        sa.UniqueConstraint("id", name=op.f("uq_artifacts_id")),
        sa.UniqueConstraint(
            "job", "kind", "arguments", name=op.f("uq_artifacts_job_kind_arguments")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_artifacts_state")
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_artifacts_lease")
        ),
        sa.CheckConstraint(
            "(state = 'succeeded') = (data IS NOT NULL)", name=op.f("ck_artifacts_data")
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (problem IS NOT NULL)", name=op.f("ck_artifacts_problem")
        ),
    )
    op.create_index("ix_artifacts_unfinished", "artifacts", ["owner", "pk"], **UNFINISHED)
    op.create_index("ix_artifacts_owner_started_at", "artifacts", ["owner", "started_at"])
    op.create_index("ix_artifacts_finished_at", "artifacts", ["finished_at", "size"])


def downgrade() -> None:
    op.drop_table("artifacts")
