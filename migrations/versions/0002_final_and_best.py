"""Figures of the delivered and of the best parameters, the environment, and elapsed seconds

Only nullable columns are added, so that processes of the previous version can continue while the
new ones start.

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

FIGURES = ("loss", "accuracy", "validation_loss", "validation_accuracy")


def upgrade() -> None:
    for which in ("final", "best"):
        op.add_column("jobs", sa.Column(f"{which}_step", sa.Integer()))
        for name in FIGURES:
            op.add_column("jobs", sa.Column(f"{which}_{name}", sa.Double()))
    op.add_column("jobs", sa.Column("environment", sa.Text()))
    op.add_column("history", sa.Column("elapsed_seconds", sa.Double()))


def downgrade() -> None:
    op.drop_column("history", "elapsed_seconds")
    for which in ("final", "best"):
        for name in ("step", *FIGURES):
            op.drop_column("jobs", f"{which}_{name}")
    op.drop_column("jobs", "environment")
