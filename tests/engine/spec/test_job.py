"""Accepted and refused jobs, and the places that errors name."""

from __future__ import annotations

from typing import Any

import pytest

from engine.spec import JobSpec
from engine.spec.base import MAX_ROWS, pointer
from tests.engine.specs import MOONS, SMALL, job, refusals, vary


def test_the_demo_is_accepted_and_normalised() -> None:
    spec = job(MOONS)
    normal = spec.model_dump(mode="json")
    assert normal["training"]["log_every"] == 1
    assert normal["training"]["checkpoint_every"] == 2
    assert normal["executor"] == "native"
    assert JobSpec.model_validate(normal) == spec
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert (spec.parameters(), spec.sizes()) == (337, [2, 16, 16, 1])


def test_a_bare_number_is_a_constant_learning_rate() -> None:
    rate = job(optimizer={"learning_rate": 0.5}).optimizer.learning_rate
    assert rate.model_dump() == {"kind": "constant", "value": 0.5}


def test_long_trainings_log_at_most_ten_thousand_steps() -> None:
    spec = job(training={"steps": 1_000_000})
    assert spec.training.log_every == 100
    assert [spec.training.logs(k) for k in (0, 50, 100, 999_999)] == [True, False, True, True]


INLINE = {"kind": "inline", "x": [[0.0], [1.0]], "y": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"surprise": 1}, "/surprise"),
        ({"name": ""}, "/name"),
        ({"executor": "gpu"}, "/executor"),
        ({"dataset": {"kind": "moon"}}, "/dataset"),
        ({"dataset": {"n_samples": 5, "kind": "moons", "sigma": 1}}, "/dataset/sigma"),
        ({"dataset": {"kind": "moons", "n_samples": 1}}, "/dataset/n_samples"),
        ({"dataset": {"kind": "moons", "n_samples": MAX_ROWS + 1}}, "/dataset/n_samples"),
        ({"dataset": {"kind": "moons", "n_samples": 10.0}}, "/dataset/n_samples"),
        ({"dataset": {"kind": "moons", "noise": -0.1}}, "/dataset/noise"),
        ({"dataset": {"kind": "moons", "noise": float("nan")}}, "/dataset/noise"),
        ({"dataset": {"kind": "moons", "noise": float("inf")}}, "/dataset/noise"),
        ({"dataset": {"kind": "moons", "noise": 10**400}}, "/dataset/noise"),
        ({"dataset": {"kind": "moons", "noise": True}}, "/dataset/noise"),
        ({"dataset": {"kind": "moons", "seed": 2**32}}, "/dataset/seed"),
        ({"dataset": {"kind": "moons", "seed": -1}}, "/dataset/seed"),
        ({"dataset": {"kind": "circles", "factor": 1.0}}, "/dataset/factor"),
        ({"dataset": {"kind": "blobs", "n_samples": 3, "centers": 4}}, "/dataset/centers"),
        (
            {"dataset": {"kind": "blobs", "n_samples": 100_000, "n_features": 4000}},
            "/dataset/n_samples",
        ),
        ({"dataset": {"kind": "xor", "n_samples": 3}}, "/dataset/n_samples"),
        ({"dataset": {"kind": "spiral", "noise": 0.6}}, "/dataset/noise"),
        ({"dataset": {"kind": "classification", "n_features": 3}}, "/dataset/n_features"),
        ({"dataset": {"kind": "classification", "n_classes": 3}}, "/dataset/n_informative"),
        ({"dataset": INLINE | {"x": [], "y": []}}, "/dataset/x"),
        ({"dataset": INLINE | {"x": [[], []]}}, "/dataset/x/0"),
        ({"dataset": INLINE | {"x": [[1.0], [2.0, 3.0]]}}, "/dataset/x/1"),
        ({"dataset": INLINE | {"x": [[1.0], ["a"]]}}, "/dataset/x/1/0"),
        ({"dataset": INLINE | {"x": [[1.0], [float("nan")]]}}, "/dataset/x/1/0"),
        ({"dataset": INLINE | {"y": [1.0]}}, "/dataset/y"),
        ({"dataset": INLINE | {"y": [1.0, 1.0]}}, "/dataset/y"),
        ({"dataset": INLINE | {"y": [0.0, 2.5]}}, "/dataset/y/1"),
        ({"dataset": {"kind": "csv", "text": "a,b\nz,1\n1,0\n"}}, "/dataset/text"),
        ({"model": {"layers": []}}, "/model/layers"),
        ({"model": {"layers": [{"units": 0}]}}, "/model/layers/0/units"),
        ({"model": {"layers": [{"units": 2, "activation": "step"}]}}, "/model/layers/0/activation"),
        ({"model": {"layers": [{"units": 3}, {"units": 2}]}}, "/model/layers/1/units"),
        ({"model": {"layers": [{"units": 4096}, {"units": 4096}, {"units": 1}]}}, "/model/layers"),
        ({"model": {"init": {"kind": "orthogonal"}}}, "/model/init/kind"),
        ({"loss": {"kind": "l3"}}, "/loss/kind"),
        ({"loss": {"reduction": "median"}}, "/loss/reduction"),
        ({"loss": {"l2": -1e-4}}, "/loss/l2"),
        ({"loss": {"delta": 1.0}}, "/loss/delta"),
        ({"optimizer": {"learning_rate": 0}}, "/optimizer/learning_rate"),
        ({"optimizer": {"learning_rate": -0.1}}, "/optimizer/learning_rate"),
        ({"optimizer": {"learning_rate": float("inf")}}, "/optimizer/learning_rate"),
        ({"optimizer": {"learning_rate": "fast"}}, "/optimizer/learning_rate"),
        (
            {"optimizer": {"learning_rate": {"kind": "linear", "start": 0, "end": 0}}},
            "/optimizer/learning_rate/start",
        ),
        (
            {"optimizer": {"learning_rate": {"kind": "warmup", "steps": 5, "then": -1}}},
            "/optimizer/learning_rate/then",
        ),
        (
            {"optimizer": {"learning_rate": {"kind": "warmup", "steps": 20, "then": 1}}},
            "/optimizer/learning_rate/steps",
        ),
        (
            {
                "optimizer": {
                    "learning_rate": {
                        "kind": "warmup",
                        "steps": 5,
                        "then": {"kind": "cosine", "start": -1},
                    }
                }
            },
            "/optimizer/learning_rate/then/start",
        ),
        ({"optimizer": {"learning_rate": "0.1"}}, "/optimizer/learning_rate"),
        ({"optimizer": {"learning_rate": None}}, "/optimizer/learning_rate"),
        ({"optimizer": {"learning_rate": True}}, "/optimizer/learning_rate"),
        ({"optimizer": {"momentum": 1.0}}, "/optimizer/momentum"),
        ({"optimizer": {"nesterov": True}}, "/optimizer/nesterov"),
        ({"optimizer": {"clip_norm": 0.0}}, "/optimizer/clip_norm"),
        ({"training": {"steps": 0}}, "/training/steps"),
        ({"training": {"steps": -5}}, "/training/steps"),
        ({"training": {"batch_size": 0}}, "/training/batch_size"),
        ({"training": {"log_every": 0}}, "/training/log_every"),
        ({"training": {"steps": 10**8, "log_every": 1}}, "/training/log_every"),
        ({"training": {"validation_fraction": 1.0}}, "/training/validation_fraction"),
        ({"training": {"early_stopping": {"patience": 3}}}, "/training/early_stopping"),
        ({"training": {"deadline_seconds": 0}}, "/training/deadline_seconds"),
    ],
)
def test_refusals_name_the_place(changes: dict[str, Any], place: str) -> None:
    assert place in refusals(vary(SMALL, **changes))


