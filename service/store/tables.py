"""The tables.

Times are seconds since the epoch (UTC) as float64, always taken from the database's clock, so
that leases compare times of one clock only. Jobs have an integer key that other tables refer
to and that gives them their order, and a public id that is all a client ever sees.
"""

from __future__ import annotations

from typing import Any, ClassVar, NewType

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.store.states import (
    ARTIFACT_STATES,
    DESIRED_STATES,
    ERROR_CODES,
    STATES,
    ArtifactState,
    DesiredState,
    ErrorCode,
    JobState,
)

LOCAL = "local"
"""The owner of every job where nobody has to log in."""

OwnedKey = NewType("OwnedKey", int)
"""The key of a job that was found among the rows of the session's owner."""

# SQLite numbers a table's rows by itself only where the key is exactly INTEGER.
Key = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {float: Double(), str: Text(), bytes: LargeBinary()}  # noqa: RUF012
    __table__: ClassVar[Table]


def _where(condition: str) -> dict[str, Any]:
    return {f"{dialect}_where": text(condition) for dialect in ("postgresql", "sqlite")}


def _one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Job(Base):
    """One training job: its specification, its progress, and the worker that trains it.

    `fence` grows with each claim; whoever writes with an older one changes nothing. `step` is
    the number of finished updates in the newest progress commit. `attempt` counts the claims
    that did not end in a release, by a drain or on request. `trained_seconds` adds up over attempts
    and leaves out pauses. `best_…` belongs to the best logged step so far, `final_…` to the
    parameters that are delivered. `environment` lists, as JSON, the software and the kind of
    processor that computed the steps, each with the step from which it did. `score_name` says what
    `accuracy` is; older jobs have none. `request_id` is that of the request which made the job.
    `dataset` is the stored data set that `spec` names.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(_one_of("state", STATES), name="state"),
        CheckConstraint(
            "desired_state IS NULL "
            f"OR (state = 'running' AND {_one_of('desired_state', DESIRED_STATES)})",
            name="desired_state",
        ),
        CheckConstraint(
            f"(state = 'failed') = (error_code IS NOT NULL) "
            f"AND (error_code IS NULL OR {_one_of('error_code', ERROR_CODES)})",
            name="error_code",
        ),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint("step BETWEEN 0 AND steps", name="step"),
        # Recovery looks through these two; both stay small however many jobs have ended.
        # No index holds a column that a progress commit changes, so that Postgres can update
        # the row in place (heap-only tuples).
        Index("ix_jobs_queued", "pk", "published_at", **_where("state = 'queued'")),
        Index("ix_jobs_running", "pk", **_where("state = 'running'")),
        # The jobs that a worker takes next are the oldest of each owner.
        Index("ix_jobs_queued_owner", "owner", "pk", **_where("state = 'queued'")),
        Index("ix_jobs_owner_created_at", "owner", "created_at", "pk"),
        Index("ix_jobs_owner_state", "owner", "state", "created_at", "pk"),
        Index("ix_jobs_owner_name", "owner", "name", "created_at", "pk"),
        Index("ix_jobs_parent_id", "parent_id", **_where("parent_id IS NOT NULL")),
        Index("ix_jobs_dataset", "dataset", **_where("dataset IS NOT NULL")),
        {"postgresql_with": {"fillfactor": 80}},  # room for those updates on the same page
    )

    pk: Mapped[OwnedKey] = mapped_column(Key, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(server_default=LOCAL)
    request_id: Mapped[str | None]
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    dataset: Mapped[int | None] = mapped_column(ForeignKey("datasets.pk"))
    name: Mapped[str | None]
    spec: Mapped[str]
    score_name: Mapped[str | None]
    state: Mapped[JobState] = mapped_column(Text(), server_default="queued")
    desired_state: Mapped[DesiredState | None] = mapped_column(Text())
    fence: Mapped[int] = mapped_column(server_default=text("0"))
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    fruitless_claims: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[float | None]
    worker: Mapped[str | None]
    # The column keeps its name of version 0.1, whose processes may still run beside this one.
    published_at: Mapped[float | None] = mapped_column("rung_at", key="published_at")
    steps: Mapped[int]
    step: Mapped[int] = mapped_column(server_default=text("0"))
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    validation_loss: Mapped[float | None]
    validation_accuracy: Mapped[float | None]
    best_step: Mapped[int | None]
    best_loss: Mapped[float | None]
    best_accuracy: Mapped[float | None]
    best_validation_loss: Mapped[float | None]
    best_validation_accuracy: Mapped[float | None]
    final_step: Mapped[int | None]
    final_loss: Mapped[float | None]
    final_accuracy: Mapped[float | None]
    final_validation_loss: Mapped[float | None]
    final_validation_accuracy: Mapped[float | None]
    environment: Mapped[str | None]
    trained_seconds: Mapped[float] = mapped_column(server_default=text("0"))
    error_code: Mapped[ErrorCode | None] = mapped_column(Text())
    error_detail: Mapped[str | None]
    error_step: Mapped[int | None]
    created_at: Mapped[float]
    updated_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]


class Blob(Base):
    """The specification of a data set by the SHA-256 of its JSON, stored once however many have it.

    `cells` are the rows that were read from it: float64, row by row, the target last; null where
    a generator makes them.
    """

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes]
    cells: Mapped[bytes | None]


class Dataset(Base):
    """A data set of somebody.

    `blob` holds its specification as JSON, and `report` what was read, as JSON. `size` are the
    bytes that count for the owner. One that is deleted while jobs were trained with it only gets
    a `deleted_at`, and goes with the last of these jobs.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        Index("ix_datasets_owner_created_at", "owner", "created_at", "pk"),
        Index("ix_datasets_blob", "blob"),
    )

    pk: Mapped[int] = mapped_column(Key, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(server_default=LOCAL)
    name: Mapped[str | None]
    kind: Mapped[str]
    rows: Mapped[int]
    blob: Mapped[str] = mapped_column(ForeignKey("blobs.sha256"))
    size: Mapped[int] = mapped_column(BigInteger())
    report: Mapped[str]
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]


