"""Pictures as SVG: readable numbers on the axes, and any data can be drawn."""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from engine.inference import evaluate, rows_of
from engine.networks.forward import LayerParameters
from engine.spec import JobSpec
from service.plots import curves, judgement, network, scalar_graph, surface, svg, weights
from service.plots.axes import Scale, linear_ticks, shown, widened
from service.plots.svg import Picture
from tests.engine.export.models import DOCUMENTS, model
from tests.engine.specs import SMALL, vary


def checked(picture: Picture) -> str:
    """The text of a picture that is well-formed and whose places are numbers on it."""
    text = picture.svg()
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for name in ("x", "y", "cx", "cy", "d"):
            for found in re.findall(r"-?[\d.]+|nan|inf", element.attrib.get(name, "")):
                assert abs(float(found)) < 20_000
    return text


def rows(*losses: float | None, **more: float | None) -> list[dict[str, Any]]:
    empty = {"accuracy": None, "validation_loss": None, "validation_accuracy": None}
    return [{"step": k, "loss": loss} | empty | more for k, loss in enumerate(losses)]


@pytest.mark.parametrize(
    "history",
    [
        [],
        rows(0.5),
        rows(1.0, None, 0.5, accuracy=0.5),
        rows(1.0, 0.0),
        rows(-1.0, 1.0),
        rows(1e-300, 1e300, accuracy=-1e9),
        rows(math.inf, 1.0, math.nan),
        rows(1.7e308, 1.0, 1e-308),
        rows(0.3, 0.3, 0.3),
    ],
)
def test_any_history_can_be_drawn(history: list[dict[str, Any]]) -> None:
    for score in ("accuracy", "R²"):
        checked(
            curves.draw(history, title="t", steps=3, loss_name="mse", score_name=score, best_step=0)
        )


@pytest.mark.parametrize("name", ["score", "sigmoid", "softmax", "value", "table"])
@pytest.mark.parametrize("scale", [1.0, 0.0, 1e200])
def test_any_network_can_be_drawn(name: str, scale: float) -> None:
    found, spec = model(DOCUMENTS[name]), JobSpec.model_validate(DOCUMENTS[name])
    layers = [
        LayerParameters(scale * one.weights, scale * one.biases, one.activation)
        for one in found.layers
    ]
    memory, of_training = found.preprocessing, rows_of(spec, "training")
    both = surface.Rows(of_training, rows_of(spec, "validation"))
    columns = [i for i, column in enumerate(memory.columns) if column.type != "text"]
    checked(surface.draw(memory, layers, both, title="t", x=columns[0], y=columns[1]))
    evaluation = evaluate(spec, memory, layers, of_training)
    if evaluation.confusion is None:
        checked(judgement.draw_predicted(evaluation, title="t", of="training", target="y"))
    else:
        text = checked(judgement.draw_confusion(evaluation, title="t", of="training"))
        assert f">{len(of_training.cells)} training rows" in text
    names = memory.input_names()
    checked(weights.draw(layers, names, title="t"))
    inputs = [(name, 0.5) for name in names]
    checked(network.draw(layers, inputs, title="t", note=""))


def test_wide_layers_are_drawn_as_means_and_by_their_largest() -> None:
    layer = LayerParameters(np.ones((500, 300)), np.zeros(500), "relu")
    text = checked(weights.draw([layer], [str(i) for i in range(300)], title="t"))
    assert "cells are means of blocks" in text
    assert len(text) < 400_000
    text = checked(network.draw([layer], [("x", 1.0)] * 300, title="t", note=""))
    assert text.count("16 shown") == 2


def test_the_boxes_of_a_graph_do_not_overlap() -> None:
    found = model(vary(SMALL, model={"layers": [{"units": 6}, {"units": 4}, {"units": 1}]}))
    loss = scalar_graph.loss_of(
        found.layers, [("x", 1.0), ("y", 2.0)], [1.0], lambda outputs, _: outputs[0]
    )
    boxes = scalar_graph.placed(scalar_graph.trace(loss)[0])
    by_column: dict[int, list[float]] = {}
    for box in boxes:
        by_column.setdefault(box.column, []).append(box.y)
        assert all(operand.column < box.column for operand in box.operands)
    for places in by_column.values():
        gaps = np.diff(sorted(places))
        assert (gaps >= scalar_graph.BOX[1]).all()


def test_ticks_stand_at_round_numbers() -> None:
    assert linear_ticks(0.0, 100.0, 5) == [0, 20, 40, 60, 80, 100]
    assert linear_ticks(-1.3, 2.4, 6) == [-1, 0, 1, 2]
    assert Scale(0.003, 20.0, 0, 1, log=True).ticks(5) == pytest.approx([0.01, 0.1, 1, 10])
    assert list(map(shown, [0.0, -2.5, 1e-7, 3.2e9, 2500.0])) == [
        "0",
        "−2.5",
        "10⁻⁷",
        "3.2·10⁹",
        "2500",
    ]
    low, high = widened(5.0, 5.0)
    assert low < 5.0 < high


def test_text_keeps_what_xml_does_not_allow_out() -> None:
    picture = Picture("a\x00b<c>", "&\x1b[31m\ud800", 100)
    root = ElementTree.fromstring(picture.svg())
    assert root[0].text == "a b<c>"


def test_texts_are_readable_in_both_themes() -> None:
    """At least 4.5 to 1 (WCAG 2.2, 1.4.3) against what they stand on."""

    assert svg.contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert svg.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    for token in svg.TOKENS.values():
        for ink in ("ink", "soft"):
            assert svg.contrast(token[ink], token["paper"]) >= 4.5
        for i in range(svg.BANDS):
            shade = svg.mixed(token["neutral"], token["pos"], i / (svg.BANDS - 1))
            assert svg.contrast(svg.readable_on(shade), shade) >= 4.5
