"""Pictures asked for over HTTP, and drawn by a worker in this process or by the API itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from werkzeug.test import TestResponse

from engine.spec import JobSpec
from service.api.app import create_app
from tests.engine.export.models import FEATURES, TABLE
from tests.engine.specs import MOONS, SMALL, vary
from tests.worker.conftest import Bench
from tests.worker.test_compute import STEPS, Answers, momentum_spec

LINE = {"kind": "inline", "x": [[0.0], [1.0], [2.0], [3.0]], "y": [0.0, 1.0, 4.0, 9.0]}


@pytest.fixture
def ask(sqlite_bench: Bench) -> Iterator[Answers]:
    app = create_app(replace(sqlite_bench.settings, auth="off"))
    with app.test_client() as client:
        yield Answers(client, sqlite_bench)
    app.extensions["gradserve"].close()


def get(ask: Answers, id: str, what: str, **query: Any) -> TestResponse:
    with ask.worker():
        return ask.client.get(
            f"/v1/jobs/{id}/{what}", query_string=query, headers={"Prefer": "wait=30"}
        )


def trained(ask: Answers, spec: JobSpec) -> str:
    id = ask.bench.submit(spec)
    ask.bench.work(id)
    return id


def short(document: dict[str, Any], **changes: Any) -> JobSpec:
    changed = vary(document, training={"steps": 5}, executor="scalar", **changes)
    return JobSpec.model_validate(changed)


def texts(answer: TestResponse) -> list[str]:
    """The texts of a picture, which must be well-formed and stand within its frame."""
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "image/svg+xml"
    root = ElementTree.fromstring(answer.text)
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    found = []
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        x, y = float(element.attrib["x"]), float(element.attrib["y"])
        assert 0 <= x <= width
        assert 0 <= y <= height
        found.append(element.text or "")
    assert "nan" not in re.sub("<text.*?</text>|<title.*?</title>", "", answer.text)
    return found


def test_pictures_of_two_classes(ask: Answers) -> None:
    id = trained(ask, momentum_spec("scalar"))
    assert "max_margin" in "".join(texts(get(ask, id, "plots/loss.svg")))
    boundary = texts(get(ask, id, "plots/boundary.svg"))
    assert {"x", "y", "0", "1"} <= set(boundary)
    assert boundary[0].endswith(f"step {STEPS}: what the network answers")
    confusion = texts(get(ask, id, "plots/confusion.svg"))
    assert confusion[1].startswith("6 validation rows · accuracy")
    of_training = texts(get(ask, id, "plots/confusion.svg", of="training", step=0))
    assert of_training[1].startswith("24 training rows")
    assert "17 parameters" in "".join(texts(get(ask, id, "plots/weights.svg")))


def test_pictures_of_several_classes_and_columns_of_texts(ask: Answers) -> None:
    id = trained(ask, short(TABLE))
    found = texts(get(ask, id, "plots/boundary.svg"))
    assert {"size", "old", "bird", "cat", "dog"} <= set(found)
    assert {"class=blue", "numbers=a", "size"} <= set(texts(get(ask, id, "plots/weights.svg")))
    other = texts(get(ask, id, "plots/boundary.svg", x="old", y="size"))
    assert [name for name in other if name in ("size", "old")] == ["old", "size"]
    for query, sentence in (
        ({"x": "class"}, "/x: class is not a column of numbers; there are size, old"),
        ({"x": "old", "y": "old"}, "/y: x and y are both old; choose two different columns"),
    ):
        answer = get(ask, id, "plots/boundary.svg", **query)
        assert (answer.status_code, answer.json["detail"]) == (422, sentence)


def test_pictures_of_a_regression(ask: Answers) -> None:
    id = trained(ask, short(SMALL, dataset=LINE, loss={"kind": "mse"}))
    assert "R²" in texts(get(ask, id, "plots/loss.svg"))
    assert "x0" in texts(get(ask, id, "plots/boundary.svg"))
    found = texts(get(ask, id, "plots/predicted.svg"))
    assert found[1].startswith("4 training rows · R²")
    answer = get(ask, id, "plots/confusion.svg")
    sentence = "/kind: a regression has no classes to be confused; ask for predicted"
    assert (answer.status_code, answer.json["detail"]) == (422, sentence)
    answer = get(ask, id, "plots/predicted.svg", of="validation")
    sentence = "/of: the job has no validation rows; ask for of=training"
    assert (answer.status_code, answer.json["detail"]) == (422, sentence)


def test_features_name_the_inputs_and_columns_the_axes(ask: Answers) -> None:
    id = trained(ask, short(FEATURES))
    assert {"x", "y"} <= set(texts(get(ask, id, "plots/boundary.svg")))
    assert "sin(2*x)" in texts(get(ask, id, "plots/weights.svg"))


def test_the_graph_of_a_row_has_the_values_of_its_loss(ask: Answers) -> None:
    spec = momentum_spec("scalar")
    id = trained(ask, spec)
    found = get(ask, id, "graph", row=3, step=0, format="json").json
    nodes = {node["label"]: node for node in found["nodes"] if node["label"]}
    assert {"x", "y", "w1[3,1]", "b2[0]", "output", "loss"} <= set(nodes)
    assert nodes["loss"]["grad"] == 1.0
    parameters = ask.get(id, 0).json["layers"]
    assert nodes["w1[3,1]"]["data"] == parameters[0]["weights"][3][1]
    assert max(found["edges"]) == [len(found["nodes"]) - 2, len(found["nodes"]) - 1]
    dot = get(ask, id, "graph", row=3, step=0, format="dot")
    assert dot.mimetype == "text/vnd.graphviz"
    assert dot.text.count("shape=record") == len(found["nodes"])
    shown = texts(get(ask, id, "graph", row=3, step=0))
    assert shown.count("loss") == 1
    assert sum(text.startswith("grad ") for text in shown) == len(found["nodes"])
    answer = get(ask, id, "graph", row=30)
    sentence = "/row: is 30, but the rows are 0 to 29"
    assert (answer.status_code, answer.json["detail"]) == (422, sentence)


def test_a_graph_that_is_too_large_is_drawn_as_neurons_and_says_so(ask: Answers) -> None:
    id = trained(ask, short(MOONS))
    found = texts(get(ask, id, "graph"))
    assert found[1] == "neurons and links: the graph has at least 674 values, more than 500"
    assert "16 relu" in found
    answer = get(ask, id, "graph", format="dot")
    assert answer.status_code == 422
    assert answer.json["detail"].endswith("format=svg draws neurons and links instead")


def test_a_theme_changes_the_style_alone(ask: Answers) -> None:
    id = trained(ask, momentum_spec("scalar"))
    for what in ("plots/weights.svg", "plots/loss.svg"):
        found = {theme: get(ask, id, what, theme=theme).text for theme in ("light", "dark", "auto")}
        assert len({re.sub("<style>.*</style>", "", text) for text in found.values()}) == 1
        assert "prefers-color-scheme" in found["auto"]
        assert "prefers-color-scheme" not in found["dark"]
        assert "#1c1f24" in found["dark"]
        assert "#1c1f24" not in found["light"]
    assert len(ask.rows()) == 1


def test_a_browser_may_use_the_style_of_a_picture_and_nothing_else(ask: Answers) -> None:
    id = ask.bench.submit(momentum_spec("scalar"))
    answer = ask.client.get(f"/v1/jobs/{id}/plots/loss.svg")
    assert "no step is logged yet" in texts(answer)
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")


def test_what_a_picture_does_not_have_is_refused_with_its_place(ask: Answers) -> None:
    id = trained(ask, momentum_spec("scalar"))
    for what, place in (
        ("plots/loss.svg?step=3", "/step"),
        ("plots/confusion.svg?x=x", "/x"),
        ("plots/weights.svg?theme=blue", "/theme"),
        ("plots/pie.svg", "/kind"),
        ("plots/weights.svg?step=41", "/step"),
        ("graph?row=-1", "/row"),
    ):
        answer = ask.client.get(f"/v1/jobs/{id}/{what}")
        assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (422, place)


def test_the_name_of_a_job_is_text_and_nothing_else(ask: Answers) -> None:
    name = "<script>alert('&')</script>\n" + "long " * 30
    id = trained(ask, short(SMALL, dataset=LINE, loss={"kind": "mse"}, name=name))
    for what in ("plots/loss.svg", "plots/weights.svg", "graph"):
        answer = get(ask, id, what)
        texts(answer)
        assert "<script" not in answer.text
    assert json.loads(ask.rows()[0][3])["kind"] == "weights"
