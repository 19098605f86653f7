"""What one owner may take: room in the database, and places in the queue.

A job is charged when it is submitted with the room that it may take until it has succeeded, so that
jobs that wait cannot outgrow the limit later. One that fails or is cancelled keeps less, and is
charged anew with what it takes then. A data set is charged with its bytes until it is gone. The
totals stand in `owners`: adding up the jobs of an owner who has a hundred thousand takes 10 ms,
during which SQLite lets nobody else write.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from engine.spec import JobSpec
from service.common.errors import QueueFull, StorageUsedUp
from service.common.settings import Settings
from service.store import checkpoints
from service.store.owners import OwnedKey, owner_of

# Measured on Postgres, the larger of the two.
HISTORY_ROW_BYTES = 100
# What a row holds beside its bytes: its key, hash and times, and the names of the arrays.
ROW_BYTES = 500


def room_of(spec: JobSpec, text: str, bytes_per_job: int) -> int:
    """About how many bytes a job takes at most once it has succeeded.

    Args:
        text: the specification as it is stored.
        bytes_per_job: the setting `checkpoint_bytes_per_job`.
    """
    training, each = spec.training, spec.state_bytes()
    every = checkpoints.retained_every(
        training.steps, training.checkpoint_every, bytes_each=each, bytes_per_job=bytes_per_job
    )
    kept = checkpoints.BESIDE + (training.steps // every if every else 0)
    rows = training.steps // training.log_every + 2
    return (
        len(text)
        + rows * HISTORY_ROW_BYTES
        + kept * (each + ROW_BYTES)
        + (8 * spec.parameters() + ROW_BYTES)
    )


def charge(session: Session, settings: Settings, job_key: OwnedKey, room: int) -> None:
    """Charges the session's owner with the room of a job that is made in this transaction.

    The row of the owner stays locked until the transaction ends, so that parallel requests do not
    exceed a limit together.

    Raises:
        StorageUsedUp: its jobs would take more room than the settings allow.
    """
    _take(session, settings, room, "job")
    session.execute(_SET, {"of_job": job_key, "room": room})


def charge_dataset(session: Session, settings: Settings, size: int) -> None:
    """Charges the session's owner with a data set that is stored in this transaction.

    To be called before it is stored: the owner's row is locked before the row of the bytes.

    Raises:
        StorageUsedUp: as `charge`.
    """
    _take(session, settings, size, "data set")


def give_back_dataset(session: Session, owner: str, size: int) -> None:
    """Takes a data set that is gone from what its owner is charged with."""
    _add(session, owner, -size)


def check_queue(session: Session, settings: Settings) -> None:
    """Counts the queued jobs of the session's owner, with the one of this transaction.

    Raises:
        QueueFull: they are more than the settings allow.
    """
    owner, most = owner_of(session), settings.max_queued_jobs_per_owner
    _add(session, owner, 0)  # locked, as in `charge`
    if session.execute(_QUEUED, {"of": owner, "at_most": most + 1}).scalar_one() > most:
        raise QueueFull(most)


def settle(session: Session, *job_keys: int) -> None:
    """Drops all checkpoints but the newest of jobs that failed or were cancelled, and charges their
    owners with what is left.
    """
    checkpoints.keep_newest(session, *job_keys)
    # In one order, so that two transactions do not wait for each other.
    for owner, job_key in sorted(
        (session.execute(_OWNER, {"of_job": key}).scalar_one(), key) for key in job_keys
    ):
        old = session.execute(_ROOM, {"of_job": job_key}).scalar() or 0
        new = session.execute(_MEASURE, {"of_job": job_key, "row": ROW_BYTES}).scalar_one()
        _add(session, owner, new - old)
        session.execute(_SET, {"of_job": job_key, "room": new})


def give_back(session: Session, job_key: int) -> None:
    """Takes a job that is about to be deleted from what its owner is charged with.

    The leases that it has lost are still counted after that.
    """
    owner = session.execute(_OWNER, {"of_job": job_key}).scalar_one()
    _add(session, owner, -(session.execute(_ROOM, {"of_job": job_key}).scalar() or 0))
    session.execute(_KEEP_LOST, {"of": owner, "of_job": job_key})


def _take(session: Session, settings: Settings, room: int, what: str) -> None:
    total = _add(session, owner_of(session), room)
    if total > settings.max_stored_bytes_per_owner:
        raise StorageUsedUp(what, total - room, room, settings.max_stored_bytes_per_owner)


def _add(session: Session, owner: str, room: int) -> int:
    """Changes the total of an owner, and returns it."""
    total: int = session.execute(_ADD, {"of": owner, "room": room}).scalar_one()
    return total


_ADD = text(
    "INSERT INTO owners (owner, stored_bytes) VALUES (:of, :room) ON CONFLICT (owner) "
    "DO UPDATE SET stored_bytes = owners.stored_bytes + excluded.stored_bytes "
    "RETURNING stored_bytes"
)
# At most 2 ms for the 20,000 that the default allows: only an index is read.
_QUEUED = text(
    "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'queued' AND owner = :of "
    "LIMIT :at_most) AS waiting"
)
_OWNER = text("SELECT owner FROM jobs WHERE pk = :of_job")
_ROOM = text("SELECT stored_bytes FROM charges WHERE job = :of_job")
_MEASURE = text(
    f"SELECT length(spec) + {HISTORY_ROW_BYTES} * "
    "(SELECT count(*) FROM history WHERE job = jobs.pk) "
    "+ (SELECT coalesce(sum(length(data) + :row), 0) FROM checkpoints WHERE job = jobs.pk) "
    "FROM jobs WHERE pk = :of_job"
)
_SET = text(
    "INSERT INTO charges (job, stored_bytes) VALUES (:of_job, :room) ON CONFLICT (job) "
    "DO UPDATE SET stored_bytes = excluded.stored_bytes"
)
_KEEP_LOST = text(
    "UPDATE owners SET leases_lost = leases_lost + "
    "(SELECT count(*) FROM events WHERE job = :of_job AND kind = 'lease_lost') WHERE owner = :of"
)
