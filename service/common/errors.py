"""Errors of the domain, raised where they are found.

`service.api.problems` turns them into HTTP answers, in one place; the command line prints them
as one sentence. Each message is meant for a person.
"""

from __future__ import annotations


class GradserveError(Exception):
    """An error whose text is meant for the person who asked."""


class ConfigError(GradserveError):
    """A setting is unknown or its value is not usable."""


class DatabaseUnavailable(GradserveError):
    """The database cannot be reached, is locked for too long, or is full."""


class TooBusy(GradserveError):
    """The service has as much to do as it has memory for."""


class DiskFull(GradserveError):
    """So little of the disk is free that nothing new may be stored."""

    def __init__(self, free: int, wanted: int) -> None:
        super().__init__(
            f"the disk has {free / 1e6:,.0f} MB free, and {wanted / 1e6:,.0f} MB must remain: "
            "delete jobs, or make room in another way"
        )


class StorageUsedUp(GradserveError):
    """What an owner stores takes as much room as it may have."""

    def __init__(self, what: str, used: int, wanted: int, allowed: int) -> None:
        super().__init__(
            f"this {what} takes up to {wanted / 1e6:,.1f} MB of room and your other jobs and data "
            f"sets {used / 1e6:,.1f} MB, but {allowed / 1e6:,.1f} MB are allowed: delete jobs that "
            "have ended with DELETE /v1/jobs/{id}, or data sets with DELETE /v1/datasets/{id}"
        )


class QueueFull(GradserveError):
    """As many jobs of an owner wait as it may have waiting."""

    def __init__(self, allowed: int) -> None:
        super().__init__(
            f"{allowed:,} of your jobs are queued, and no more are allowed: wait until some have "
            "started, or cancel some"
        )


class DatabaseTooNew(GradserveError):
    """The schema was made by a newer version of gradserve."""


class DatabaseTooOld(GradserveError):
    """The schema lacks migrations that this version needs, or was never made."""


class JobNotFound(GradserveError):
    """No job has this id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no job {id!r}")


class DatasetNotFound(GradserveError):
    """No data set has this id."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no data set {id!r}")


class DatasetInUse(GradserveError):
    """A job that has not ended needs the data set."""

    def __init__(self, id: str, job_id: str) -> None:
        super().__init__(
            f"job {job_id} is trained with data set {id} and has not ended; wait for it or cancel "
            "it first"
        )


class ParametersNotFound(GradserveError):
    """The job has no such parameters, or none yet."""


class StepNotFound(GradserveError):
    """A step beyond those that the job has taken."""

    def __init__(self, step: int, last: int) -> None:
        allowed = f"from 0 to {last:,} are allowed" if last else "only 0 is allowed"
        super().__init__(f"is {step:,}, but the job has finished {last:,} updates; {allowed}")


class InvalidTransition(GradserveError):
    """The job's state does not allow the request."""

    def __init__(self, id: str, state: str, wanted: str) -> None:
        super().__init__(f"job {id} is {state}, it cannot be {wanted}")


class InvalidCursor(GradserveError):
    """A page cursor that no page has ever returned."""

    def __init__(self) -> None:
        super().__init__("is not a cursor of this service; take next_cursor of a page")


class IdempotencyConflict(GradserveError):
    """The key was used before, with another request body."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the Idempotency-Key {key!r} was used for a different job within the last 24 hours; "
            "send a new key for a new job"
        )


class LeaseLost(GradserveError):
    """The claim no longer owns its job or artifact: its lease ran out, or another has it now."""

    def __init__(self, id: str, fence: int) -> None:
        super().__init__(f"claim {fence} of {id} no longer owns it")


class InvalidRequest(GradserveError):
    """The request can be read but not accepted.

    Attributes:
        errors: JSON pointers into the request, each with a sentence about that place.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in errors[:3]))
        self.errors = errors
