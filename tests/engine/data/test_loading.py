"""Data sets: the arrays that specifications become."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn import datasets as sklearn_datasets

from engine.arrays import Array
from engine.data.loading import InvalidData, load
from engine.spec import problems
from engine.spec.base import MAX_ROWS
from engine.spec.datasets import DATASETS
from engine.spec.datasets.bundled import Bundled
from engine.spec.datasets.playground import BUMPS
from engine.spec.tables import Options, TableError, read_table
from engine.training.prepared import prepare
from tests.engine.specs import job

REGRESSIONS = [
    "plane",
    "multi_gaussian",
    "regression",
    "friedman1",
    "friedman2",
    "friedman3",
    "sparse_uncorrelated",
    "swiss_roll",
    "s_curve",
    "diabetes",
]
CLASSES = {
    "moons": 2,
    "circles": 2,
    "blobs": 2,
    "classification": 2,
    "gaussian_quantiles": 3,
    "hastie_10_2": 2,
    "xor": 2,
    "spiral": 2,
    "gauss": 2,
    "iris": 3,
    "wine": 3,
    "breast_cancer": 2,
    "digits": 10,
}


def made(kind: str, **parameters: Any) -> tuple[Array, Array]:
    classes = CLASSES.get(kind)
    spec = job(
        dataset={"kind": kind, **parameters},
        loss={"kind": "cross_entropy" if classes else "mse"},
        model={"layers": [{"units": classes or 1}]},
    )
    return load(spec.dataset)


@pytest.mark.parametrize("kind", [*CLASSES, *REGRESSIONS])
def test_shape_and_classes_are_what_the_specification_says(kind: str) -> None:
    sized = {} if issubclass(DATASETS[kind], Bundled) else {"n_samples": 61}
    spec = job(
        dataset={"kind": kind, **sized},
        loss={"kind": "cross_entropy" if kind in CLASSES else "mse"},
        model={"layers": [{"units": CLASSES.get(kind, 1)}]},
    )
    x, y = load(spec.dataset)
    assert x.shape == spec.dataset.shape()
    assert (x.dtype, y.dtype, x.flags.c_contiguous) == (np.float64, np.float64, True)
    assert spec.dataset.classes() == CLASSES.get(kind)
    if kind in CLASSES:
        assert set(y) == set(range(CLASSES[kind]))
    else:
        assert len(set(y)) > CLASSES.get(kind, 10)


@pytest.mark.parametrize("kind", ["moons", "regression", "spiral", "gauss", "plane", "xor"])
def test_the_seed_decides(kind: str) -> None:
    first, again, other = (made(kind, n_samples=40, noise=0.1, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_moons_are_those_of_a_notebook_that_seeds_numpy() -> None:
    np.random.seed(1337)
    x, y = sklearn_datasets.make_moons(n_samples=100, noise=0.1)
    ours_x, ours_y = made("moons", n_samples=100, noise=0.1, seed=1337)
    assert np.array_equal(ours_x, x)
    assert np.array_equal(ours_y, y)


def test_parameters_reach_the_generator() -> None:
    x, y = made("regression", n_samples=20, n_features=7, n_informative=3, noise=0.5, bias=2.0)
    theirs = sklearn_datasets.make_regression(
        20, n_features=7, n_informative=3, noise=0.5, bias=2.0, random_state=0
    )
    assert np.array_equal(x, theirs[0])
    assert np.array_equal(y, theirs[1])


def test_xor_of_four_rows_is_the_truth_table() -> None:
    x, y = made("xor")
    assert x.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    assert y.tolist() == [0, 1, 1, 0]


def test_xor_of_many_rows_keeps_off_the_axes() -> None:
    x, y = made("xor", n_samples=500)
    assert np.abs(x).min() >= 0.3
    assert np.abs(x).max() <= 5.3
    assert np.array_equal(y == 1, (x[:, 0] > 0) != (x[:, 1] > 0))
    noisy = made("xor", n_samples=500, noise=0.5)[1]
    assert 0 < np.count_nonzero(noisy != y) < 250


def test_the_spiral_is_playgrounds() -> None:
    x, y = made("spiral", n_samples=200)
    i = 37
    r, t = i / 100 * 5, 1.75 * i / 100 * 2 * np.pi
    assert x[i] == pytest.approx([r * np.sin(t), r * np.cos(t)])
    assert x[100 + i] == pytest.approx(-x[i])
    assert (y[i], y[100 + i]) == (1, 0)


def test_gauss_is_two_clouds_whose_variance_grows_with_noise() -> None:
    for noise, variance in ((0.0, 0.5), (0.5, 4.0)):
        x, y = made("gauss", n_samples=20_000, noise=noise)
        assert x[y == 1].mean(axis=0) == pytest.approx([2, 2], abs=0.1)
        assert x[y == 0].mean(axis=0) == pytest.approx([-2, -2], abs=0.1)
        assert x[y == 1].var(axis=0) == pytest.approx([variance] * 2, rel=0.05)


def test_the_planes_are_playgrounds() -> None:
    x, y = made("plane", n_samples=300)
    assert y == pytest.approx(x.sum(axis=1) / 10)
    assert 5 < np.abs(x).max() <= 6
    x, y = made("multi_gaussian", n_samples=3000)
    for centre_x, centre_y, sign in BUMPS:
        distance = np.hypot(x[:, 0] - centre_x, x[:, 1] - centre_y)
        assert y[distance < 2] == pytest.approx(sign * (1 - distance[distance < 2] / 2))
    assert np.count_nonzero(y == 0) > 300


def test_csv_with_a_header_and_names_of_classes() -> None:
    text = 'a,"b, c",kind\n1,2,cat\n\n3.5, -4e2 ,dog\n5,6,cat\n'
    spec = job(
        dataset={"kind": "csv", "text": text},
        loss={"kind": "cross_entropy"},
        model={"layers": [{"units": 2}]},
    )
    x, y = load(spec.dataset)
    assert x.tolist() == [[1, 2], [3.5, -400], [5, 6]]
    assert y.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("parameters", "x", "y"),
    [
        ({"target": "a"}, [[2], [4]], [1, 3]),
        ({"target": 0}, [[2], [4]], [1, 3]),
        ({}, [[1], [3]], [2, 4]),
    ],
)
def test_the_target_of_a_csv(parameters: dict[str, Any], x: Any, y: Any) -> None:
    for text, header in (("a,b\n1,2\n3,4", True), ("1,2\n3,4", False)):
        if header or "a" not in parameters.values():
            dataset = {"kind": "csv", "text": text, "header": header, **parameters}
            found = load(job(dataset=dataset, loss={"kind": "mse"}).dataset)
            assert (found[0].tolist(), found[1].tolist()) == (x, y)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b", "no rows of data"),
        ("\n\n", "no rows of data"),
        (" \n\t\n", "no rows of data"),
        ("a\n1\n2", "line 1 has 1 column; a row needs an input and a target"),
        ("1\n2", "line 1 has 1 column; a row needs an input and a target"),
        ("a,b\n1,2\n3", "line 3 has 1 column instead of 2"),
        ("a,b\n1,2\n3,4,5", "line 3 has 3 columns instead of 2"),
        (
            "a,b\n1;2",
            "line 2 has 1 column instead of 2; separate all cells by commas, not by semicolons",
        ),
        ("a,b\n1,2\nx,3", "line 3, column 1 (a): 'x' is not a finite number"),
        ("a,b\n1,2\n,3", "line 3, column 1 (a): ''"),
        ("a,b\n1,2\nnan,3", "line 3, column 1 (a): 'nan' is not a value; fill the gaps, or set"),
        ("a,b\n1,2\n1_0,3", "'1_0' is not a finite number"),
        ("a,b\n1,2\n\n3,", "line 4, column 2 (b): the target is missing"),
        ("a,b\n1,cat\n2,dog\n3,NaN", "line 4, column 2 (b): the target is missing"),
        ('a,b\n1,"2', "line 2 is not CSV"),
        ('a,b\n1,"2\n3,4\n5,6\n', "line 2 is not CSV"),
        ('a,b\n1,"cat\nA"\nx,2', "line 4, column 1 (a): 'x' is not a finite number"),
        ('a,b\n1,2\n"3\nx",4', "line 3, column 1 (a): '3\\nx' is not a finite number"),
        ("a,b\r1,2\rx,3", "line 3, column 1 (a): 'x' is not a finite number"),
        ("a,b\r\n1,c\0t\r\n2,dog", "line 2 holds a NUL"),
        ("a,b\n1\0,2", "line 2 holds a NUL"),
    ],
)
def test_a_broken_csv_is_explained(text: str, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        job(dataset={"kind": "csv", "text": text}, loss={"kind": "mse"})
    ((place, message),) = problems(caught.value)
    assert place == "/dataset/text"
    assert words in message


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_rows_of_a_csv_end_with_their_lines(end: str) -> None:
    text = end.join([" ", "a,b", "1,2", "", " \t", "3,4", "  "])
    x, y = load(job(dataset={"kind": "csv", "text": text}, loss={"kind": "mse"}).dataset)
    assert (x.tolist(), y.tolist()) == ([[1], [3]], [2, 4])


@pytest.mark.parametrize("inside", ["\n", "\r", "\r\n", "\v", "\f", "\x1c", "\x85", "\u2028"])
def test_a_quoted_cell_of_a_csv_keeps_its_line_ends(inside: str) -> None:
    table = read_table(f'a,b\n1,"cat{inside}A"\n2,catA\n3,dog\n', Options(header=True))
    assert table.names == tuple(sorted([f"cat{inside}A", "catA", "dog"]))
    assert len(table.x) == 3


def test_the_order_of_the_rows_does_not_decide_which_class_counts_as_which() -> None:
    labels = ["9e0", "10", "x", "9", "a", "-1", "9.0"]
    numbers = {"-1": 0, "9": 1, "9e0": 1, "9.0": 1, "10": 2, "a": 3, "x": 4}
    for order in itertools.permutations(labels):
        text = "a,b\n" + "".join(f"1,{label}\n" for label in order)
        table = read_table(text, Options(header=True))
        assert table.names == ("-1", "9", "10", "a", "x")
        assert table.y == [numbers[label] for label in order]


@pytest.mark.parametrize("inside", ["\v", "\f", "\x1c", "\x85", "\u2028"])
def test_only_line_ends_end_a_row_of_a_csv(inside: str) -> None:
    table = read_table(f"a,b\n1,cat{inside}A\n2,dog\n", Options(header=True))
    assert table.names == (f"cat{inside}A", "dog")


def test_empty_lines_of_a_csv_do_not_count_as_rows() -> None:
    table = read_table("a,b\n" + "\n" * 2 * MAX_ROWS + "1,2\n3,4\n", Options(header=True))
    assert (table.x, table.y) == ([[1], [3]], [2, 4])


@pytest.mark.parametrize(("text", "line"), [("1,2\n3,4", 1), ("\n-1e3, 2.5\n3,4\n", 2)])
def test_a_row_of_numbers_is_not_a_header(text: str, line: int) -> None:
    with pytest.raises(ValidationError) as caught:
        job(dataset={"kind": "csv", "text": text, "header": True}, loss={"kind": "mse"})
    sentence = (
        f"line {line} holds only numbers and no column names; "
        'if the table has no header, set "header" to false'
    )
    assert problems(caught.value) == [("/dataset/text", sentence)]


@pytest.mark.parametrize("header", ["1,y", "2019,inf", "1_0,2", "1,", "0,1"])
def test_a_header_may_hold_some_numbers(header: str) -> None:
    assert read_table(f"{header}\n3,4", Options(header=True)).x == [[3]]


def test_a_csv_of_too_many_rows_is_refused() -> None:
    with pytest.raises(TableError, match=f"more than {MAX_ROWS} rows"):
        read_table("a,b\n" + "1,2\n" * (MAX_ROWS + 1), Options(header=True))


GAPS = ["na", "NA", "N/A", "null", "None", "?", "-"]


@pytest.mark.parametrize("gap", ["", "nan", *GAPS])
def test_a_missing_target_among_numbers_is_named(gap: str) -> None:
    for text in (f"a,b\n1,2\n\n3, {gap}", f"a,b\n1,cat\n\n3,{gap}\n4,5"):
        with pytest.raises(ValidationError) as caught:
            job(dataset={"kind": "csv", "text": text}, loss={"kind": "mse"})
        sentence = (
            "line 4, column 2 (b): the target is missing; fill in the target, or "
            'set "missing" to "drop" to leave such rows out'
        )
        assert problems(caught.value) == [("/dataset/text", sentence)]


@pytest.mark.parametrize("name", GAPS)
def test_among_names_a_target_may_be_called_like_a_gap(name: str) -> None:
    assert read_table(f"a,b\n1,cat\n3,{name}", Options(header=True)).names == tuple(
        sorted(["cat", name])
    )


@pytest.mark.parametrize(
    ("text", "header", "target", "sentence"),
    [
        ("a,b\n1,2", True, "c", "no column is called 'c'; the columns are a, b"),
        ("a,a\n1,2", True, "a", "more than one column is called 'a'"),
        ("a,b\n1,2", True, 5, "there is no column 5; columns count from 0 to 1"),
        ("a,b\n1,2", True, -1, "there is no column -1; columns count from 0 to 1"),
        (
            "1,2\n3,4",
            False,
            "y",
            "without a header no column is called 'y'; give the target's position, from 0 to 1",
        ),
        *(
            ("a,b\n1,2", True, target, "a column goes by its name or by its position from 0")
            for target in (True, 1.0, ["b"], {})
        ),
    ],
)
def test_a_target_that_is_not_a_column_is_refused(
    text: str, header: bool, target: Any, sentence: str
) -> None:
    dataset = {"kind": "csv", "text": text, "header": header, "target": target}
    with pytest.raises(ValidationError) as caught:
        job(dataset=dataset, loss={"kind": "mse"})
    assert problems(caught.value) == [("/dataset/target", sentence)]


@pytest.mark.parametrize("first", ["y", '"y"'])
def test_a_byte_order_mark_is_not_part_of_the_first_column(first: str) -> None:
    dataset = {"kind": "csv", "text": f"\ufeff{first},x\n1,2\n3,4", "target": "y"}
    assert load(job(dataset=dataset, loss={"kind": "mse"}).dataset)[1].tolist() == [1, 3]


def test_a_byte_order_mark_is_not_part_of_the_first_number() -> None:
    dataset = {"kind": "csv", "text": "\ufeff1,2\n3,4", "header": False}
    assert load(job(dataset=dataset, loss={"kind": "mse"}).dataset)[0].tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("text", "target", "cell"),
    [
        ("x,y\n1,2\n3,inf\n5,6\n", "y", "line 3, column 2 (y): 'inf'"),
        ("y,x\n1,2\n\nlow,4\nhigh,6\n", "y", "line 4, column 1 (y): 'low'"),
        ("x,y\n1,cat\n3,dog\n", None, "line 2, column 2 (y): 'cat'"),
    ],
)
def test_the_first_target_of_a_regression_that_is_not_a_number_is_named(
    text: str, target: str | None, cell: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        job(dataset={"kind": "csv", "text": text, "target": target}, loss={"kind": "mse"})
    assert problems(caught.value) == [
        ("/dataset/target", f"mse needs targets that are numbers; {cell} is not a finite number")
    ]


@pytest.mark.parametrize("loss", ["cross_entropy", "binary_cross_entropy", "max_margin"])
def test_a_csv_of_a_single_class_is_refused(loss: str) -> None:
    with pytest.raises(ValidationError) as caught:
        job(
            dataset={"kind": "csv", "text": "y,x\n3,a\n5,a\n"},
            loss={"kind": loss},
            model={"layers": [{"units": 1}]},
        )
    assert problems(caught.value) == [
        ("/dataset/text", "labels are all the same; two classes are needed")
    ]


def test_standardise_uses_the_training_rows_only() -> None:
    spec = job(
        dataset={"kind": "diabetes", "standardise": True, "standardise_targets": True},
        loss={"kind": "mse"},
        training={"validation_fraction": 0.25},
    )
    prepared = prepare(spec)
    assert prepared.training.x.mean(axis=0) == pytest.approx(np.zeros(10), abs=1e-12)
    assert prepared.training.x.std(axis=0) == pytest.approx(np.ones(10))
    assert prepared.training.targets.std() == pytest.approx(1.0)
    assert prepared.validation is not None
    assert abs(prepared.validation.x.mean()) > 1e-6
    _, y = load(spec.dataset)
    restored = prepared.training.targets * prepared.preprocessing.scaling.target_scale
    assert set(np.round(restored[:, 0] + prepared.preprocessing.scaling.target_mean)) <= set(
        np.round(y)
    )


def test_a_column_that_never_changes_is_only_shifted() -> None:
    dataset = {"kind": "inline", "x": [[0.1, 1.0], [0.1, 3.0]], "y": [0.0, 1.0]}
    prepared = prepare(job(dataset={**dataset, "standardise": True}))
    assert prepared.training.x.tolist() == [[0.0, -1.0], [0.0, 1.0]]


def test_targets_as_losses_read_them() -> None:
    dataset = {"kind": "inline", "x": [[0.0], [1.0]], "y": [0.0, 1.0]}
    expected: dict[str, Any] = {
        "max_margin": [[-1], [1]],
        "binary_cross_entropy": [[0], [1]],
        "cross_entropy": [[1, 0], [0, 1]],
        "mse": [[0], [1]],
    }
    for loss, targets in expected.items():
        units = 2 if loss == "cross_entropy" else 1
        spec = job(dataset=dataset, loss={"kind": loss}, model={"layers": [{"units": units}]})
        assert prepare(spec).training.targets.tolist() == targets
    signs = {**dataset, "y": [-1.0, 1.0]}
    assert prepare(job(dataset=signs)).training.targets.tolist() == [[0], [1]]


def test_numbers_that_overflow_while_scaling_are_invalid_data() -> None:
    dataset = {"kind": "inline", "x": [[1e308], [-1e308]], "y": [0.0, 1.0], "standardise": True}
    with pytest.raises(InvalidData, match="too large to standardise"):
        prepare(job(dataset=dataset))


@pytest.mark.parametrize("seed", range(6))
def test_a_generated_set_of_one_class_is_refused(seed: int) -> None:
    dataset = {"kind": "hastie_10_2", "n_samples": 2, "seed": seed}
    spec = job(dataset=dataset)
    labels = load(spec.dataset)[1].tolist()
    if len(set(labels)) == 2:
        assert len(prepare(spec).training) == 2
        return
    with pytest.raises(InvalidData, match="choose another seed or more samples"):
        prepare(spec)


@pytest.mark.parametrize("kind", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_columns_and_classes_are_called_as_scikit_learn_calls_them(kind: str) -> None:
    bunch = getattr(sklearn_datasets, f"load_{kind}")()
    spec = DATASETS[kind](kind=kind)
    assert [column.name for column in spec.columns()] == list(bunch.feature_names)
    theirs = getattr(bunch, "target_names", None)
    assert spec.class_names() == (None if theirs is None else tuple(map(str, theirs)))
