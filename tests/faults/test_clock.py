"""The database's clock jumps by an hour, forward or back, while jobs run."""

from __future__ import annotations

import pytest

from tests.faults import audit
from tests.faults.specs import make_spec
from tests.faults.world import World

HOUR = 3600.0


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_f14_a_clock_that_jumps_holds_up_no_job(world: World, jump: float) -> None:
    ids = world.put(*(make_spec(2, seed=seed) for seed in range(3)))
    world.await_steps(*ids)

    with world.sessions.begin() as session:
        audit.set_clock(session, jump)

    [queued] = world.put(make_spec(0.2))
    world.await_state(queued, "succeeded")
    world.assert_kept()
