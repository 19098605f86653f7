"""The moment for which the fence exists: two processes believe that one job is theirs."""

from __future__ import annotations

import os
import signal

from tests.faults.specs import make_spec
from tests.faults.world import World
from tests.processes import until


def let_two_claims_meet(world: World) -> str:
    """Freezes a process for longer than its lease, and wakes it while another has its job.

    Both processes have the same steps to write. The one whose lease ran out writes first.
    """
    point = "progress.before"
    world.points.arm(point, "freeze")
    [id] = world.put(make_spec(1))
    [first] = until(lambda: world.points.taken(point), 90, "the first is frozen")
    world.points.arm(point, "freeze")
    until(lambda: len(world.points.taken(point)) == 2, 20, "the second is frozen")
    [second] = {*world.points.taken(point)} - {first}

    os.kill(first, signal.SIGCONT)
    until(lambda: refused(world, id) or world.job(id).step > 0, 20, "the first has written")
    os.kill(second, signal.SIGCONT)
    return id


def refused(world: World, id: str) -> bool:
    """Whether a worker was refused because the job is no longer its own."""
    lines = world.worker.log.read_text().splitlines()
    return any(id in line and "lost to another worker" in line for line in lines)
