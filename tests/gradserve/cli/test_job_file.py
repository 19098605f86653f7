"""A mistake in a job file is named with the file and the place before anything is sent."""

import io
import json
import sys
from pathlib import Path

import pytest

from gradserve.cli.job_file import read_job
from gradserve.errors import JobFileError

JOB = {
    "dataset": {"kind": "xor"},
    "model": {"layers": [{"units": 2, "activation": "tanh"}, {"units": 1}]},
    "loss": {"kind": "mse"},
    "optimizer": {"learning_rate": 0.1},
    "training": {"steps": 3},
}


def changed(**parts: object) -> str:
    return json.dumps(JOB | parts)


def test_a_job_is_returned_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(JOB))
    assert read_job(str(file)) == JOB


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(JOB).encode())))
    assert read_job("-") == JOB


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(json.dumps(JOB), encoding="utf-8-sig")
    assert read_job(str(file)) == JOB


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        (changed(training={"steps": -1}), "/training/steps"),
        (changed(training={"steps": 1, "stepps": 1}), "/training/stepps"),
        (changed(dataset={"kind": "xor", "n_samples": "4"}), "/dataset/n_samples"),
        (changed(dataset={"kind": "nothing"}), "/dataset"),
        (changed(dataset={"kind": "inline", "x": [[1], [1, 2]], "y": [0, 1]}), "/dataset/x/1"),
        (changed(model={"layers": []}), "/model/layers"),
        (changed(model={"layers": [{"units": 0}]}), "/model/layers/0/units"),
    ],
)
def test_the_pointer_leads_to_the_place(tmp_path: Path, text: str, pointer: str) -> None:
    file = tmp_path / "job.json"
    file.write_text(text)
    with pytest.raises(JobFileError) as caught:
        read_job(str(file))
    assert pointer in [error.pointer for error in caught.value.errors]
    assert str(caught.value).startswith(f"{file} is not a valid job\n  /")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"name": "a",\n "steps": }', "job.json:2:11 is not JSON: Expecting value"),
        (b"", "job.json:1:1 is not JSON"),
        (b"[1, 2]", "job.json must hold one JSON object"),
        (b'{"name": NaN}', "NaN is not a number in JSON"),
        (b'{"name": "a", "name": "b"}', "the field 'name' is given twice"),
        (b'{"name": "\xff"}', "is not UTF-8 text (byte 10)"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_not_a_json_object_is_refused_with_its_place(
    tmp_path: Path, content: bytes, sentence: str
) -> None:
    file = tmp_path / "job.json"
    file.write_bytes(content)
    with pytest.raises(JobFileError) as caught:
        read_job(str(file))
    assert str(file) in str(caught.value)
    assert sentence in str(caught.value)


def test_a_number_beyond_float64_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(changed(optimizer={"learning_rate": 1}).replace(": 1}", ": 1e999}"))
    with pytest.raises(JobFileError, match="/optimizer/learning_rate"):
        read_job(str(file))


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(JobFileError, match="Cannot read"):
        read_job(path)


def test_an_empty_path_is_not_a_folder() -> None:
    with pytest.raises(JobFileError) as caught:
        read_job("")
    assert str(caught.value) == "the path of the job file is empty; `-` stands for standard input"


def test_controls_in_a_job_file_are_shown_not_obeyed(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    file.write_text(changed(**{"\x1b[2J\x9b": 1}))
    with pytest.raises(JobFileError) as caught:
        read_job(str(file))
    assert str(caught.value).splitlines()[1].startswith("  /\\x1b[2J\\x9b: ")
    assert caught.value.errors[0].pointer == "/\x1b[2J\x9b"
