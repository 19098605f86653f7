"""The room that the jobs of each owner take

Jobs that are there are charged with their specification and checkpoints. Their history is left out:
to count its rows would keep a large database from other writers. A job that a process of the
previous version adds while both run is charged with nothing.

Revision: 0005, after 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "charges",
        sa.Column("job", KEY, sa.ForeignKey("jobs.pk", name="fk_charges_job_jobs"), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_charges"),
    )
    op.create_table(
        "owners",
        sa.Column("owner", sa.Text(), nullable=False),
        zero("stored_bytes"),
        zero("leases_lost"),
        sa.PrimaryKeyConstraint("owner", name="pk_owners"),
    )
    op.execute(
        "INSERT INTO charges (job, stored_bytes) SELECT pk, length(spec) + "
        "(SELECT coalesce(sum(length(data)), 0) FROM checkpoints WHERE job = jobs.pk) FROM jobs"
    )
    op.execute(
        "INSERT INTO owners (owner, stored_bytes) "
        "SELECT owner, sum(stored_bytes) FROM jobs JOIN charges ON job = pk GROUP BY owner"
    )


def downgrade() -> None:
    op.drop_table("owners")
    op.drop_table("charges")
