"""Judging a network over HTTP: figures of all rows, and each row behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from engine.spec import JobSpec
from engine.train import train
from tests.worker.conftest import Bench
from tests.worker.test_compute import Answers
from tests.worker.test_predictions import CSV, Asked, named, other

WAIT = {"Prefer": "wait=30"}


class Judge(Asked):
    """A trained job, and a worker that computes whatever is asked."""

    def get(self, what: str, **query: Any) -> TestResponse:
        with Answers(self.client, self.bench).worker():
            path = f"/v1/jobs/{self.id}/{what}"
            return self.client.get(path, query_string=query, headers=WAIT)

    def found(self, what: str, **query: Any) -> Any:
        answer = self.get(what, **query)
        assert answer.status_code == 200, answer.text
        return answer.json

    def artifacts(self) -> list[Any]:
        return self.bench.rows("SELECT kind, arguments FROM artifacts ORDER BY pk")


@pytest.fixture
def judge(client: FlaskClient, bench: Bench) -> Judge:
    return Judge(client, bench, named(checkpoint_every=20))


def test_the_figures_are_those_of_the_history_and_of_the_rows(judge: Judge) -> None:
    history = [row for progress in train(judge.spec) for row in progress.rows]
    for of, rows in (("training", 24), ("validation", 6)):
        found = judge.found("evaluation", of=of, step=5)
        assert (found["step"], found["of"], found["rows"]) == (5, of, rows)
        logged = history[5]
        if of == "training":
            expected = (logged.loss, logged.accuracy)
        else:
            expected = (logged.validation_loss, logged.validation_accuracy)
        assert found["loss"] == pytest.approx(expected[0], rel=1e-12)
        assert (found["score_name"], found["score"]) == ("accuracy", expected[1])
        names = [one["name"] for one in found["classes"]]
        assert names == ["elm", "fir", "oak"]
        confusion = np.array(found["confusion"])
        assert confusion.trace() / confusion.sum() == pytest.approx(found["score"])
        for i, one in enumerate(found["classes"]):
            assert one["rows"] == confusion[i].sum()
            hits, predicted = confusion[i, i], confusion[:, i].sum()
            assert one["recall"] == hits / one["rows"]
            assert one["precision"] == (hits / predicted if predicted else None)
        page = judge.client.get(found["links"]["rows"]).json
        assert page["total"] == rows
        assert np.mean([item["loss"] for item in page["items"]]) == pytest.approx(found["loss"])
        # Each cell of the matrix can be opened.
        for i, true in enumerate(names):
            for j, predicted in enumerate(names):
                cell = judge.found("rows", of=of, step=5, true=true, predicted=predicted)
                assert cell["total"] == len(cell["items"]) == confusion[i, j]
                for item in cell["items"]:
                    assert (item["target"], item["prediction"]["class"]) == (true, predicted)
    assert judge.artifacts() == [
        ("evaluation", '{"of":"training","step":5}'),
        ("evaluation", '{"of":"validation","step":5}'),
    ]


def test_rows_are_those_of_the_data_set_with_the_answers_of_a_prediction(judge: Judge) -> None:
    lines = [line.split(",") for line in CSV.splitlines()[1:]]
    seen = []
    for of in ("training", "validation"):
        for item in judge.found("rows", of=of)["items"]:
            height, sort, kind = lines[item["row"]]
            assert item["inputs"] == {"height": float(height), "sort": sort}
            assert item["target"] == kind
            assert item["residual"] is None
            again = judge.predict({"rows": [item["inputs"]]}).json
            assert again["items"] == [item["prediction"]]
            seen.append(item["row"])
    assert sorted(seen) == list(range(30))


def test_rows_are_sorted_and_paged(judge: Judge) -> None:
    whole = judge.found("rows", of="training")
    assert whole["next_cursor"] is None
    rows = [item["row"] for item in whole["items"]]
    assert rows == sorted(rows)
    worst = judge.found("rows", of="training", sort="-loss")["items"]
    losses = [item["loss"] for item in worst]
    assert losses == sorted(losses, reverse=True)
    best = judge.found("rows", of="training", sort="loss")["items"]
    assert [item["loss"] for item in best] == losses[::-1]
    first = judge.found("rows", of="training", sort="-loss", limit=10, step=7)
    second = judge.found("rows", of="training", sort="-loss", limit=14, cursor=first["next_cursor"])
    assert (second["step"], second["next_cursor"]) == (7, None)
    both = [item["row"] for item in first["items"] + second["items"]]
    assert sorted(both) == rows
    # Without a name it is the validation rows that are meant, where there are some.
    assert judge.found("rows")["of"] == judge.found("evaluation")["of"] == "validation"


def test_a_regression_has_residuals_and_r_squared(client: FlaskClient, bench: Bench) -> None:
    judge = Judge(client, bench, other("plane", "mse", standardise_targets=True))
    found = judge.found("evaluation")
    assert (found["of"], found["score_name"], found["loss_unit"]) == ("training", "R²", "σ²")
    assert found["classes"] is found["confusion"] is None
    items = judge.found("rows")["items"]
    targets = np.array([item["target"] for item in items])
    residuals = np.array([item["target"] - item["prediction"]["value"] for item in items])
    assert [item["residual"] for item in items] == residuals.tolist()
    expected = 1 - (residuals**2).sum() / ((targets - targets.mean()) ** 2).sum()
    assert found["score"] == pytest.approx(expected)
    assert found["residuals"]["mean_absolute"] == pytest.approx(np.abs(residuals).mean())
    assert found["residuals"]["max"] == residuals.max()
    job = bench.job(judge.id)
    assert client.get(f"/v1/jobs/{judge.id}").json["score_name"] == job.score_name == "R²"
    bench.change("UPDATE jobs SET score_name = NULL")  # as an older version stored it
    assert client.get(f"/v1/jobs/{judge.id}").json["score_name"] == "R²"
    assert client.get("/v1/jobs").json["items"][0]["score_name"] is None
    wrong = judge.get("rows", true="1")
    assert wrong.json["errors"][0]["detail"] == "the job is a regression, which has no classes"
    wrong = judge.get("evaluation", of="validation")
    assert wrong.status_code == 422
    assert "training.validation_fraction" in wrong.json["errors"][0]["detail"]


def test_a_network_that_has_nearly_diverged_is_judged_as_far_as_that_goes(
    client: FlaskClient, bench: Bench
) -> None:
    spec = other("plane", "mse").model_dump()
    spec["optimizer"]["learning_rate"] = 1e6
    spec["training"]["steps"] = 60
    judge = Judge(client, bench, JobSpec.model_validate(spec))
    step = bench.job(judge.id).step
    assert bench.job(judge.id).state == "failed"
    found = judge.found("evaluation", step=step)
    assert found["loss"] is None or found["loss"] > 1e100
    assert judge.found("rows", step=step, sort="-loss")["total"] == 30


@pytest.mark.parametrize(
    ("query", "place", "says"),
    [
        ({"true": "yew"}, "/true", "'yew' is not a class of kind; there are elm, fir, oak"),
        ({"predicted": ""}, "/predicted", "is not a class"),
        ({"of": "test"}, "/of", "training"),
        ({"sort": "class"}, "/sort", "-loss"),
        ({"limit": "1001"}, "/limit", "1000"),
        ({"cursor": "abc"}, "/cursor", "not a cursor"),
        ({"cursor": "\x00é"}, "/cursor", "not a cursor"),
        ({"step": "21"}, "/step", "has finished 20 updates"),
        ({"dataset": "ds_1"}, "/dataset", "no query parameter of this name"),
    ],
)
def test_wrong_questions_are_refused_with_their_place(
    sqlite_judge: Judge, query: dict[str, str], place: str, says: str
) -> None:
    answer = sqlite_judge.get("rows", **query)
    assert answer.status_code == 422, answer.text
    (error,) = answer.json["errors"]
    assert error["pointer"] == place
    assert says in error["detail"]


@pytest.fixture
def sqlite_judge(sqlite_client: FlaskClient, sqlite_bench: Bench) -> Judge:
    return Judge(sqlite_client, sqlite_bench, named())


def test_a_job_that_has_not_begun_can_be_judged_at_step_0_only(sqlite_judge: Judge) -> None:
    judge = sqlite_judge
    judge.id = judge.bench.submit(named())
    assert judge.get("evaluation").status_code == judge.get("rows").status_code == 409
    assert judge.found("evaluation", step=0)["rows"] == 6
    assert judge.found("parameters", step=0)["preprocessing"]["version"] == 1
    judge.id = f"job_{'0' * 24}"
    assert judge.get("evaluation").status_code == judge.get("rows").status_code == 404
