"""Actions of jobs, workers, recovery and people in random order, compared with a small model.

Hypothesis chooses the next action, its time, its claim (which may be an old one), and whether the
transaction commits or its process dies. After each action the tables must agree with the model.
In the end it must still be possible to end every job.

GRADSERVE_TEST_EXAMPLES sets the number of runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Double, event, literal_column
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from engine.spec import JobSpec
from engine.train import HistoryRow
from service.common.errors import InvalidTransition, LeaseLost
from service.common.settings import Settings
from service.store import (
    checkpoints,
    claims,
    controls,
    history,
    jobs,
    leases,
    parameters,
    recovery,
)
from service.store.claims import Claim
from service.store.connections import make_engine, make_sessions
from service.store.states import FRUITLESS_CLAIMS, TERMINAL
from tests.faults import audit, unfenced

T = TypeVar("T")

EXAMPLES = int(os.environ.get("GRADSERVE_TEST_EXAMPLES", "30"))

MOST_JOBS = 2
STEPS = 12
KEEP_EVERY = 5
LEASE_SECONDS = 20.0
REPUBLISH_SECONDS = 15.0
SLACK_SECONDS = leases.CLOCK_SLACK_SECONDS

# The clock that all functions read: a number in a table, which the test sets.
NOW = literal_column("(SELECT ahead FROM audit_clock)", Double())

SPEC = JobSpec.model_validate(
    {
        "dataset": {"kind": "xor", "n_samples": 4},
        "model": {"layers": [{"units": 1}]},
        "loss": {"kind": "mse"},
        "optimizer": {"learning_rate": 0.1},
        "training": {"steps": STEPS, "checkpoint_every": KEEP_EVERY},
    }
)
PARAMETERS = parameters.pack([2, 1], np.array([1.0, 2.0, 3.0]))
REQUESTS = {
    "cancelled": controls.request_cancel,
    "paused": controls.request_pause,
    "queued": controls.request_resume,
}


def row(step: int) -> HistoryRow:
    return HistoryRow(step, 1.0 / (step + 1), None, None, None, 0.1, None)


@dataclass(eq=False)
class Known:
    """The model of one job. `checkpoints` maps a step to whether it is retained."""

    id: str
    published_at: float | None
    state: str = "queued"
    desired: str | None = None
    step: int = 0
    fence: int = 0
    attempt: int = 0
    fruitless: int = 0
    lease_until: float | None = None
    error: str | None = None
    checkpoints: dict[int, bool] = field(default_factory=dict)

    def become(self, state: str) -> None:
        self.state, self.desired, self.lease_until = state, None, None
        if state in ("failed", "cancelled"):
            for old in sorted(self.checkpoints)[:-1]:
                del self.checkpoints[old]

    def keep(self, step: int, retained: bool) -> None:
        self.checkpoints[step] = retained
        newest = sorted(self.checkpoints)[-2:]
        for old in list(self.checkpoints):
            if old not in newest and not self.checkpoints[old]:
                del self.checkpoints[old]


@dataclass(eq=False)
class Hand:
    """A worker's hold on a job: its claim, and the step at which it believes the job to be."""

    claim: Claim
    job: Known
    step: int

    @property
    def holds(self) -> bool:
        return self.job.state == "running" and self.job.fence == self.claim.fence


class Crash(Exception):
    """The process dies before its COMMIT."""


