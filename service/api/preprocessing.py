"""What a model remembers of its data: read where it was stored, else made again.

Jobs of older versions did not store it. That of a small job is made here, so that their parameters
are answered at once, as they were; a worker makes that of any other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from flask import Response

from engine.data.loading import InvalidData
from engine.data.preprocessing import Preprocessing
from engine.inference import preprocessing_of
from engine.spec import JobSpec
from engine.spec.datasets.bundled import Bundled
from engine.spec.datasets.scikit import ScikitGenerated
from service.api import context
from service.api.artifacts import artifact_answer
from service.store import jobs, preprocessing
from service.store.tables import Job

# Characters of a specification and cells of a table that are read in milliseconds.
SMALL_SPEC = 20_000
SMALL_TABLE = 10_000
# The API does not load scikit-learn, which takes seconds.
FROM_SCIKIT = (Bundled, ScikitGenerated)


def preprocessing_answer(
    job_id: str, prefer: str | None, present: Callable[[Preprocessing], Response]
) -> Response:
    """The response that `present` makes from the preprocessing of a job.

    Raises:
        JobNotFound: the session's owner has no such job.
        TooBusy, DiskFull: as `service.api.artifacts.artifact_answer`.
    """
    with context.read() as session:
        job = jobs.get(session, job_id)
        known = preprocessing.find(session, job.pk) or made_here(job)
    if known is not None:
        return present(known)
    return artifact_answer(
        job_id,
        "preprocessing",
        {},
        prefer,
        present=lambda data, _: present(Preprocessing.from_json(data.decode())),
    )


def made_here(job: Job) -> Preprocessing | None:
    """Made again from the specification, where that takes a few milliseconds; else None."""
    if len(job.spec) > SMALL_SPEC:
        return None
    spec = JobSpec.model_validate_json(job.spec)
    rows, columns = spec.dataset.shape()
    if isinstance(spec.dataset, FROM_SCIKIT) or rows * columns > SMALL_TABLE:
        return None
    with suppress(InvalidData):  # the worker says what is wrong with them
        return preprocessing_of(spec)
    return None