@pytest.mark.parametrize("part", ["dataset", "model", "loss", "optimizer", "training"])
def test_every_part_is_needed(part: str) -> None:
    document = {name: value for name, value in SMALL.items() if name != part}
    assert f"/{part}" in refusals(document)


LABELS: dict[str, dict[str, Any]] = {
    "mixed": {"kind": "inline", "x": [[0.0]] * 3, "y": [0.0, -1.0, 1.0]},
    "halves": {"kind": "inline", "x": [[0.0]] * 2, "y": [0.5, 1.0]},
    "three": {"kind": "inline", "x": [[0.0]] * 3, "y": [0.0, 1.0, 2.0]},
    "whole": {"kind": "inline", "x": [[0.0]] * 2, "y": [7.0, -3.0]},
    "signs": {"kind": "inline", "x": [[0.0]] * 2, "y": [-1.0, 1.0]},
}


@pytest.mark.parametrize(
    ("loss", "units", "dataset", "place"),
    [
        ("max_margin", 1, LABELS["mixed"], "/dataset/y"),
        ("binary_cross_entropy", 1, LABELS["halves"], "/dataset/y/0"),
        ("max_margin", 1, LABELS["three"], "/dataset/y/2"),
        ("cross_entropy", 2, LABELS["three"], "/dataset/y/2"),
        ("cross_entropy", 3, {"kind": "moons"}, "/model/layers/0/units"),
        ("cross_entropy", 1, {"kind": "iris"}, "/model/layers/0/units"),
        ("max_margin", 1, {"kind": "iris"}, "/loss/kind"),
        ("binary_cross_entropy", 1, {"kind": "blobs", "centers": 3}, "/loss/kind"),
        ("cross_entropy", 2, {"kind": "diabetes"}, "/loss/kind"),
        ("max_margin", 1, {"kind": "plane"}, "/loss/kind"),
        ("mse", 2, {"kind": "diabetes"}, "/model/layers/0/units"),
        ("huber", 1, {"kind": "csv", "text": "a,b\n1,x\n2,y"}, "/dataset/target"),
        (
            "max_margin",
            1,
            {"kind": "moons", "standardise_targets": True},
            "/dataset/standardise_targets",
        ),
    ],
)
def test_targets_loss_and_outputs_must_fit(
    loss: str, units: int, dataset: dict[str, Any], place: str
) -> None:
    changes = {"loss": {"kind": loss}, "model": {"layers": [{"units": units}]}}
    assert list(refusals(vary(SMALL, dataset=dataset, **changes))) == [place]


