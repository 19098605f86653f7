"""What a model remembers of its data: read where it was stored, else made again by a worker."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response

from engine.data.preprocessing import Preprocessing
from service.api import context
from service.api.artifacts import artifact_answer
from service.store import jobs, preprocessing


def preprocessing_answer(
    job_id: str, prefer: str | None, present: Callable[[Preprocessing], Response]
) -> Response:
    """The response that `present` makes from the preprocessing of a job.

    Raises:
        JobNotFound: the session's owner has no such job.
        TooBusy, DiskFull: as `service.api.artifacts.artifact_answer`.
    """
    with context.read() as session:
        stored = preprocessing.find(session, jobs.key(session, job_id))
    if stored is not None:
        return present(stored)
    return artifact_answer(
        job_id,
        "preprocessing",
        {},
        prefer,
        present=lambda data, _: present(Preprocessing.from_json(data.decode())),
    )
