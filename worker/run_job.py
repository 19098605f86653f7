"""One job: claim, train, record progress, finish.

Nothing is held open while training: between slices of about 50 ms the worker looks at the time
and at the drain flag, and every half second writes what it has and reads what is wanted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from engine.train import Diverged, HistoryRow, InvalidData, Progress, train
from service.common.errors import LeaseLost
from service.common.settings import Settings
from service.store import checkpoints, claims, parameters
from service.store.claims import Claim
from service.store.tables import State, Wish
from worker import checkpoint_format
from worker.job_writer import Ledger
from worker.lease_keeper import Pulse
from worker.retries import UNREACHABLE, persist, reason

log = logging.getLogger(__name__)

# Large checkpoints are written less often, so that writing them stays a small part of the time.
STRETCH_ABOVE_BYTES = 1_000_000
LONGEST_PROGRESS_SECONDS = 5.0
# Checkpoints for looking back wait for the next progress commit up to this size together.
MAX_WAITING_BYTES = 4_000_000

# A slice that takes longer than this part of the lease has the lease renewed beside it.
BEATS_A_LEASE = 4

INTERNAL_ERROR = "an unexpected error in the worker; its log says more"


@dataclass(frozen=True, slots=True)
class Context:
    """What a worker process works with. `worker` names it in the audit trail."""

    settings: Settings
    sessions: sessionmaker[Session]
    worker: str
    draining: Callable[[], bool]


def train_job(context: Context, job_id: str) -> None:
    """Trains the job until it ends, is wanted elsewhere, or the worker drains.

    Does nothing when the job is not queued: another message for it was faster.
    """
    if context.draining():
        return
    try:
        claim = _claim(context, job_id)
        if claim is None:
            return
        log.info("job claimed", extra={"attempt": claim.attempt, "step": claim.step})
        run = Run(context, claim)
        state = run.result()
        log.info("job %s", state, extra={"step": run.step})
    except LeaseLost as error:
        log.warning("job lost to another worker", extra={"reason": str(error)})
    except UNREACHABLE as error:
        # Nothing is lost: the sweeper frees the job or rings for it again.
        log.error("job let go", extra={"reason": reason(error)})


class Run:
    """One claim of one job, from where the last one came to until it is left.

    `step` is the newest finished update; `rows` and `kept` (checkpoints for looking back) wait
    for the next progress commit.
    """

    def __init__(self, context: Context, claim: Claim) -> None:
        self.claim = claim
        self.step = claim.step
        self.rows: list[HistoryRow] = []
        self.kept: dict[int, bytes] = {}
        self._draining = context.draining
        self._ledger = Ledger(
            claim,
            context.sessions,
            lease_seconds=context.settings.lease_seconds,
            draining=context.draining,
        )
        self._pulse = Pulse(
            self._ledger.renew, every=context.settings.lease_seconds / BEATS_A_LEASE
        )
        self._started = time.monotonic()
        self._interval = context.settings.progress_seconds
        self._look_at = self._commit_at = time.monotonic() + self._interval

    def result(self) -> State:
        """Trains and returns the state in which the job was left.

        Raises:
            LeaseLost: the job is no longer this claim's.
            OperationalError, InterfaceError, InternalError, TimeoutError: the database stayed
                away.
        """
        try:
            return self._train()
        except Diverged as error:
            return self._ledger.fail(
                "diverged", str(error), step=error.step, rows=self.rows, kept=self.kept
            )
        except InvalidData as error:
            return self._ledger.fail("invalid_data", str(error))
        except (LeaseLost, *UNREACHABLE):
            raise
        except Exception:
            log.exception("training failed", extra={"step": self.step})
            return self._ledger.fail("internal", INTERNAL_ERROR)

    def _train(self) -> State:
        with self._pulse as pulse:
            spec = pulse.during(lambda: JobSpec.model_validate_json(self.claim.spec))
            training = spec.training
            keep_every = checkpoints.retained_every(training.steps, training.checkpoint_every)
            for progress in pulse.watch(train(spec, self._ledger.resume_point())):
                self._collect(progress, keep_every)
                if progress.finished:
                    packed = parameters.pack(spec.sizes(), progress.snapshot().parameters)
                    return self._ledger.succeed(progress.step, self.rows, self.kept, packed)
                if (
                    training.deadline_seconds is not None
                    and self._seconds() > training.deadline_seconds
                ):
                    return self._miss(progress, training.deadline_seconds)
                if self._is_to_leave(progress):
                    return self._ledger.release()
        raise RuntimeError("training ended without a last progress")

    def _collect(self, progress: Progress, keep_every: int) -> None:
        rows, written = progress.rows, self.claim.step
        if rows and rows[0].step < written:
            # Computed again, after a damaged checkpoint; the first time they were written.
            rows = [row for row in rows if row.step >= written]
        self.rows += rows
        if progress.step > self.step:
            self.step = progress.step
            if progress.step % keep_every == 0:
                self.kept[progress.step] = checkpoint_format.encode(progress.snapshot())

    def _is_to_leave(self, progress: Progress) -> bool:
        """Writes progress or renews the lease where that is due; whether to stop here."""
        leaving = self._draining()
        now = time.monotonic()
        waiting = sum(map(len, self.kept.values()))
        commit = leaving or now >= self._commit_at or waiting > MAX_WAITING_BYTES
        if commit and progress.step > self._ledger.step:
            wish = self._commit(progress)
        elif now >= self._look_at:
            wish = self._ledger.renew()
        else:
            return leaving
        self._look_at = time.monotonic() + self._interval
        return leaving or wish is not None

    def _miss(self, progress: Progress, deadline: float) -> State:
        """Ends the job at its deadline, its work so far written."""
        if progress.step > self._ledger.step:
            self._commit(progress)
        detail = f"the deadline of {deadline:g} s of training has passed"
        return self._ledger.fail("deadline_exceeded", detail, step=self.step)

    def _seconds(self) -> float:
        """Time spent training, earlier attempts included and pauses left out."""
        return self.claim.trained_seconds + time.monotonic() - self._started

    def _commit(self, progress: Progress) -> Wish | None:
        data = self.kept.get(progress.step) or checkpoint_format.encode(progress.snapshot())
        wish = self._ledger.progress(progress.step, self.rows, data, self.kept)
        self.rows, self.kept = [], {}
        self._commit_at = time.monotonic() + stretched(self._interval, len(data))
        return wish


def stretched(interval: float, checkpoint_bytes: int) -> float:
    """Seconds to the next progress commit: longer for large checkpoints, at most 5."""
    if checkpoint_bytes <= STRETCH_ABOVE_BYTES:
        return interval
    longer = interval * checkpoint_bytes / STRETCH_ABOVE_BYTES
    return max(interval, min(longer, LONGEST_PROGRESS_SECONDS))


def _claim(context: Context, job_id: str) -> Claim | None:
    lease_seconds = context.settings.lease_seconds
    return persist(
        context.sessions,
        lambda session, _: claims.claim(
            session, job_id, worker=context.worker, lease_seconds=lease_seconds
        ),
        until=time.monotonic() + lease_seconds,
        hurry=context.draining,
    )
