"""Owners of jobs and of idempotency keys, and API keys

Every job that is there belongs to `local`, as does one that a process of the previous version adds
while both run.

Revision: 0003, after 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

INDEXES = {
    "ix_jobs_owner_created_at": ["owner", "created_at", "pk"],
    "ix_jobs_owner_state": ["owner", "state", "created_at", "pk"],
    "ix_jobs_owner_name": ["owner", "name", "created_at", "pk"],
}
QUEUED = {f"{dialect}_where": sa.text("state = 'queued'") for dialect in ("postgresql", "sqlite")}


def owner() -> sa.Column[str]:
    return sa.Column("owner", sa.Text(), server_default="local", nullable=False)


def upgrade() -> None:
    op.add_column("jobs", owner())
    op.add_column("jobs", sa.Column("request_id", sa.Text()))
    for name, columns in INDEXES.items():
        op.create_index(name, "jobs", columns)
    op.create_index("ix_jobs_queued_owner", "jobs", ["owner", "pk"], **QUEUED)
    op.drop_index("ix_jobs_name", "jobs")
    op.drop_index("ix_jobs_state", "jobs")
    with op.batch_alter_table("idempotency_keys") as table:
        table.add_column(owner())
        table.drop_constraint("pk_idempotency_keys", type_="primary")
        table.create_primary_key("pk_idempotency_keys", ["owner", "key"])
    op.create_table(
        "api_keys",
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.Column("last_used_at", sa.Double()),
        sa.PrimaryKeyConstraint("prefix", name="pk_api_keys"),
    )


def downgrade() -> None:
    op.drop_table("api_keys")
    op.execute("DELETE FROM idempotency_keys WHERE owner <> 'local'")
    with op.batch_alter_table("idempotency_keys") as table:
        table.drop_constraint("pk_idempotency_keys", type_="primary")
        table.create_primary_key("pk_idempotency_keys", ["key"])
        table.drop_column("owner")
    op.create_index("ix_jobs_state", "jobs", ["state", "pk"])
    op.create_index("ix_jobs_name", "jobs", ["name", "pk"])
    op.drop_index("ix_jobs_queued_owner", "jobs")
    for name in INDEXES:
        op.drop_index(name, "jobs")
    op.drop_column("jobs", "request_id")
    op.drop_column("jobs", "owner")