@pytest.mark.parametrize(
    ("loss", "units", "dataset"),
    [
        ("max_margin", 1, LABELS["signs"]),
        ("binary_cross_entropy", 1, LABELS["signs"]),
        ("cross_entropy", 3, LABELS["three"]),
        ("cross_entropy", 2, LABELS["signs"]),
        ("cross_entropy", 2, LABELS["whole"]),
        ("max_margin", 1, LABELS["whole"]),
        ("cross_entropy", 2, {"kind": "moons"}),
        ("cross_entropy", 10, {"kind": "digits"}),
        ("mse", 1, LABELS["halves"]),
        ("mae", 1, {"kind": "moons"}),
        ("cross_entropy", 2, {"kind": "csv", "text": "a,b\n1,x\n2,y"}),
    ],
)
def test_what_fits_is_accepted(loss: str, units: int, dataset: dict[str, Any]) -> None:
    job(dataset=dataset, loss={"kind": loss}, model={"layers": [{"units": units}]})


def test_several_mistakes_are_all_reported() -> None:
    found = refusals(vary(SMALL, training={"steps": -1}, model={"layers": [{"units": 0}]}))
    assert found.keys() == {"/training/steps", "/model/layers/0/units"}


def test_work_grows_with_parameters_rows_and_steps() -> None:
    spec = job(MOONS)
    assert spec.work() == 3 * 337 * 100 * 100
    assert job(MOONS, training={"batch_size": 10}).work() == spec.work() // 10
    assert job(MOONS, executor="scalar").work() > 1_000 * spec.work()


def test_work_counts_the_validation_rows_of_each_logged_step() -> None:
    apart = {"validation_fraction": 0.9, "batch_size": 1}
    always = job(MOONS, training={**apart, "log_every": 1}).work()
    seldom = job(MOONS, training={**apart, "log_every": 50}).work()
    assert always == 337 * (3 * 100 + 90 * 100)
    assert seldom == 337 * (3 * 100 + 90 * 2)


def test_memory_grows_with_rows_outputs_and_parameters() -> None:
    few = job(MOONS).memory()
    assert few.total < 20e6
    classes = {"dataset": {"kind": "inline", "x": [[1.0]] * 1000, "y": [0.0, 1.0] * 500}}
    many = {**classes, "model": {"layers": [{"units": 4096}]}, "loss": {"kind": "cross_entropy"}}
    assert job(MOONS, **many).memory().targets > 8 * 1000 * 4096 * 2
    wide = {"model": {"layers": [{"units": 1000}, {"units": 1000}, {"units": 1}]}}
    assert 1e9 < job(MOONS, **wide).memory().total < 1.1e9
    assert job(MOONS, training={"validation_fraction": 0.25}).training_rows() == 75


def test_the_document_says_that_a_large_batch_is_the_full_one() -> None:
    text = JobSpec.model_json_schema()["$defs"]["TrainingSpec"]["description"]
    assert "`batch_size: null`, or one no smaller than the training rows, takes all" in text


