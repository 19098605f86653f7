"""Whatever stands in a specification, it is normalised or refused with places that exist."""

from __future__ import annotations

import copy
import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.spec import JobSpec, problems
from engine.spec.datasets import DATASETS
from engine.spec.warnings import warnings
from tests.engine.specs import DIGITS, IRIS, MOONS, SMALL, SPIRAL
from tests.fuzz.conftest import EXAMPLES

search = settings(
    max_examples=EXAMPLES or 60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

EXTRAS: dict[str, Any] = {
    "optimizer": {"momentum": 0.9, "nesterov": True, "clip_norm": 1.0},
    "training": {
        "batch_size": 4,
        "validation_fraction": 0.25,
        "early_stopping": {"patience": 3},
        "deadline_seconds": 60.0,
        "log_every": 2,
    },
}
KINDS = [*DATASETS, "mse", "cross_entropy", "huber", "step", "cosine", "uniform", "native", "tanh"]
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**31, 2**32, 2**53, 10**30, 1e-300, 1e300, math.nan, math.inf])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(KINDS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["kind", "x", "y", "start", "/~"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def specifications(draw: st.DrawFn) -> dict[str, Any]:
    """A good specification, with up to two parts replaced, added or removed."""
    spec = copy.deepcopy(draw(st.sampled_from([MOONS, SMALL, IRIS, DIGITS, SPIRAL])))
    for part, fields in EXTRAS.items():
        spec[part] |= draw(st.sampled_from([{}, copy.deepcopy(fields)]))
    for _ in range(draw(st.integers(0, 2))):
        place: Any = spec
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.booleans()):
                place = place[key]
                continue
            if draw(st.integers(0, 4)) == 0:
                del place[key]
            else:
                place[key] = draw(values)
            break
    return spec


def exists(pointer: str, document: Any) -> bool:
    """Whether a JSON pointer leads to a value, or to one that is missing in an object."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for position, part in enumerate(parts):
        if isinstance(document, list) and part.isdigit() and int(part) < len(document):
            document = document[int(part)]
        elif isinstance(document, dict) and part in document:
            document = document[part]
        else:
            return isinstance(document, dict) and position == len(parts) - 1
    return True


@search
@given(document=specifications())
def test_a_specification_is_refused_with_its_place_or_means_the_same_once_normalised(
    document: dict[str, Any],
) -> None:
    try:
        spec = JobSpec.model_validate(document)
    except ValidationError as error:
        for pointer, sentence in problems(error):
            assert exists(pointer, document), pointer
            assert sentence
        return
    normal = spec.model_dump(mode="json")
    again = JobSpec.model_validate(normal)
    assert again == spec
    assert again.model_dump(mode="json") == normal
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert spec.parameters() > 0
    assert spec.work() > 0
    assert spec.memory().total > 0
    assert all(exists(warning.pointer, normal) for warning in warnings(spec))
