"""What is carried away answers as the engine does: in ONNX Runtime and in bare Python."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors import safe_open
from safetensors.numpy import load

from engine.export import FORMATS, TrainedModel
from engine.inference import Preprocessing, predict
from engine.networks.forward import layers_from
from tests.engine.export.models import DOCUMENTS, ORIGIN, TABLE, model, rows

CLOSE = {"rel": 1e-12, "abs": 1e-12}


@pytest.fixture(params=DOCUMENTS)
def found(request: pytest.FixtureRequest) -> TrainedModel:
    return model(DOCUMENTS[request.param])


def asked(found: TrainedModel) -> list[dict[str, Any]]:
    return predict(found.preprocessing, found.layers, rows(found))


def session(data: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def feed(found: TrainedModel, items: list[list[Any]]) -> dict[str, Any]:
    """The rows as the inputs of the ONNX model."""
    columns = list(zip(found.preprocessing.columns, zip(*items, strict=True), strict=True))
    reserved = {"numbers", "class"}
    made: dict[str, Any] = {
        column.name + "_" * (column.name in reserved): np.array(
            [["" if v is None else v] for v in values], dtype=object
        )
        for column, values in columns
        if column.type == "text"
    }
    numbers = [values for column, values in columns if column.type != "text"]
    return made | {"numbers": np.array(numbers, dtype=np.float64).T}


def test_onnx_takes_raw_rows_and_answers_as_the_engine(found: TrainedModel) -> None:
    loaded = session(FORMATS["onnx"].write(found))
    names = [output.name for output in loaded.get_outputs()]
    answers = dict(zip(names, loaded.run(None, feed(found, rows(found))), strict=True))
    for i, wanted in enumerate(asked(found)):
        if "probabilities" in wanted:
            wanted = wanted | {"probabilities": list(wanted["probabilities"].values())}
        assert list(wanted) == names
        for name, value in wanted.items():
            if name == "class":
                assert answers[name][i] == value
            else:
                assert answers[name][i] == pytest.approx(value, **CLOSE)
    metadata = loaded.get_modelmeta().custom_metadata_map
    assert Preprocessing.from_json(metadata["preprocessing"]).output == found.preprocessing.output
    assert (metadata["job"], metadata["step"], metadata["loss"]) == ("job_0123", "7", "0.125")


def test_plain_python_answers_as_the_engine(found: TrainedModel) -> None:
    """The sums are made in the same order, so most numbers have the same bits."""
    names: dict[str, Any] = {}
    exec(compile(FORMATS["python"].write(found), "model.py", "exec"), names)
    columns = [column.name for column in found.preprocessing.columns]
    for row, wanted in zip(rows(found), asked(found), strict=True):
        for given in (row, dict(zip(columns, row, strict=True))):
            answer = names["predict"](given)
            assert answer.keys() == wanted.keys()
            for name, value in wanted.items():
                exact = name == "class"
                assert answer[name] == (value if exact else pytest.approx(value, **CLOSE))


def test_plain_python_needs_nothing_and_runs_none_of_the_names(tmp_path: Path) -> None:
    """The name of the job holds a line of code, which must stay a comment."""
    path = tmp_path / "model.py"
    path.write_bytes(FORMATS["python"].write(model(TABLE)))
    assert path.read_text().count("import") == 2
    program = (
        "import sys; before = set(sys.modules); import model; "
        "print(*sorted(set(sys.modules) - before)); "
        "print(model.predict(['red', 'a', 1.5, True])['class'])"
    )
    command = [sys.executable, "-S", "-c", program]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[0] in ("model", "math model")


def test_plain_python_refuses_rows_that_do_not_fit() -> None:
    names: dict[str, Any] = {}
    exec(FORMATS["python"].write(model(TABLE)), names)
    for row, sentence in (
        ([1.0], "a row has 4 values"),
        (["pink", "a", 1.0, 0], "'pink' is not one of class"),
        ({"colour": "red"}, "there is no column 'colour'"),
    ):
        with pytest.raises(ValueError, match=sentence):
            names["predict"](row)
    assert names["predict"]({"size": 2.0})["class"] in ("bird", "cat", "dog")
    exec(FORMATS["python"].write(model(DOCUMENTS["score"])), names)
    with pytest.raises(ValueError, match="the row has no value for y"):
        names["predict"]({"x": 1.0})


def test_outputs_that_are_not_finite_have_no_class() -> None:
    found = model(DOCUMENTS["softmax"])
    huge = [[1.0] * 4]
    found.layers[-1].weights[0] = 1e308
    found.layers[0].biases[:] = 10.0
    assert predict(found.preprocessing, found.layers, huge)[0]["class"] is None
    names: dict[str, Any] = {}
    exec(FORMATS["python"].write(found), names)
    assert names["predict"](huge[0])["class"] is None
    answer = session(FORMATS["onnx"].write(found)).run(["class"], {"numbers": np.array(huge)})
    assert answer[0].tolist() == [""]


def test_json_reads_back_to_the_same_bits(found: TrainedModel) -> None:
    document = json.loads(FORMATS["json"].write(found))
    for ours, theirs in zip(layers_from(document), found.layers, strict=True):
        assert ours.weights.tobytes() == theirs.weights.tobytes()
        assert ours.biases.tobytes() == theirs.biases.tobytes()
        assert ours.activation == theirs.activation
    read = Preprocessing.from_json(json.dumps(document["preprocessing"]))
    assert read.to_json() == found.preprocessing.to_json()
    assert document["origin"] == asdict(ORIGIN)


def test_safetensors_are_the_state_of_a_sequential(tmp_path: Path) -> None:
    found = model(DOCUMENTS["score"])
    path = tmp_path / "model.safetensors"
    path.write_bytes(FORMATS["safetensors"].write(found))
    tensors = load(path.read_bytes())
    assert sorted(tensors) == [f"{i}.{kind}" for i in (0, 2, 4) for kind in ("bias", "weight")]
    assert tensors["2.weight"].tobytes() == found.layers[1].weights.tobytes()
    assert tensors["2.weight"].shape == (16, 16)
    with safe_open(path, "np") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["activations"]) == ["relu", "relu", "linear"]
    read = Preprocessing.from_json(metadata["preprocessing"])
    assert read.to_json() == found.preprocessing.to_json()
