"""Whatever stands in a CSV, it is read as what it says or refused with its place."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.spec import JobSpec, problems
from tests.fuzz.conftest import EXAMPLES

search = settings(
    max_examples=EXAMPLES or 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Much that a table can be made of, and more of what readers of tables stumble over.
PARTS = [
    *(",", ";", "\t", "|", "\n", "\r", "\r\n", '"', '""', "'", " ", "\\", "\ufeff", "\0", "\x1a"),
    *("0", "1", "-1", "1.5", "1,5", "1e3", "1e999", "nan", "inf", "-inf", "NA", "", "#", "=1+1"),
    *("0x10", "1_000", "٣", "½", "a", "ß", "é", "\U0001f600", "\u2028", "\x85", "true", "x" * 300),
]
numbers = st.sampled_from(["0", "1", "2", "-1.5", "1e3"])


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    """A table, mostly with a header and good numbers, but up to two cells and a row are odd."""
    width = draw(st.integers(2, 4))
    row = st.lists(numbers, min_size=width, max_size=width)
    rows = [list("abcd")[:width], *draw(st.lists(row, min_size=1, max_size=6))]
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        odd = draw(st.sampled_from(rows))
        odd[draw(st.integers(0, width - 1))] = draw(st.sampled_from(PARTS))
    if draw(st.integers(0, 3)) == 3:
        rows.append(draw(st.lists(st.sampled_from(PARTS), max_size=3)))
    delimiter = draw(st.sampled_from(",,,;\t|"))
    text = draw(st.sampled_from(["\n", "\r\n", "\r"])).join(map(delimiter.join, rows))
    target = draw(st.sampled_from([None, None, "a", 0, -1, "e"]))
    return {"text": text, "header": draw(st.sampled_from([True, True, False])), "target": target}


anything = st.fixed_dictionaries(
    {
        "text": st.lists(st.sampled_from(PARTS) | st.characters(codec="utf-8"), max_size=40).map(
            "".join
        ),
        "header": st.booleans(),
        "target": st.none() | st.integers() | st.text(max_size=5),
    }
)


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e100, max_value=1e100)


def specification(text: str, loss: str = "mse", **fields: Any) -> dict[str, Any]:
    return {
        "dataset": {"kind": "csv", "text": text} | fields,
        "model": {"layers": [{"units": 1}]},
        "loss": {"kind": loss},
        "optimizer": {"learning_rate": 0.1},
        "training": {"steps": 1},
    }


@search
@given(
    table=tables() | anything,
    loss=st.sampled_from(["mse", "mse", "cross_entropy", "max_margin"]),
)
def test_a_text_becomes_finite_rows_or_is_refused_with_its_place(
    table: dict[str, Any], loss: str
) -> None:
    asked = specification(loss=loss, **table)
    try:
        spec = JobSpec.model_validate(asked)
    except ValidationError as error:
        for place, sentence in problems(error):
            assert place.startswith(("/dataset", "/model", "/loss"))
            assert sentence
        return
    x, y = spec.dataset.make()
    assert x.shape == spec.dataset.shape()
    assert y.shape == x.shape[:1]
    assert all(map(math.isfinite, [*x.ravel(), *y]))
    again = JobSpec.model_validate(spec.model_dump(mode="json"))
    assert again == spec


@search
@given(
    rows=st.integers(2, 6).flatmap(
        lambda width: st.lists(
            st.lists(finite, min_size=width, max_size=width), min_size=1, max_size=8
        )
    ),
    named=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.booleans(),
    last=st.booleans(),
)
def test_numbers_are_read_to_the_bit(
    rows: list[list[float]], named: bool, ending: str, quoting: Any, mark: bool, last: bool
) -> None:
    width = len(rows[0])
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=ending, quoting=quoting)
    if named:
        writer.writerow([f"column {chr(97 + i)}" for i in range(width)])
    writer.writerows([[repr(number) for number in row] for row in rows])
    text = file.getvalue()
    text = ("\ufeff" if mark else "") + (text if last else text.removesuffix(ending))
    column = width - 1 if last else 0
    spec = JobSpec.model_validate(specification(text, header=named, target=column))
    x, y = spec.dataset.make()
    assert y.tolist() == [row[column] for row in rows]
    assert x.tolist() == [[*row[:column], *row[column + 1 :]] for row in rows]