class History(Base):
    """The loss history, one row per logged step, for people to query with SQL.

    The primary key is the fifth of the five locks in docs/architecture.md: no step is stored
    twice. There is no foreign key to jobs: rows are only written by the transaction that has
    just updated their job under its fence, and a million rows would pay for the check.
    """

    __tablename__ = "history"
    # Clustered by the key on SQLite: a third smaller, and stored in the order of reading.
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    job: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    loss: Mapped[float | None]
    accuracy: Mapped[float | None]
    validation_loss: Mapped[float | None]
    validation_accuracy: Mapped[float | None]
    learning_rate: Mapped[float | None]
    gradient_norm: Mapped[float | None]
    elapsed_seconds: Mapped[float | None]


class Checkpoint(Base):
    """Everything needed to resume from a step with the same bits, and the SHA-256 of its bytes."""

    __tablename__ = "checkpoints"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.pk"), primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str]
    retained: Mapped[bool]
    created_at: Mapped[float]
    data: Mapped[bytes]


class Result(Base):
    """The final parameters of a job that succeeded, as safetensors bytes."""

    __tablename__ = "results"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.pk"), primary_key=True, autoincrement=False)
    step: Mapped[int]
    sha256: Mapped[str]
    data: Mapped[bytes]


class ModelPreprocessing(Base):
    """What a model remembers of its data, as `engine.data.preprocessing` writes it.

    A table of its own, because it may be megabytes and a job's row is written twice a second.
    """

    __tablename__ = "preprocessing"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.pk"), primary_key=True, autoincrement=False)
    document: Mapped[str]


