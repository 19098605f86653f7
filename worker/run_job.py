"""One job: claim, train, record progress, finish.

No transaction is open during training. Between slices of about 50 ms the worker looks at the time
and at the drain flag; every half second it writes its progress and reads what was requested.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.orm import Session, sessionmaker

from engine.environment import environment
from engine.spec import JobSpec
from engine.train import Diverged, HistoryRow, InvalidData, Progress, TrainingState, replay, train
from service.common.errors import JobNotFound, LeaseLost
from service.common.logs import facts
from service.common.settings import Settings
from service.store import checkpoint_format, checkpoints, claims, disk, parameters
from service.store.claims import Claim, StepScores
from service.store.specifications import read_spec
from service.store.states import DesiredState, JobState
from service.store.turns import Served
from worker import memory
from worker.job_writer import JobWriter
from worker.lease_keeper import LeaseKeeper
from worker.retries import UNREACHABLE, persist, reason

log = logging.getLogger(__name__)

# Large checkpoints are written less often, so that writing them stays a small part of the time.
STRETCH_ABOVE_BYTES = 1_000_000
LONGEST_PROGRESS_SECONDS = 5.0
# Checkpoints for looking back wait for the next progress commit up to this size together.
MAX_WAITING_BYTES = 4_000_000

# A slice that takes longer than this part of the lease has the lease renewed beside it.
RENEWALS_PER_LEASE = 4

OUT_OF_MEMORY = (
    "training needed more memory than the service allows a job; fewer rows, inputs or units, or a "
    "smaller batch, need less"
)
INTERNAL_ERROR = "an unexpected error in the worker; its log says more"


@dataclass(frozen=True, slots=True)
class Context:
    """The tools of a worker process. `worker` is its name in the audit trail, `served` its memory
    of whose jobs it took.
    """

    settings: Settings
    sessions: sessionmaker[Session]
    worker: str
    draining: Callable[[], bool]
    served: Served = field(default_factory=Served)


def train_next(context: Context) -> None:
    """Trains the job whose turn it is, until it ends, is wanted elsewhere, or the worker drains.

    Does nothing when nothing is queued: the worker of another message was faster. Where an owner
    may have only some jobs running, the messages of further ones find nothing to do, so whoever has
    ended a job also takes the next.
    """
    next_turn = partial(
        claims.claim_next,
        served=context.served,
        max_running=context.settings.max_running_jobs_per_owner,
    )
    while _train(context, next_turn) and context.settings.max_running_jobs_per_owner:
        pass


def train_job(context: Context, job_id: str) -> None:
    """As `train_next`, for one job; does nothing when it is not queued."""
    _train(context, partial(claims.claim, id=job_id))


def _train(context: Context, make_claim: Callable[..., Claim | None]) -> bool:
    """Whether there was a job to train."""
    if context.draining():
        return False
    try:
        claim = _claim(context, make_claim)
    except UNREACHABLE as error:
        # Nothing is lost: recovery publishes again for the job.
        log.error("no job claimed", extra={"reason": reason(error)})
        return False
    if claim is None:
        return False
    with facts(job_id=claim.id, request_id=claim.request_id):
        _run(context, claim)
    return True


def _run(context: Context, claim: Claim) -> None:
    log.info("job claimed", extra={"attempt": claim.attempt, "step": claim.step})
    try:
        run = Run(context, claim)
        state = run.result()
        log.info("job %s", state, extra={"step": run.step})
    except (LeaseLost, JobNotFound) as error:
        # Not found: it was lost, has ended and was deleted while a COMMIT waited for its answer.
        log.warning("job lost to another worker", extra={"reason": str(error)})
    except UNREACHABLE as error:
        # Nothing is lost: recovery frees the job.
        log.error("job given up, recovery will free it", extra={"reason": reason(error)})


class Run:
    """One claim of one job, from where the previous one stopped until this one does.

    `step` is the newest finished update and `best` the best logged step so far; `rows` and `kept`
    (checkpoints for looking back) wait for the next progress commit.
    """

    def __init__(self, context: Context, claim: Claim) -> None:
        self.claim = claim
        self.step = claim.step
        self.best = claim.best
        self.rows: list[HistoryRow] = []
        self.kept: dict[int, bytes] = {}
        self._draining = context.draining
        self._writer = JobWriter(
            claim,
            context.sessions,
            lease_seconds=context.settings.lease_seconds,
            draining=context.draining,
            max_running=context.settings.max_running_jobs_per_owner,
        )
        self._keeper = LeaseKeeper(
            self._writer.renew, every=context.settings.lease_seconds / RENEWALS_PER_LEASE
        )
        self._started = time.monotonic()
        self._interval = context.settings.progress_seconds
        self._settings = context.settings
        self._has_begun = False
        self._look_at = self._commit_at = time.monotonic() + self._interval

    def result(self) -> JobState:
        """Trains and returns the state in which the job was left.

        Raises:
            LeaseLost: the job is no longer this claim's.
            OperationalError, InterfaceError, InternalError, TimeoutError: the database remained
                unavailable.
        """
        try:
            # Lifted when the job has failed: to write that down takes memory as well.
            with memory.ceiling(self._settings.max_job_memory_bytes):
                return self._train()
        except Diverged as error:
            return self._writer.fail(
                "diverged",
                str(error),
                step=error.step,
                rows=self.rows,
                kept=self.kept,
                best=self.best,
            )
        except InvalidData as error:
            return self._writer.fail("invalid_data", str(error))
        except MemoryError:
            log.warning("out of memory", extra={"step": self.step})
            return self._writer.fail("out_of_memory", OUT_OF_MEMORY)
        except (LeaseLost, JobNotFound, *UNREACHABLE):
            raise
        except Exception:
            log.exception("training failed", extra={"step": self.step})
            return self._writer.fail("internal", INTERNAL_ERROR)

    def _train(self) -> JobState:
        with self._keeper as keeper:
            spec = keeper.during(lambda: read_spec(self.claim.spec, self.claim.content))
            training = spec.training
            keep_every = checkpoints.retained_every(
                training.steps,
                training.checkpoint_every,
                bytes_each=spec.state_bytes(),
                bytes_per_job=self._settings.checkpoint_bytes_per_job,
            )
            for progress in keeper.watch(train(spec, self._writer.resume_point())):
                self._collect(progress, keep_every)
                if progress.finished:
                    return self._deliver(spec, progress)
                if (
                    training.deadline_seconds is not None
                    and self._seconds() > training.deadline_seconds
                ):
                    return self._miss(progress, training.deadline_seconds)
                if self._has_to_stop(progress):
                    return self._writer.release()
        raise RuntimeError("training ended without a last progress")

    def _deliver(self, spec: JobSpec, progress: Progress) -> JobState:
        """Ends the job with the parameters that its specification has kept."""
        state = progress.snapshot()
        if spec.training.keep == "best" and self.best is not None:
            replayed = self._replay(spec, self.best.step)
            if replayed is None:
                # To be left now: the training is done, and the next worker only replays again.
                self._commit_rest(progress)
                return self._writer.release()
            state = replayed
        scores = self._keeper.during(lambda: progress.evaluate(state.parameters))
        packed = parameters.pack(spec.sizes(), state.parameters)
        final = StepScores(state.step, *scores)
        return self._writer.succeed(progress.step, self.rows, self.kept, packed, self.best, final)

    def _replay(self, spec: JobSpec, step: int) -> TrainingState | None:
        """The state at an earlier step; None when the job is to be left meanwhile."""
        kept = max((k for k in self.kept if k <= step), default=None)
        written = self._writer.state_before(step) if self._writer.step else None
        start = written
        if kept is not None and (written is None or kept > written.step):
            start = checkpoint_format.decode(self.kept[kept])
        state = None
        for state in self._keeper.watch(replay(spec, step, start)):  # noqa: B007
            if self._renew_if_due(self._draining()):
                return None
        return state() if state else None

    def _collect(self, progress: Progress, keep_every: int | None) -> None:
        if not self._has_begun:
            self._writer.remember(progress.preprocessing.to_json())
            self._has_begun = True
        rows, written = progress.rows, self.claim.step
        if rows and rows[0].step < written:
            # Computed again after a damaged checkpoint; they were written the first time.
            rows = [row for row in rows if row.step >= written]
        self.rows += rows
        for row in rows:
            self.best = better(self.best, row)
        if progress.step == written == 0 and keep_every is not None:
            self.kept[0] = checkpoint_format.encode(progress.snapshot())
        if progress.step > self.step:
            self.step = progress.step
            if keep_every is not None and progress.step % keep_every == 0:
                self.kept[progress.step] = checkpoint_format.encode(progress.snapshot())

    def _has_to_stop(self, progress: Progress) -> bool:
        """Writes progress or renews the lease where that is due; returns whether to stop here."""
        leaving = self._draining()
        waiting = sum(map(len, self.kept.values()))
        commit = leaving or time.monotonic() >= self._commit_at or waiting > MAX_WAITING_BYTES
        if not commit or progress.step <= self._writer.step:
            return self._renew_if_due(leaving)
        if disk.is_short(self._settings) and self._wait_for_room():
            return True
        desired = self._commit(progress)
        self._look_at = time.monotonic() + self._interval
        return leaving or desired is not None or self._gives_way()

    def _gives_way(self) -> bool:
        over = time.monotonic() - self._started > self._settings.turn_seconds
        return over and self._writer.has_to_give_way()

    def _wait_for_room(self) -> bool:
        """Holds training while the disk is nearly full; returns whether to stop here."""
        log.warning("waiting for room on the disk", extra={"step": self.step})
        while disk.is_short(self._settings):
            if self._renew_if_due(self._draining()):
                return True
            time.sleep(self._interval)
        return False

    def _renew_if_due(self, leaving: bool) -> bool:
        """Renews the lease where that is due; returns whether to stop here."""
        if leaving or time.monotonic() < self._look_at:
            return leaving
        desired = self._writer.renew()
        self._look_at = time.monotonic() + self._interval
        return desired is not None

    def _miss(self, progress: Progress, deadline: float) -> JobState:
        """Ends the job at its deadline, its work so far written."""
        self._commit_rest(progress)
        detail = f"the deadline of {deadline:g} s of training has passed"
        return self._writer.fail("deadline_exceeded", detail, step=self.step)

    def _seconds(self) -> float:
        """Time spent training, earlier attempts included and pauses left out."""
        return self.claim.trained_seconds + time.monotonic() - self._started

    def _commit_rest(self, progress: Progress) -> None:
        """Writes the progress since the newest commit, if there is any."""
        if progress.step > self._writer.step:
            self._commit(progress)

    def _commit(self, progress: Progress) -> DesiredState | None:
        data = self.kept.get(progress.step) or checkpoint_format.encode(progress.snapshot())
        desired = self._writer.progress(progress.step, self.rows, data, self.kept, self.best)
        self.rows, self.kept = [], {}
        self._commit_at = time.monotonic() + stretched(self._interval, len(data))
        return desired


def better(best: StepScores | None, row: HistoryRow) -> StepScores | None:
    """The better of two logged steps: by validation loss where there is one, else by loss.

    The earlier one where they are equal.
    """
    new = StepScores(*row[:5])
    if best is None:
        return new if measure(new) < math.inf else None
    return new if measure(new) < measure(best) else best


def measure(figures: StepScores) -> float:
    """The loss that is compared; infinite where it is not a finite number."""
    value = figures.loss if figures.validation_loss is None else figures.validation_loss
    return value if value is not None and math.isfinite(value) else math.inf


def stretched(interval: float, checkpoint_bytes: int) -> float:
    """Seconds to the next progress commit: longer for large checkpoints, at most 5."""
    if checkpoint_bytes <= STRETCH_ABOVE_BYTES:
        return interval
    longer = interval * checkpoint_bytes / STRETCH_ABOVE_BYTES
    return max(interval, min(longer, LONGEST_PROGRESS_SECONDS))


def _claim(context: Context, make_claim: Callable[..., Claim | None]) -> Claim | None:
    lease_seconds = context.settings.lease_seconds
    return persist(
        context.sessions,
        lambda session, _: make_claim(
            session,
            worker=context.worker,
            lease_seconds=lease_seconds,
            environment=environment(),
        ),
        until=time.monotonic() + lease_seconds,
        hurry=context.draining,
    )
