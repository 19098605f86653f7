"""Features: what can be written, and what is said about the rest."""

from __future__ import annotations

from typing import Any

import pytest

from engine.spec.columns import Column, named
from engine.spec.features import (
    Cell,
    Constant,
    FeatureError,
    Names,
    Power,
    Product,
    Term,
    Wave,
    bound,
    parse,
)
from tests.engine.specs import SMALL, job, refusals, vary

COLUMNS = (
    *named(["x", "y", "petal length (cm)", "x^2", "a*b", "sin", "größe", "b.c"]),
    Column("colour", "text", ("blue", "red", "tan")),
    Column("old", "boolean"),
)
PLAYGROUND = ["x", "y", "x^2", "y^2", "x*y", "sin(x)", "sin(y)"]


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("x", Cell(0)),
        (" y ", Cell(1)),
        ("y^2", Power(Cell(1), 2)),
        ("y**3", Power(Cell(1), 3)),
        ("y²", Power(Cell(1), 2)),
        ("x^2", Cell(3)),
        ("x ^ 2", Power(Cell(0), 2)),
        ("x*y", Product((Cell(0), Cell(1)))),
        ("x · y × b.c", Product((Cell(0), Cell(1), Cell(7)))),
        ("petal length (cm)^2*y", Product((Power(Cell(2), 2), Cell(1)))),
        ("a*b", Cell(4)),
        ("sin(x)", Wave("sin", Cell(0))),
        ("sin", Cell(5)),
        ("sin(sin)", Wave("sin", Cell(5))),
        ("cos(2*x)^2", Power(Wave("cos", Product((Constant(2.0), Cell(0)))), 2)),
        ("(x*y)^2", Power(Product((Cell(0), Cell(1))), 2)),
        ("0.5*größe", Product((Constant(0.5), Cell(6)))),
        ("colour", Cell(8)),
        ("old*x", Product((Cell(9), Cell(0)))),
    ],
)
def test_a_feature_is_a_product_of_powers_and_waves(text: str, term: Term) -> None:
    assert parse(text, Names(COLUMNS)) == term


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("z", "'z' in 'z' is not a column; the columns are x, y, petal length (cm)"),
        ("xy", "'xy' in 'xy' is not a column"),
        ("x+y", "'+' cannot be part of a feature, which is a product such as x*y"),
        ("x^-1", "must be whole numbers from 1 to 9"),
        ("x^0.5", "must be whole numbers from 1 to 9"),
        ("x ^ 10", "must be whole numbers from 1 to 9"),
        ("x^", "must be whole numbers from 1 to 9"),
        ("x*", "'the end' in 'x*' is not a column"),
        ("3*2", "is the same in every row"),
        ("sin(x", "lacks a closing parenthesis"),
        ("tan(x)", "'tan' is not a function; there are sin and cos"),
        ("x y", "cannot be read from 'y' on"),
        ("colour^2", "use colour by itself, which gives one input per text"),
        ("x*colour", "colour holds texts, which have no powers, products or sines"),
        ("(" * 400 + "x", "too many parentheses"),
        (" ", "is not a column"),
    ],
)
def test_what_is_not_a_feature_is_explained(text: str, words: str) -> None:
    with pytest.raises(FeatureError) as caught:
        parse(text, Names(COLUMNS))
    assert words in str(caught.value)


def test_the_inputs_of_a_network_are_the_features() -> None:
    spec = job(dataset={"kind": "gauss", "features": PLAYGROUND})
    assert spec.dataset.shape() == (100, 7)
    assert spec.sizes() == [7, 4, 1]
    assert spec.model_dump()["dataset"]["features"] == PLAYGROUND
    iris = {"kind": "iris", "features": ["petal length (cm)*petal width (cm)"]}
    three = {"model": {"layers": [{"units": 3}]}, "loss": {"kind": "cross_entropy"}}
    assert job(dataset=iris, **three).parameters() == 6
    text = "colour,a,y\nred,1,0\nblue,2,1\nred,3,1\n"
    table: dict[str, Any] = {"kind": "csv", "text": text, "features": ["a", "colour", "a^2"]}
    assert job(dataset=table).dataset.shape() == (3, 4)


def test_a_wrong_feature_is_named_by_its_place() -> None:
    wrong = vary(SMALL, dataset={"kind": "gauss", "features": ["x", "z^2"]})
    assert refusals(wrong) == {
        "/dataset/features/1": "'z' in 'z^2' is not a column; the columns are x, y"
    }
    many = vary(SMALL, dataset={"kind": "gauss", "n_samples": 100_000, "features": ["x"] * 101})
    assert list(refusals(many)) == ["/dataset/features"]


def test_the_size_of_a_feature_follows_from_that_of_its_columns() -> None:
    names = Names(named("xy"))
    assert bound(parse("x^2*y", names), 10.0) == 1000
    assert bound(parse("3*sin(x)", names), 10.0) == 3
