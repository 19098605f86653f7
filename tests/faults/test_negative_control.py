"""The suite without the fence of the service: it must fail, or it proves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import unfenced
from tests.faults.meeting import let_two_claims_meet
from tests.faults.world import World


@pytest.mark.parametrize("without", unfenced.WAYS)
def test_without_the_fence_a_process_that_wakes_up_does_harm(
    audited: str, tmp_path: Path, without: str
) -> None:
    with World(tmp_path, audited, unfenced=without) as world:
        world.start_recovery()
        world.start_worker()
        let_two_claims_meet(world)

        with pytest.raises(AssertionError, match="written by a claim that is over"):
            world.assert_kept()
