"""The reads and writes of one claim, each in a transaction that is retried after an outage.

When the lease has run out the job may be another worker's, so the claim gives up; the fence in
every statement keeps even a late write from doing harm. That rows, checkpoint and step share a
transaction is the fourth of the five locks in docs/architecture.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy.orm import Session, sessionmaker

from engine.train import HistoryRow, TrainingState
from service.store import checkpoints, claims, jobs, preprocessing, turns
from service.store.claims import Claim, StepScores
from service.store.parameters import Packed
from service.store.states import DesiredState, ErrorCode, JobState
from worker.retries import persist

T = TypeVar("T")

Kept = Mapping[int, bytes]
"""Checkpoints to be retained for looking back, by step."""
NOTHING_KEPT: Kept = MappingProxyType({})


class JobWriter:
    """The database as one claim uses it.

    `step` is that of the newest progress in the database; the rows before it are written.
    """

    def __init__(
        self,
        claim: Claim,
        sessions: sessionmaker[Session],
        *,
        lease_seconds: float,
        draining: Callable[[], bool],
        max_running: int = 0,
    ) -> None:
        self.claim = claim
        self.step = claim.step
        self._sessions = sessions
        self._lease_seconds = lease_seconds
        self._draining = draining
        self._max_running = max_running
        self._trained_seconds = claim.trained_seconds
        self._lease_until = time.monotonic() + lease_seconds
        self._progress_at = time.monotonic()
        self._preprocessing: str | None = None

    def remember(self, preprocessing: str) -> None:
        """Has what the model remembers of its data written with the next progress."""
        self._preprocessing = preprocessing

    def resume_point(self) -> TrainingState | None:
        """The newest state that is intact; None when the job starts from the beginning."""
        if self.step == 0:
            return None
        return self._persist(lambda session, _: checkpoints.newest_state(session, self.claim.pk))

    def state_before(self, step: int) -> TrainingState | None:
        """The newest intact state at `step` or before it; None where none was written."""
        return self._persist(
            lambda session, _: checkpoints.newest_state(session, self.claim.pk, step)
        )

    def progress(
        self,
        step: int,
        rows: Sequence[HistoryRow],
        data: bytes,
        kept: Kept,
        best: StepScores | None,
    ) -> DesiredState | None:
        """Writes rows, checkpoint and step together; returns the state requested for the job.

        Raises:
            LeaseLost: the job is no longer this claim's.
        """
        now = time.monotonic()

        def work(session: Session, again: bool) -> DesiredState | None:
            if again:
                job = jobs.get(session, self.claim.id)
                if (job.fence, job.state, job.step) == (self.claim.fence, "running", step):
                    return job.desired_state  # only the answer to the COMMIT was lost
            return self._record(session, step, rows, kept, now, data, best)

        desired = self._persist(work)
        self.step = step
        self._preprocessing = None
        self._trained_seconds += now - self._progress_at
        self._progress_at = now
        self._lease_until = now + self._lease_seconds
        return desired

    def renew(self) -> DesiredState | None:
        """Renews the lease where there is no progress to write.

        Raises:
            LeaseLost: the job is no longer this claim's.
        """
        now = time.monotonic()
        desired = self._persist(
            lambda session, _: claims.renew_lease(
                session, self.claim, lease_seconds=self._lease_seconds
            )
        )
        self._lease_until = now + self._lease_seconds
        return desired

    def has_to_give_way(self) -> bool:
        """Whether somebody waits who has fewer running jobs than this job's owner."""
        owner, most = self.claim.owner, self._max_running
        return self._persist(lambda session, _: turns.others_are_due(session, owner, most))

    def succeed(
        self,
        step: int,
        rows: Sequence[HistoryRow],
        kept: Kept,
        packed: Packed,
        best: StepScores | None,
        final: StepScores,
    ) -> JobState:
        """Writes the last progress and the parameters; returns `succeeded` or `cancelled`."""
        now = time.monotonic()

        def work(session: Session) -> JobState:
            self._record(session, step, rows, kept, now, best=best)
            return claims.succeed(session, self.claim, step=step, packed=packed, final=final)

        return self._leave(work)

    def fail(
        self,
        code: ErrorCode,
        detail: str,
        *,
        step: int | None = None,
        rows: Sequence[HistoryRow] = (),
        kept: Kept = NOTHING_KEPT,
        best: StepScores | None = None,
    ) -> JobState:
        """Ends the job `failed`; with `step`, the rows logged before it are written as well."""
        now = time.monotonic()

        def work(session: Session) -> JobState:
            if step is not None:
                self._record(session, step, rows, kept, now, best=best)
            return claims.fail(session, self.claim, code=code, detail=detail, step=step)

        return self._leave(work)

    def release(self) -> JobState:
        """Releases the job: paused or cancelled where that was requested, else queued again."""
        return self._leave(lambda session: claims.release(session, self.claim))

    def _record(
        self,
        session: Session,
        step: int,
        rows: Sequence[HistoryRow],
        kept: Kept,
        now: float,
        data: bytes | None = None,
        best: StepScores | None = None,
    ) -> DesiredState | None:
        desired = claims.record_progress(
            session,
            self.claim,
            step=step,
            previous_step=self.step,
            rows=rows,
            seconds=now - self._progress_at,
            lease_seconds=self._lease_seconds,
            checkpoint=kept.get(step, data),
            retained=step in kept,
            best=best,
            trained_before=self._trained_seconds,
        )
        others = {at: kept_data for at, kept_data in kept.items() if at != step}
        checkpoints.keep(session, self.claim.pk, others)
        if self._preprocessing is not None:
            preprocessing.store(session, self.claim.pk, self._preprocessing)
        return desired

    def _leave(self, work: Callable[[Session], JobState]) -> JobState:
        """The claim's last transaction; returns the state in which it left the job."""

        def leave(session: Session, again: bool) -> JobState:
            if again:
                job = jobs.get(session, self.claim.id)
                if job.fence == self.claim.fence and job.state != "running":
                    return job.state  # only the answer to the COMMIT was lost
            return work(session)

        return self._persist(leave)

    def _persist(self, work: Callable[[Session, bool], T]) -> T:
        return persist(self._sessions, work, until=self._lease_until, hurry=self._draining)
