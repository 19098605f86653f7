"""The specification of a stored job, with the data set that it names."""

from __future__ import annotations

from sqlalchemy.orm import Session

from engine.spec import JobSpec
from engine.spec.datasets.stored import finding
from service.store import datasets
from service.store.tables import Job


def read_spec(text: str, content: bytes | None = None) -> JobSpec:
    """The specification of a stored job, as the version that stored it meant it.

    Args:
        text: the specification as it stands in the job's row.
        content: that of the stored data set which the job names, if it does.
    """
    spec = JobSpec.model_validate_json(text, context=finding(lambda id: content))
    if "keep" in spec.training.model_fields_set:
        return spec
    # Version 0.1 stored no `keep` and always delivered the last parameters; today the best ones
    # are the default with early stopping.
    training = spec.training.model_copy(update={"keep": "last"})
    return spec.model_copy(update={"training": training})


def of_job(session: Session, job: Job) -> JobSpec:
    """The specification of a job. It may take a second to read, with the transaction open."""
    return read_spec(job.spec, datasets.content_of_job(session, job.dataset))
