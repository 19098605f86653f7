"""Learning-rate schedules: their formulas, and the bits of many rates read at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.spec import JobSpec
from engine.spec.schedules import SCHEDULES, Schedule, rates
from tests.engine.specs import SMALL, refusals, vary


def rate(spec: dict[str, Any], steps: int = 1000) -> Schedule:
    changed = vary(SMALL, optimizer={"learning_rate": spec}, training={"steps": steps})
    return JobSpec.model_validate(changed).optimizer.learning_rate


def schedule(rate: Schedule, steps: int) -> Callable[[int], float]:
    return lambda step: rate.rate(step, steps)


EXAMPLES: list[dict[str, Any]] = [
    {"kind": "constant", "value": 0.3},
    {"kind": "linear", "start": 1.0, "end": 0.1},
    {"kind": "step", "start": 0.5, "factor": 0.1, "every": 30},
    {"kind": "exponential", "start": 0.5, "factor": 0.99},
    {"kind": "cosine", "start": 0.5, "end": 0.05},
    {"kind": "warmup", "steps": 10, "then": {"kind": "cosine", "start": 0.5}},
]


def test_linear_is_computed_left_to_right_as_the_demo_does() -> None:
    at = schedule(rate({"kind": "linear", "start": 1.0, "end": 0.1}), 100)
    assert [at(k) for k in range(100)] == [1.0 - 0.9 * k / 100 for k in range(100)]
    assert [at(k) for k in range(100)] != [1.0 - 0.9 * (k / 100) for k in range(100)]


def test_formulas() -> None:
    at = {spec["kind"]: schedule(rate(spec), 1000) for spec in EXAMPLES}
    assert [at["constant"](k) for k in (0, 999)] == [0.3, 0.3]
    assert [at["step"](k) for k in (0, 29, 30, 60)] == pytest.approx([0.5, 0.5, 0.05, 0.005])
    assert at["exponential"](2) == pytest.approx(0.5 * 0.99**2)
    assert at["cosine"](0) == 0.5
    assert at["cosine"](500) == pytest.approx((0.5 + 0.05) / 2)
    assert at["cosine"](1000) == pytest.approx(0.05)


def test_warm_up_climbs_and_then_runs_the_rest() -> None:
    at = schedule(
        rate(
            {"kind": "warmup", "steps": 4, "then": {"kind": "linear", "start": 0.8, "end": 0.2}}, 10
        ),
        10,
    )
    assert [at(k) for k in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert at(7) == pytest.approx(0.8 - 0.6 * 3 / 6)


@pytest.mark.parametrize("spec", EXAMPLES, ids=lambda spec: str(spec["kind"]))
def test_rates_of_many_steps_have_the_bits_of_each(spec: dict[str, Any]) -> None:
    at = schedule(rate(spec), 1000)
    many = rates(rate(spec), 1000, 7, 999)
    assert many.dtype == np.float64
    assert many.tolist() == [at(k) for k in range(7, 999)]


def test_every_schedule_is_an_example_here() -> None:
    assert {spec["kind"] for spec in EXAMPLES} == set(SCHEDULES)


def test_a_warm_up_leads_to_another_kind_of_schedule() -> None:
    warmup = {"kind": "warmup", "steps": 2, "then": 0.5}
    twice = vary(SMALL, optimizer={"learning_rate": warmup | {"then": warmup}})
    sentence = "a warm-up cannot follow a warm-up; choose another kind"
    assert refusals(twice) == {"/optimizer/learning_rate/then": sentence}
