from __future__ import annotations

import numpy as np

from engine.train import TrainingState
from service.store.checkpoint_format import decode, encode


def test_a_state_is_decoded_with_the_same_bits() -> None:
    numbers = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308, np.pi])
    state = TrainingState(step=7, parameters=numbers, velocity=-numbers)

    back = decode(encode(state))

    assert back.step == 7
    assert type(back.step) is int
    assert back.parameters.tobytes() == numbers.tobytes()
    assert back.velocity is not None
    assert back.velocity.tobytes() == (-numbers).tobytes()
    assert back.gradient is None


def test_a_state_without_momentum_stays_without() -> None:
    assert decode(encode(TrainingState(step=0, parameters=np.zeros(1)))).velocity is None