class Service(RuleBasedStateMachine):
    """Each rule is one transaction of one process; the model follows what was committed."""

    sessions: sessionmaker[Session]

    all_jobs = Bundle("all_jobs")
    hands = Bundle("hands")
    crashes = st.sampled_from([False, False, False, True])

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000.0
        self.known: list[Known] = []
        with self.sessions.begin() as session:
            audit.start_again(session)

    def commit(
        self,
        work: Callable[[Session], T],
        *,
        hand: Hand | None = None,
        allowed: bool = True,
        crash: bool = False,
    ) -> tuple[T] | None:
        """The result of the work; None if it was not committed.

        `allowed` says whether the claim still holds its job, so that LeaseLost is an error.
        """
        try:
            with self.sessions.begin() as session:
                audit.set_clock(session, self.now)
                if hand is None:
                    value = work(session)
                else:
                    with audit.writing_as(session, hand.claim.fence):
                        value = work(session)
                assert allowed, "a claim that is over was allowed to write"
                if crash:
                    raise Crash
        except LeaseLost:
            assert not allowed, "a claim that holds its job was refused"
            return None
        except Crash:
            return None
        return (value,)

    # With more jobs, two actions would meet at the same job less often.
    @precondition(lambda self: len(self.known) < MOST_JOBS)
    @rule(target=all_jobs)
    def submit(self) -> Known:
        [job] = self.commit(lambda session: jobs.create(session, SPEC, now=NOW)) or ()
        self.known.append(Known(job.id, published_at=self.now))
        return self.known[-1]

    @rule(target=hands, job=all_jobs, crash=crashes)
    def claim(self, job: Known, crash: bool) -> Any:
        def work(session: Session) -> Claim | None:
            return claims.claim(session, job.id, worker="w", lease_seconds=LEASE_SECONDS, now=NOW)

        free = job.state == "queued"
        done = self.commit(work, crash=crash)
        if done is None:
            return multiple()
        assert (done[0] is not None) == free
        if done[0] is None:
            return multiple()
        job.state = "running"
        job.fence += 1
        job.attempt += 1
        job.fruitless += 1
        job.lease_until = self.now + LEASE_SECONDS
        assert (done[0].fence, done[0].attempt, done[0].step) == (job.fence, job.attempt, job.step)
        return Hand(done[0], job, job.step)

    @rule(hand=hands, steps=st.integers(1, 6), crash=crashes)
    def progress(self, hand: Hand, steps: int, crash: bool) -> None:
        job, start, end = hand.job, hand.step, min(hand.step + steps, STEPS - 1)
        if start == end:
            return
        kept = [step for step in range(start + 1, end) if step % KEEP_EVERY == 0]

        def work(session: Session) -> Any:
            desired = self.record(session, hand, end, checkpoint=b"%d" % end)
            for step in kept:
                checkpoints.add(
                    session, hand.claim.pk, step=step, data=b"%d" % step, retained=True, now=NOW
                )
            return desired

        allowed = hand.holds and job.step == start
        done = self.commit(work, hand=hand, allowed=allowed, crash=crash)
        if done is not None:
            assert done[0] == job.desired
            hand.step = job.step = end
            job.fruitless = 0
            job.lease_until = self.now + LEASE_SECONDS
            job.keep(end, end % KEEP_EVERY == 0)
            for step in kept:
                job.keep(step, True)

    def record(self, session: Session, hand: Hand, end: int, checkpoint: bytes | None) -> Any:
        return claims.record_progress(
            session,
            hand.claim,
            step=end,
            previous_step=hand.step,
            rows=[row(step) for step in range(hand.step, end)],
            seconds=0.5,
            lease_seconds=LEASE_SECONDS,
            checkpoint=checkpoint,
            retained=end % KEEP_EVERY == 0,
            now=NOW,
        )

    @rule(hand=hands, crash=crashes)
    def renew(self, hand: Hand, crash: bool) -> None:
        done = self.commit(
            lambda session: claims.renew_lease(
                session, hand.claim, lease_seconds=LEASE_SECONDS, now=NOW
            ),
            hand=hand,
            allowed=hand.holds,
            crash=crash,
        )
        if done is not None:
            assert done[0] == hand.job.desired
            hand.job.lease_until = self.now + LEASE_SECONDS

    @rule(hand=hands)
    def look(self, hand: Hand) -> None:
        done = self.commit(
            lambda session: claims.desired_state(session, hand.claim), allowed=hand.holds
        )
        assert done is None or done[0] == hand.job.desired

    @rule(hand=hands, crash=crashes)
    def succeed(self, hand: Hand, crash: bool) -> None:
        job = hand.job

        def work(session: Session) -> str:
            if hand.step < STEPS:
                self.record(session, hand, STEPS, checkpoint=None)
            return claims.succeed(session, hand.claim, step=STEPS, packed=PARAMETERS, now=NOW)

        allowed = hand.holds and job.step == hand.step
        done = self.commit(work, hand=hand, allowed=allowed, crash=crash)
        if done is not None:
            assert done[0] == ("cancelled" if job.desired == "cancelled" else "succeeded")
            job.step = STEPS
            job.become(done[0])

    @rule(hand=hands, crash=crashes)
    def fail(self, hand: Hand, crash: bool) -> None:
        job = hand.job
        done = self.commit(
            lambda session: claims.fail(
                session, hand.claim, code="diverged", detail="NaN", step=job.step, now=NOW
            ),
            hand=hand,
            allowed=hand.holds,
            crash=crash,
        )
        if done is not None:
            assert done[0] == ("cancelled" if job.desired == "cancelled" else "failed")
            job.error = "diverged" if done[0] == "failed" else None
            job.become(done[0])

    @rule(hand=hands, crash=crashes)
    def release(self, hand: Hand, crash: bool) -> None:
        job = hand.job
        done = self.commit(
            lambda session: claims.release(session, hand.claim, now=NOW),
            hand=hand,
            allowed=hand.holds,
            crash=crash,
        )
        if done is not None:
            assert done[0] == (job.desired or "queued")
            job.become(done[0])
            job.attempt -= 1
            job.fruitless = max(0, job.fruitless - 1)
            job.published_at = None

    @rule(job=all_jobs, to=st.sampled_from(sorted(REQUESTS)), crash=crashes)
    def request(self, job: Known, to: str, crash: bool) -> None:
        before = (job.state, job.desired)
        ends = job.state in TERMINAL or job.desired == "cancelled"
        refused = ends and not (to == "cancelled" and "cancelled" in before)
        try:
            done = self.commit(lambda session: REQUESTS[to](session, job.id, now=NOW), crash=crash)
        except InvalidTransition:
            assert refused, f"{to} was refused to a job that is {before}"
            return
        if done is None:
            return
        assert not refused, f"{to} was accepted by a job that is {before}"
        if job.state == "running":
            job.desired = None if to == "queued" else to
        elif job.state not in (to, "cancelled"):
            if to == "queued":
                job.published_at = self.now
            job.become(to)

    @rule(seconds=st.sampled_from([0.5, 5.0, 16.0, 25.0, 3600.0, -4.0, -3600.0]))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule(limit=st.sampled_from([1, 2, 100]), crash=crashes)
    def free(self, limit: int, crash: bool) -> None:
        lost = [job for job in self.known if self.is_lost(job)][:limit]
        done = self.commit(
            lambda session: recovery.free_lost_leases(
                session, lease_seconds=LEASE_SECONDS, limit=limit, now=NOW
            ),
            crash=crash,
        )
        if done is None:
            return
        assert sorted(done[0]) == sorted(job.id for job in lost)
        for job in lost:
            job.published_at = None
            if job.desired is None and job.fruitless >= FRUITLESS_CLAIMS:
                job.error = "worker_lost"
                job.become("failed")
            else:
                job.become(job.desired or "queued")

    @rule(target=hands, job=all_jobs)
    def change_hands(self, job: Known) -> Any:
        """Gives a silent worker's job to another worker, while the old claim still exists."""
        self.now += LEASE_SECONDS + 1
        self.free(100, False)
        return self.claim(job, False)

    def is_lost(self, job: Known) -> bool:
        if job.lease_until is None:
            return False
        furthest = self.now + LEASE_SECONDS + SLACK_SECONDS
        return not self.now <= job.lease_until <= furthest

    @rule(limit=st.sampled_from([1, 2, 100]), crash=crashes)
    def publish_again(self, limit: int, crash: bool) -> None:
        quiet = [job for job in self.known if job.state == "queued" and self.is_quiet(job)][:limit]
        done = self.commit(
            lambda session: recovery.publish_again(
                session, republish_seconds=REPUBLISH_SECONDS, limit=limit, now=NOW
            ),
            crash=crash,
        )
        if done is not None:
            assert done[0] == [job.id for job in quiet]
            for job in quiet:
                job.published_at = self.now

    def is_quiet(self, job: Known) -> bool:
        if job.published_at is None:
            return True
        return not self.now - REPUBLISH_SECONDS <= job.published_at <= self.now + SLACK_SECONDS

    @invariant()
    def tables_are_what_the_model_says(self) -> None:
        with self.sessions.begin() as session:
            for known in self.known:
                job = jobs.get(session, known.id)
                assert (job.state, job.desired_state) == (known.state, known.desired)
                assert (job.step, job.fence, job.attempt) == (
                    known.step,
                    known.fence,
                    known.attempt,
                )
                assert (job.lease_until, job.error_code) == (known.lease_until, known.error)
                assert (job.finished_at is not None) == (job.state in TERMINAL)
                rows = history.read(session, job.pk, after_step=-1, limit=100)
                assert [tuple(found)[:-1] for found in rows] == [row(s) for s in range(known.step)]
                found = {c.step: c.intact for c in checkpoints.newest_first(session, job.pk)}
                assert found == dict.fromkeys(sorted(known.checkpoints, reverse=True), True)
            assert not audit.faults(session)

    def teardown(self) -> None:
        """Lets time, recovery and living workers bring every job to its end."""
        self.now += 2 * LEASE_SECONDS + 7200
        self.free(10_000, False)
        for job in self.known:
            if job.state == "paused":
                self.request(job, "queued", False)
        self.now += REPUBLISH_SECONDS + 1
        self.publish_again(10_000, False)
        for job in self.known:
            if job.state == "queued":
                assert job.published_at == self.now, "a queued job has no message"
                hand = self.claim(job, False)
                self.succeed(hand, False)
            assert job.state in TERMINAL, f"{job} cannot end"
        super().teardown()


@pytest.fixture
def sessions(audited: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(Settings(database_url=audited), "worker")
    if engine.dialect.name == "sqlite":
        # The test has no power cuts, and waiting for the disk would take most of the time.
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous=OFF"))
    yield make_sessions(engine)
    engine.dispose()


# Without the fence some writes are attempted that the tables themselves refuse.
CONTRADICTION = (AssertionError, IntegrityError)


def run(
    sessions: sessionmaker[Session], examples: int, phases: Sequence[Phase] = tuple(Phase)
) -> None:
    machine = type("Service", (Service,), {"sessions": sessions})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens_the_tables_are_what_the_model_says(
    sessions: sessionmaker[Session],
) -> None:
    run(sessions, EXAMPLES)


@pytest.mark.long  # test_negative_control.py does so in short
@pytest.mark.parametrize("without", unfenced.WAYS)
def test_without_the_fence_the_model_is_contradicted(
    sessions: sessionmaker[Session], without: str
) -> None:
    with unfenced.claims_without(without), pytest.raises(CONTRADICTION):
        run(sessions, 500, [Phase.generate])
