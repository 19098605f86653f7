"""The examples of docs/data.md are accepted, and give what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from engine.inference import predict, preprocessing_of
from engine.networks.forward import layers_of
from tests.engine.specs import job

PAGE = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


def test_the_table_of_the_page_is_read_and_asked() -> None:
    spec = job(dataset=EXAMPLES[0], loss={"kind": "mse"}, model={"layers": [{"units": 1}]})
    found = spec.model_dump()["dataset"]
    assert (found["header"], found["delimiter"], found["decimal"]) == (True, ";", ",")
    layers = layers_of(np.array([1.0, 10.0, 100.0, 0.5]), [3, 1], ["linear"])
    items = predict(preprocessing_of(spec), layers, [{"size": 2.0, "colour": "red"}])
    # size + 10·blue + 100·red + ½, as the texts of a column are in alphabetical order.
    assert items == [{"value": 102.5}]


def test_the_features_of_the_page_are_accepted() -> None:
    assert job(dataset=EXAMPLES[1]).sizes()[0] == 7
