"""The states of a job, and which state may follow which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
DesiredState = Literal["paused", "cancelled"]
ErrorCode = Literal[
    "diverged", "deadline_exceeded", "worker_lost", "invalid_data", "out_of_memory", "internal"
]

ArtifactState = Literal["queued", "running", "succeeded", "failed"]

STATES: tuple[JobState, ...] = get_args(JobState)
DESIRED_STATES: tuple[DesiredState, ...] = get_args(DesiredState)
ARTIFACT_STATES: tuple[ArtifactState, ...] = get_args(ArtifactState)
ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)

# The one table of transitions. Every change of a state is a compare-and-set along one of these
# arrows, with a row in `events` in the same transaction.
TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    "queued": frozenset({"running", "paused", "cancelled", "failed"}),
    "running": frozenset({"succeeded", "failed", "cancelled", "paused", "queued"}),
    "paused": frozenset({"queued", "cancelled"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}
TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)

# A job that was claimed this often without a single checkpoint in between kills its workers, and
# so does an artifact that was claimed this often.
FRUITLESS_CLAIMS = 3
