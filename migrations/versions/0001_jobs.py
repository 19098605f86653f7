"""Jobs, their history, checkpoints, results and events; idempotency keys

Revision: 0001, the first
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

STATES = "('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')"


def key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("pk", key(), primary_key=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text()),
        sa.Column("name", sa.Text()),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="queued", nullable=False),
        sa.Column("desired_state", sa.Text()),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fruitless_claims", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("lease_until", sa.Double()),
        sa.Column("worker", sa.Text()),
        sa.Column("rung_at", sa.Double()),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("loss", sa.Double()),
        sa.Column("accuracy", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("validation_accuracy", sa.Double()),
        sa.Column("trained_seconds", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_detail", sa.Text()),
        sa.Column("error_step", sa.Integer()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double()),
        sa.Column("finished_at", sa.Double()),
        sa.PrimaryKeyConstraint("pk", name="pk_jobs"),
        sa.UniqueConstraint("id", name="uq_jobs_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["jobs.id"], name="fk_jobs_parent_id"),
        sa.CheckConstraint(f"state IN {STATES}", name=op.f("ck_jobs_state")),
        sa.CheckConstraint(
            "desired_state IS NULL OR "
            "(state = 'running' AND desired_state IN ('paused', 'cancelled'))",
            name=op.f("ck_jobs_desired_state"),
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (error_code IS NOT NULL) AND (error_code IS NULL OR "
            "error_code IN ('diverged', 'deadline_exceeded', 'worker_lost', 'invalid_data', "
            "'internal'))",
            name=op.f("ck_jobs_error_code"),
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)", name=op.f("ck_jobs_lease")
        ),
        sa.CheckConstraint("step BETWEEN 0 AND steps", name=op.f("ck_jobs_step")),
        postgresql_with={"fillfactor": 80},
    )
    for name, columns, where in (
        ("ix_jobs_queued", ["pk", "rung_at"], "state = 'queued'"),
        ("ix_jobs_running", ["pk"], "state = 'running'"),
    ):
        op.create_index(
            name, "jobs", columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where)
        )
    op.create_index("ix_jobs_state", "jobs", ["state", "pk"])
    op.create_index("ix_jobs_name", "jobs", ["name", "pk"])

    op.create_table(
        "history",
        sa.Column("job", key(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("loss", sa.Double()),
        sa.Column("accuracy", sa.Double()),
        sa.Column("validation_loss", sa.Double()),
        sa.Column("validation_accuracy", sa.Double()),
        sa.Column("learning_rate", sa.Double()),
        sa.Column("gradient_norm", sa.Double()),
        sa.PrimaryKeyConstraint("job", "step", name="pk_history"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "checkpoints",
        sa.Column("job", key(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("retained", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job", "step", name="pk_checkpoints"),
        sa.ForeignKeyConstraint(["job"], ["jobs.pk"], name="fk_checkpoints_job"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Trained weights do not compress; trying costs time at every progress commit.
        op.execute("ALTER TABLE checkpoints ALTER COLUMN data SET STORAGE EXTERNAL")

    op.create_table(
        "results",
        sa.Column("job", key(), autoincrement=False, nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_results"),
        sa.ForeignKeyConstraint(["job"], ["jobs.pk"], name="fk_results_job"),
    )

    op.create_table(
        "events",
        sa.Column("pk", key(), primary_key=True),
        sa.Column("job", key(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("from_state", sa.Text()),
        sa.Column("to_state", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("pk", name="pk_events"),
        sa.ForeignKeyConstraint(["job"], ["jobs.pk"], name="fk_events_job"),
        sa.CheckConstraint(f"to_state IN {STATES}", name=op.f("ck_events_to_state")),
    )
    op.create_index("ix_events_job", "events", ["job", "pk"])
    op.create_index(
        "ix_events_lease_lost",
        "events",
        ["pk"],
        postgresql_where=sa.text("kind = 'lease_lost'"),
        sqlite_where=sa.text("kind = 'lease_lost'"),
    )

    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_sha256", sa.Text(), nullable=False),
        sa.Column("job", key(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_idempotency_keys"),
        sa.ForeignKeyConstraint(["job"], ["jobs.pk"], name="fk_idempotency_keys_job"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    for table in ("idempotency_keys", "events", "results", "checkpoints", "history", "jobs"):
        op.drop_table(table)