def test_pointers_escape_what_rfc_6901_reserves() -> None:
    assert pointer(["a/b", 0, "m~n"]) == "/a~1b/0/m~0n"


@pytest.mark.parametrize(
    ("training", "kept"),
    [
        ({}, "last"),
        ({"keep": "best"}, "best"),
        ({"early_stopping": {"patience": 3}, "validation_fraction": 0.2}, "best"),
        (
            {"early_stopping": {"patience": 3, "restore_best": False}, "validation_fraction": 0.2},
            "last",
        ),
        (
            {"keep": "last", "early_stopping": {"patience": 3}, "validation_fraction": 0.2},
            "last",
        ),
    ],
)
def test_early_stopping_delivers_the_best_parameters_and_other_trainings_the_last(
    training: dict[str, Any], kept: str
) -> None:
    spec = job(training={"steps": 10} | training)
    assert spec.training.keep == kept
    # The normalised specification reads back as itself.
    assert JobSpec.model_validate_json(spec.model_dump_json()).training.keep == kept


def test_contradicting_ways_to_keep_parameters_are_refused() -> None:
    training = {"steps": 10, "validation_fraction": 0.2, "keep": "last"}
    training |= {"early_stopping": {"patience": 3, "restore_best": True}}
    assert "/training/keep" in refusals(vary(SMALL, training=training))


@pytest.mark.parametrize("y", [[0.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
def test_a_validation_set_that_takes_all_rows_of_a_class_is_refused(y: list[float]) -> None:
    dataset = {"kind": "inline", "x": [[float(i)] for i in range(len(y))], "y": y}
    small = vary(SMALL, dataset=dataset, training={"validation_fraction": 0.7})
    reason = refusals(small)["/training/validation_fraction"]
    most = f"at most {len(y) - 2} may be kept, so lower it or add rows"
    assert f"one of the 2 classes without a training row; {most}" in reason


def test_labels_are_refused_with_their_row_and_what_is_allowed() -> None:
    dataset = {"kind": "inline", "x": [[0.0], [1.0], [2.0]], "y": [0.0, 1.0, 3.0]}
    model = {"layers": [{"units": 2}]}
    wrong = vary(SMALL, dataset=dataset, model=model, loss={"kind": "cross_entropy"})
    assert refusals(wrong) == {
        "/dataset/y/2": "row 2 has label 3, but 2 output units allow only the labels 0 and 1"
    }


@pytest.mark.parametrize("label", ["inf", "-Infinity", "1e400", "+INF"])
def test_an_infinite_label_among_numbers_is_not_the_name_of_a_class(label: str) -> None:
    dataset = {"kind": "csv", "text": f"a,y\n1,0\n2,1\n3,{label}\n4,1"}
    model = {"layers": [{"units": 3}]}
    reasons = refusals(vary(SMALL, dataset=dataset, model=model, loss={"kind": "cross_entropy"}))
    sentence = f"line 4, column 2 (y): the label {label!r} is not finite; give every class "
    assert reasons == {"/dataset/text": sentence + "a finite number or a name"}


@pytest.mark.parametrize("labels", [("inf", "-inf"), ("-inf", "inf"), ("+nan", "inf")])
def test_labels_that_are_all_infinite_are_not_the_names_of_classes(labels: tuple[str, str]) -> None:
    text = f"x,y\n1,{labels[0]}\n2,{labels[1]}\n3,{labels[0]}\n"
    reasons = refusals(vary(SMALL, dataset={"kind": "csv", "text": text}))
    sentence = f"line 2, column 2 (y): the label {labels[0]!r} is not finite; give every class "
    assert reasons == {"/dataset/text": sentence + "a finite number or a name"}


def test_equal_numbers_among_names_are_one_class() -> None:
    dataset = {"kind": "csv", "text": "a,y\n1,1\n2,1.0\n3,other\n4,1e0"}
    spec = job(dataset=dataset)
    assert spec.dataset.table.names == ("1", "other")  # type: ignore[attr-defined]
    assert spec.dataset.table.y == [0.0, 0.0, 1.0, 0.0]  # type: ignore[attr-defined]


def test_only_a_null_that_belongs_to_another_loss_is_ignored() -> None:
    assert job(loss={"kind": "mse", "delta": None}, dataset={"kind": "plane"}).loss.kind == "mse"
    wrong = vary(SMALL, loss={"kind": "mse", "l1": None}, dataset={"kind": "plane"})
    assert list(refusals(wrong)) == ["/loss/l1"]
