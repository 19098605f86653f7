"""The judge of all jobs after the faults.

Every accepted job has ended. Its history holds exactly the logged steps, once each. A job that
succeeded has the same bits as an undisturbed run. The events agree with the changes that the
database saw, in order, and name the claim that ended the job. The audit triggers recorded no
fault.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from engine.spec import JobSpec
from engine.train import Diverged, HistoryRow, train
from service.store import events, history, parameters
from service.store.states import TERMINAL
from service.store.tables import Event, Job
from tests.faults import audit

EVERYTHING = 10_000_000
ORDERLY = ("succeeded", "cancelled")


class Undisturbed:
    """The results of a specification that is trained without faults.

    Attributes:
        history: every logged step.
        sha256: the checksum of the final parameters; None if training diverges.
        diverges_at: the step at which training diverges; None if it does not.
    """

    def __init__(self, spec: JobSpec) -> None:
        self.history: list[HistoryRow] = []
        self.sha256: str | None = None
        self.diverges_at: int | None = None
        try:
            for progress in train(spec):
                self.history += progress.rows
                if progress.finished:
                    final = progress.snapshot().parameters
                    self.sha256 = parameters.pack(spec.sizes(), final).sha256
        except Diverged as error:
            self.diverges_at = error.step


def undisturbed(spec: JobSpec) -> Undisturbed:
    """Trains here, with the engine alone, once for all jobs that differ only in their name."""
    return _undisturbed(spec.model_copy(update={"name": None}).model_dump_json())


@cache
def _undisturbed(spec: str) -> Undisturbed:
    return Undisturbed(JobSpec.model_validate_json(spec))


class Complaint(NamedTuple):
    """A promise that was broken. `kind` is `lost`, `doubled`, `unequal` or `unordered`."""

    kind: str
    job: str
    text: str


def judge(
    session: Session, ids: Iterable[str], endings: Sequence[str] = ORDERLY
) -> list[Complaint]:
    """Checks the jobs, which should have ended in one of `endings`, and the whole audit."""
    complaints: list[Complaint] = []
    for id in ids:
        job = session.scalars(select(Job).where(Job.id == id)).one_or_none()
        if job is None:
            complaints.append(Complaint("lost", id, "was accepted but does not exist"))
            continue
        if job.state not in TERMINAL or job.state not in endings:
            why = f"is {job.state} at step {job.step}: {job.error_detail}"
            complaints.append(Complaint("lost", id, why))
        complaints += _of_history(session, job)
        complaints += _of_events(session, job)
    for fault in audit.faults(session):
        kind = "doubled" if fault.what.startswith("step") else "unordered"
        name = session.scalar(select(Job.id).where(Job.pk == fault.job)) or str(fault.job)
        complaints.append(Complaint(kind, name, f"{fault.what} ({fault.detail})"))
    return complaints


def assert_kept(session: Session, ids: Iterable[str], endings: Sequence[str] = ORDERLY) -> None:
    """Asserts that every promise was kept."""
    complaints = judge(session, ids, endings)
    assert not complaints, "\n".join(map(str, complaints))


def _of_history(session: Session, job: Job) -> Iterator[Complaint]:
    spec = JobSpec.model_validate_json(job.spec)
    found = history.read(session, job.pk, after_step=-1, limit=EVERYTHING)
    rows = [tuple(row)[:-1] for row in found]  # without elapsed_seconds, which no two runs share
    steps = [row[0] for row in rows]
    doubled = [step for step, times in Counter(steps).items() if times > 1]
    if doubled:
        yield Complaint("doubled", job.id, f"has steps {doubled[:5]} more than once")
    expected = undisturbed(spec)
    logged = [tuple(row) for row in expected.history if row.step < job.step]
    if steps != [row[0] for row in logged]:
        why = f"has {len(steps)} rows at step {job.step}, and should have {len(logged)}"
        yield Complaint("lost", job.id, why)
    elif rows != logged:
        yield Complaint("unequal", job.id, "has a different history from an undisturbed run")
    if job.state == "succeeded":
        result = parameters.get(session, job)
        flat = [
            np.hstack([layer.weights, layer.biases[:, None]]).ravel()
            for layer in parameters.unpack(result.data)
        ]
        if result.sha256 != hashlib.sha256(np.concatenate(flat).tobytes()).hexdigest():
            yield Complaint("unequal", job.id, "has parameters that do not match their checksum")
        if result.sha256 != expected.sha256:
            yield Complaint("unequal", job.id, "has different parameters from an undisturbed run")


def _of_events(session: Session, job: Job) -> Iterator[Complaint]:
    told = events.of_job(session, job.pk, limit=EVERYTHING)
    changes = [event for event in told if event.from_state != event.to_state]
    seen = [entry.state for entry in audit.states(session, job.pk)]
    if [event.to_state for event in changes] != seen:
        kinds = [event.kind for event in changes]
        yield Complaint("unordered", job.id, f"was {seen}, but its events are {kinds}")
    before = [None, *(event.to_state for event in changes[:-1])]
    if [event.from_state for event in changes] != before:
        yield Complaint("unordered", job.id, "has events that do not follow from one another")
    yield from _of_actors(job, told)


def _of_actors(job: Job, told: Sequence[Event]) -> Iterator[Complaint]:
    """Only the newest claim and recovery may end or release a running job."""
    claims = 0
    owner = None
    for event in told:
        if event.kind == "claimed":
            claims += 1
            owner = event.actor
        elif event.from_state == "running" and event.to_state != "running":
            if event.actor not in (owner, "recovery"):
                why = f"belonged to {owner} when {event.actor} made it {event.to_state}"
                yield Complaint("unordered", job.id, why)
            owner = None
    if claims != job.fence:
        yield Complaint("unordered", job.id, f"has fence {job.fence} after {claims} claims")
