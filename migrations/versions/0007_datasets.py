"""Data sets, which jobs name by their id

New tables, and a column that a process of the previous version leaves empty.

Revision: 0007, after 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def where(condition: str) -> dict[str, sa.TextClause]:
    return {f"{dialect}_where": sa.text(condition) for dialect in ("postgresql", "sqlite")}


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("cells", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
    )
    op.create_table(
        "datasets",
        sa.Column("pk", KEY, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), server_default="local", nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("deleted_at", sa.Double()),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_datasets")),
        sa.UniqueConstraint("id", name=op.f("uq_datasets_id")),
        sa.ForeignKeyConstraint(["blob"], ["blobs.sha256"], name=op.f("fk_datasets_blob")),
    )
    op.create_index("ix_datasets_owner_created_at", "datasets", ["owner", "created_at", "pk"])
    op.create_index("ix_datasets_blob", "datasets", ["blob"])
    op.add_column(
        "jobs",
        sa.Column("dataset", KEY, sa.ForeignKey("datasets.pk", name=op.f("fk_jobs_dataset"))),
        inline_references=True,
    )
    op.create_index("ix_jobs_dataset", "jobs", ["dataset"], **where("dataset IS NOT NULL"))


def downgrade() -> None:
    op.drop_index("ix_jobs_dataset", "jobs")
    op.drop_column("jobs", "dataset")
    op.drop_table("datasets")
    op.drop_table("blobs")