class Artifact(Base):
    """An answer that took time to compute: made once, kept until its room is needed.

    `arguments` are JSON with sorted keys, so that equal questions are one row. `data` are the
    bytes of the answer and `media_type` their kind; where the computation has failed, `problem`
    says why, as JSON. `attempt` grows with each claim and is the claim's fence. `size` are the
    bytes that count for the owner.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("job", "kind", "arguments"),
        CheckConstraint(_one_of("state", ARTIFACT_STATES), name="state"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
        CheckConstraint("(state = 'succeeded') = (data IS NOT NULL)", name="data"),
        CheckConstraint("(state = 'failed') = (problem IS NOT NULL)", name="problem"),
        # Those that are to be computed; few, however many are kept.
        Index("ix_artifacts_unfinished", "owner", "pk", **_where("finished_at IS NULL")),
        Index("ix_artifacts_owner_started_at", "owner", "started_at"),
        Index("ix_artifacts_finished_at", "finished_at", "size"),
    )

    pk: Mapped[int] = mapped_column(Key, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    owner: Mapped[str] = mapped_column(server_default=LOCAL)
    job: Mapped[OwnedKey] = mapped_column(ForeignKey("jobs.pk"))
    kind: Mapped[str]
    arguments: Mapped[str]
    request_id: Mapped[str | None]
    state: Mapped[ArtifactState] = mapped_column(Text(), server_default="queued")
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[float | None]
    published_at: Mapped[float | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    size: Mapped[int] = mapped_column(BigInteger(), server_default=text("0"))
    media_type: Mapped[str | None]
    data: Mapped[bytes | None]
    problem: Mapped[str | None]


class Event(Base):
    """What happened to a job, when, and who did it: the audit trail.

    `kind` says what was done. `from_state` and `to_state` are equal where a pause or a cancel
    was requested, which changes `desired_state` only. `actor` is `api`, `recovery` or the name
    of a worker.
    """

    __tablename__ = "events"
    __table_args__ = (
        CheckConstraint(_one_of("to_state", STATES), name="to_state"),
        Index("ix_events_job", "job", "pk"),
        # Counted for the metrics, and rare.
        Index("ix_events_lease_lost", "pk", **_where("kind = 'lease_lost'")),
    )

    pk: Mapped[int] = mapped_column(Key, primary_key=True)
    job: Mapped[int] = mapped_column(ForeignKey("jobs.pk"))
    at: Mapped[float]
    kind: Mapped[str]
    from_state: Mapped[JobState | None] = mapped_column(Text())
    to_state: Mapped[JobState] = mapped_column(Text())
    actor: Mapped[str]
    detail: Mapped[str | None]


class IdempotencyKey(Base):
    """The job that a client's Idempotency-Key made, so that a repeated POST makes no second one."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("ix_idempotency_keys_created_at", "created_at"),
        Index("ix_idempotency_keys_job", "job"),
    )

    owner: Mapped[str] = mapped_column(server_default=LOCAL, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    job: Mapped[int] = mapped_column(ForeignKey("jobs.pk"))
    created_at: Mapped[float]


class Charge(Base):
    """The room with which the owner of a job is charged. Not in the job's own row, which does not
    change any more once the job has ended.
    """

    __tablename__ = "charges"

    job: Mapped[int] = mapped_column(ForeignKey("jobs.pk"), primary_key=True, autoincrement=False)
    stored_bytes: Mapped[int] = mapped_column(BigInteger())


class OwnerTotals(Base):
    """Sums of an owner: `stored_bytes` of its jobs' charges, and `leases_lost` of the jobs that
    have been deleted, so that the metric of that name never falls.
    """

    __tablename__ = "owners"

    owner: Mapped[str] = mapped_column(primary_key=True)
    stored_bytes: Mapped[int] = mapped_column(BigInteger(), server_default=text("0"))
    leases_lost: Mapped[int] = mapped_column(BigInteger(), server_default=text("0"))


class ApiKey(Base):
    """A key by which a client proves whose requests it sends.

    Only the SHA-256 of a key is stored. `prefix` is the part by which it is found and named;
    `scopes` are words separated by blanks.
    """

    __tablename__ = "api_keys"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]
    owner: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[str]
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    last_used_at: Mapped[float | None]
