"""One artifact: claim, compute, store.

As in training no transaction is open meanwhile. Between the slices of a computation the worker
renews its lease, and looks whether it has to stop or the time is up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from sqlalchemy.orm import Session

from engine.train import Diverged, InvalidData
from service.common.errors import LeaseLost
from service.common.logs import facts
from service.store import artifact_claims, checkpoints, preprocessing, steps
from service.store.artifact_claims import ArtifactClaim, Problem
from service.store.parameters import Floats
from service.store.specifications import read_spec
from worker import memory
from worker.artifacts.kinds import KINDS
from worker.artifacts.work import CannotCompute, Content, Work, WrongQuestion
from worker.lease_keeper import LeaseKeeper
from worker.retries import UNREACHABLE, persist, reason
from worker.run_job import RENEWALS_PER_LEASE, Context

log = logging.getLogger(__name__)

T = TypeVar("T")

TITLE = "The answer cannot be computed"
OUT_OF_MEMORY = "computing the answer needed more memory than the service allows a job"
INTERNAL_ERROR = "an unexpected error while the answer was computed; the worker's log says more"


class Leaving(Exception):
    """The process has to stop."""


def compute_next(context: Context) -> None:
    """Computes the artifact whose turn it is; does nothing when nothing is queued."""
    if context.draining():
        return
    try:
        claim = persist(
            context.sessions,
            lambda session, _: artifact_claims.claim_next(
                session, lease_seconds=context.settings.lease_seconds
            ),
            until=time.monotonic() + context.settings.lease_seconds,
            hurry=context.draining,
        )
    except UNREACHABLE as error:
        # Nothing is lost: recovery publishes again for the artifact.
        log.error("no artifact claimed", extra={"reason": reason(error)})
        return
    if claim is None:
        return
    with facts(artifact_id=claim.id, job_id=claim.job_id, request_id=claim.request_id):
        _compute(context, claim)


def _compute(context: Context, claim: ArtifactClaim) -> None:
    began = time.monotonic()
    try:
        outcome = Computation(context, claim).run()
    except LeaseLost as error:
        # Or it was deleted with its job.
        log.warning("artifact lost", extra={"reason": str(error)})
    except UNREACHABLE as error:
        # Nothing is lost: recovery frees the artifact.
        log.error("artifact given up, recovery will free it", extra={"reason": reason(error)})
    else:
        seconds = round(time.monotonic() - began, 3)
        log.info("artifact %s", outcome, extra={"kind": claim.kind, "seconds": seconds})


class Computation:
    """One claim of one artifact."""

    def __init__(self, context: Context, claim: ArtifactClaim) -> None:
        self._claim = claim
        self._context = context
        self._settings = context.settings
        self._every = context.settings.lease_seconds / RENEWALS_PER_LEASE
        self._until = time.monotonic() + context.settings.max_artifact_seconds
        self._lease_until = time.monotonic() + context.settings.lease_seconds
        self._renew_at = time.monotonic() + self._every
        self._keeper = LeaseKeeper(self._renew, every=self._every)

    def run(self) -> str:
        """Computes the answer and stores it, or why there is none; returns what happened.

        Raises:
            LeaseLost: the artifact is no longer this claim's.
            OperationalError, InterfaceError, InternalError, TimeoutError: the database remained
                unavailable.
        """
        try:
            # Lifted when it has failed: to write that down takes memory as well.
            with memory.ceiling(self._settings.max_job_memory_bytes):
                content = self._content()
        except Leaving:
            self._store(partial(artifact_claims.release, claim=self._claim))
            return "released"
        except Diverged as error:
            return self._fail("diverged", f"{error}; ask for an earlier step")
        except WrongQuestion as error:
            return self._fail("invalid", str(error), status=422, pointer=error.pointer)
        except (CannotCompute, InvalidData) as error:
            return self._fail("not-computed", str(error))
        except MemoryError:
            log.warning("out of memory")
            return self._fail("out-of-memory", OUT_OF_MEMORY)
        except (LeaseLost, *UNREACHABLE):
            raise
        except Exception:
            log.exception("computation failed")
            return self._fail("internal", INTERNAL_ERROR, status=500)
        self._store(
            partial(
                artifact_claims.succeed,
                claim=self._claim,
                data=content.data,
                media_type=content.media_type,
            )
        )
        return "computed"

    def _content(self) -> Content:
        claim = self._claim
        if claim.kind not in KINDS:
            raise CannotCompute(
                f"this worker knows no answers of the kind {claim.kind!r}: upgrade it"
            )
        with self._keeper as keeper:
            spec = keeper.during(lambda: read_spec(claim.spec, claim.content))
            work = Work(
                job_id=claim.job_id,
                spec=spec,
                arguments=claim.arguments,
                nearest_state=lambda step: self._store(
                    lambda session: checkpoints.newest_state(session, claim.job_key, step)
                ),
                kept_parameters=self._kept_parameters,
                stored_preprocessing=lambda: self._store(
                    lambda session: preprocessing.find(session, claim.job_key)
                ),
                loss_at=lambda step: self._store(
                    lambda session: steps.loss(session, claim.job_key, step)
                ),
                watch=self._watch,
            )
            return keeper.during(lambda: KINDS[claim.kind](work))

    def _kept_parameters(self, step: int) -> Floats | None:
        kept = self._store(lambda session: steps.kept(session, self._claim.job_key, step))
        return None if kept is None else kept.numbers

    def _watch(self, slices: Iterator[T]) -> Iterator[T]:
        for slice in self._keeper.watch(slices):
            self._look()
            yield slice

    def _look(self) -> None:
        now = time.monotonic()
        if self._context.draining():
            raise Leaving
        if now > self._until:
            raise CannotCompute(
                f"computing the answer takes longer than {self._settings.max_artifact_seconds:g} "
                "s, the most that the service allows; ask for a step that is nearer to a checkpoint"
            )
        if now > self._renew_at:
            self._renew()

    def _renew(self) -> None:
        now = time.monotonic()
        lease_seconds = self._settings.lease_seconds
        self._store(
            lambda session: artifact_claims.renew_lease(
                session, self._claim, lease_seconds=lease_seconds
            )
        )
        self._lease_until = now + lease_seconds
        self._renew_at = now + self._every

    def _fail(
        self, kind: str, detail: str, *, status: int = 409, pointer: str | None = None
    ) -> str:
        problem = Problem(status, kind, TITLE, detail, pointer)
        self._store(partial(artifact_claims.fail, claim=self._claim, problem=problem))
        return "failed"

    def _store(self, work: Callable[[Session], T]) -> T:
        return persist(
            self._context.sessions,
            lambda session, _: work(session),
            until=self._lease_until,
            hurry=self._context.draining,
        )
