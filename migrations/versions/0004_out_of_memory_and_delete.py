"""The error code out_of_memory, and indexes by which a job is deleted

Nothing that the previous version writes is refused, so that its processes can continue while the
new ones start.

Revision: 0004, after 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

CONSTRAINT = "ck_jobs_error_code"
CODES = "'invalid_data', 'internal'"
MORE_CODES = "'invalid_data', 'out_of_memory', 'internal'"
CONDITION = (
    "(state = 'failed') = (error_code IS NOT NULL) AND (error_code IS NULL OR "
    "error_code IN ('diverged', 'deadline_exceeded', 'worker_lost', {}))"
)


def upgrade() -> None:
    replace_codes(CODES, MORE_CODES)
    # Of a job that is deleted: its children, and the keys by which it was made.
    has_parent = sa.text("parent_id IS NOT NULL")
    op.create_index(
        "ix_jobs_parent_id",
        "jobs",
        ["parent_id"],
        postgresql_where=has_parent,
        sqlite_where=has_parent,
    )
    op.create_index("ix_idempotency_keys_job", "idempotency_keys", ["job"])


def downgrade() -> None:
    op.execute("UPDATE jobs SET error_code = 'internal' WHERE error_code = 'out_of_memory'")
    op.drop_index("ix_idempotency_keys_job", "idempotency_keys")
    op.drop_index("ix_jobs_parent_id", "jobs")
    replace_codes(MORE_CODES, CODES)


def replace_codes(old: str, new: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f(CONSTRAINT), "jobs", type_="check")
        op.create_check_constraint(op.f(CONSTRAINT), "jobs", CONDITION.format(new))
        return
    # SQLite cannot change a constraint. A copy of the table would take as much of the disk again
    # and lose the foreign keys to it meanwhile, so its text is changed, in the way that
    # https://www.sqlite.org/lang_altertable.html#otheralter describes.
    version = op.get_bind().exec_driver_sql("PRAGMA schema_version").scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    op.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :old, :new) "
            "WHERE type = 'table' AND name = 'jobs'"
        ).bindparams(old=old, new=new)
    )
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")
