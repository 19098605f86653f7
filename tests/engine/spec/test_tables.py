"""Tables as people have them: what is read, and what is said about it."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from engine.data.loading import load
from engine.spec import JobSpec
from engine.spec.tables import NoSuchColumn, Options, Table, TableError, decode, read_table
from engine.spec.warnings import warnings
from tests.engine.specs import SMALL, job, refusals, vary

NUMBERS = [[1.5, 2.5], [4.5, 5.5]]


def csv(text: str, **fields: Any) -> dict[str, Any]:
    """A regression on a table."""
    dataset = {"kind": "csv", "text": text, **fields}
    return vary(SMALL, dataset=dataset, loss={"kind": "mse"})


def read(text: str, **options: Any) -> Table:
    return read_table(text, Options(**options))


def names(table: Table) -> list[str]:
    return [column.name for column in table.columns]


@pytest.mark.parametrize(
    ("text", "delimiter", "decimal"),
    [
        ("a,b,y\n1.5,2.5,3.5\n4.5,5.5,6.5\n", ",", "."),
        ("a;b;y\n1.5;2.5;3.5\n4.5;5.5;6.5\n", ";", "."),
        ("a;b;y\n1,5;2,5;3,5\n4,5;5,5;6,5\n", ";", ","),
        ("1,5;2,5;3,5\n4,5;5,5;6,5\n", ";", ","),
        ("a\tb\ty\n1,5\t2,5\t3,5\n4,5\t5,5\t6,5\n", "\t", ","),
        ("a|b|y\r\n1.5|2.5|3.5\r\n4.5|5.5|6.5\r\n", "|", "."),
        ("a b y\r1.5 2.5 3.5\r4.5 5.5 6.5\r", " ", "."),
        ("  a   b  y\n 1,5   2,5\t3,5 \n4,5 5,5 6,5", " ", ","),
        ('"a" "b" "y"\n"1.5" 2.5 3.5\n4.5 5.5 6.5', " ", "."),
        ('a,b,y\n"1,5","2,5","3,5"\n"4,5","5,5","6,5"\n', ",", ","),
        ("sep=;\na;b;y\n1.5;2.5;3.5\n4.5;5.5;6.5\n", ";", "."),
        ("\ufeffsep=|\r\na|b|y\r\n1,5|2,5|3,5\r\n4,5|5,5|6,5\r\n", "|", ","),
        ("# from a \"lab\nsep=,\na,b,y\n# noon, it\n1.5,2.5,3.5\n4.5,5.5,6.5\n", ",", "."),
        ("# a b y\n1.5 2.5 3.5\n4.5 5.5 6.5\n", " ", "."),
        ('"a, or so","b;c",y\n1.5,2.5,3.5\n4.5,5.5,6.5\n', ",", "."),
    ],
)  # fmt: skip
def test_delimiter_and_decimal_sign_are_found_out(text: str, delimiter: str, decimal: str) -> None:
    table = read(text) if not text.startswith('a,b,y\n"') else read(text, decimal=",")
    assert (table.x, table.y) == (NUMBERS, [3.5, 6.5])
    assert table.grid.dialect == (delimiter, decimal)


@pytest.mark.parametrize(
    ("text", "header", "warned"),
    [
        ("a,y\n1,2\n3,4", True, False),
        ("1,2\n3,4", False, False),
        ("5.1,3.5,setosa\n6,3,versicolor\n6.3,3.3,virginica", False, False),
        ("1,y\n3,4", True, False),
        ("2019,inf,y\n3,4,5\n6,7,8", True, False),
        ("0,1,2\n3,4,5\n3,4,6", True, True),
        ("0,1\n1,0", False, True),
        ("colour,size\nred,big\nblue,small\nred,small", True, True),
        ("red,big\nblue,small\nred,small\nblue,big", False, False),
        ("up,y\nyes,1\nno,2", True, False),
        ("true,1\nfalse,2", False, False),
    ],
)
def test_a_header_is_found_by_evidence_and_a_doubt_is_said(
    text: str, header: bool, warned: bool
) -> None:
    table = read(text)
    assert table.grid.header is header
    assert len(table.x) == text.count("\n") + (not header)
    assert any("line 1" in sentence for sentence in table.warnings) is warned


def test_a_first_line_that_looks_like_data_is_never_a_header_without_a_word() -> None:
    (sentence,) = read("5.1,setosa\n6,virginica\n7,setosa", header=True).warnings
    assert "line 1 (5.1, setosa) looks like data, but was read as the names" in sentence


def test_names_that_are_read_as_data_are_said() -> None:
    with pytest.raises(TableError, match=r'line 1, column 1: .* set "header" to true'):
        read("a,y\n1,2\n3,4", header=False)
    sentence = read("a,y\nb,2\na,4", header=False).warnings[0]
    assert "line 1 (a, y) looks like the names of the columns, but was read as data" in sentence


def test_a_specification_says_how_its_table_was_read() -> None:
    spec = JobSpec.model_validate(csv(",a,b,y,\n0,1,2,3,\n1,4,5,6,\n"))
    dataset = spec.model_dump()["dataset"]
    assert dataset["header"] is True
    assert (dataset["delimiter"], dataset["decimal"], dataset["ignore"]) == (",", ".", [0])
    assert load(spec.dataset)[0].tolist() == [[1, 2], [4, 5]]
    again = JobSpec.model_validate(spec.model_dump())
    assert again.model_dump() == spec.model_dump()
    assert load(again.dataset)[0].tolist() == [[1, 2], [4, 5]]
    found = {warning.pointer: warning.detail for warning in warnings(spec)}
    assert "column 1 has no name and counts the rows" in found["/dataset/text"]


def test_a_specification_that_version_0_1_stored_is_read_as_it_was() -> None:
    """It has all fields of 0.1 and no others; an unnamed first column was an input."""
    text = ",a,y\n0,1,2\n1,3,4\n"
    stored = csv(text, header=True, target=None, standardise=False, standardise_targets=False)
    spec = JobSpec.model_validate(stored)
    assert load(spec.dataset)[0].tolist() == [[0, 1], [1, 3]]
    again = JobSpec.model_validate(spec.model_dump())
    assert load(again.dataset)[0].tolist() == [[0, 1], [1, 3]]
    semicolons = stored["dataset"] | {"text": "a;y\n1,5;2,5\n3,5;4,5\n"}
    assert load(job(stored, dataset=semicolons).dataset)[0].tolist() == [[1.5], [3.5]]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (",a,y\n0,1,2\n1,3,4\n", ["a"]),
        (",a,y\n5,1,2\n6,3,4\n", ["a"]),
        ("Unnamed: 0,a,y\n0,1,2\n1,3,4\n", ["a"]),
        ("a y\n1 1 2\n2 3 4\n", ["a"]),
        (",a,y\nMazda,1,2\nFiat,3,4\n", ["a"]),
        (",a,y\n0,1,2\n5,3,4\n", ["x0", "a"]),
        ("n,a,y\n0,1,2\n1,3,4\n", ["n", "a"]),
        ("1,1,2\n2,3,4\n", ["x0", "x1"]),
    ],
)
def test_an_unnamed_column_that_counts_rows_is_left_out(text: str, left: list[str]) -> None:
    table = read(text)
    assert names(table) == left
    assert bool(table.warnings) is (left == ["a"])
    assert len(read(text, ignore=()).columns) == 2


def test_columns_are_left_out_by_name_or_position() -> None:
    assert names(read("id,a,b,y\n7,1,2,3\n9,4,5,6\n", ignore=["id", 2])) == ["a"]
    with pytest.raises(NoSuchColumn, match="no column is called 'c'; the columns are a, y"):
        read("a,y\n1,2\n", ignore=["c"])
    places = refusals(csv("a,b,y\n1,2,3\n", ignore=["c"]))
    assert list(places) == ["/dataset/ignore"]


@pytest.mark.parametrize(
    "text", ["a,b,y,\n1,2,3,\n4,5,6,\n", "a,b,y,,\n1,2,3,,\n4,5,6,,\n", "a,b,y\n1,2,3,\n4,5,6,,"]
)
def test_empty_columns_at_the_right_are_left_out(text: str) -> None:
    table = read(text)
    assert (table.x, table.y) == ([[1, 2], [4, 5]], [3, 6])
    assert bool(table.warnings) is text.startswith("a,b,y,")


def test_texts_become_one_input_per_category_and_booleans_0_and_1() -> None:
    table = read("colour,old,y\nred,yes,1\nblue,No,2\nred,no,3\n")
    colour, old = table.columns
    assert (colour.type, colour.categories, colour.inputs) == ("text", ("blue", "red"), 2)
    assert (old.type, old.inputs) == ("boolean", 1)
    assert table.x == [[1, 1], [0, 0], [1, 0]]
    spec = JobSpec.model_validate(csv("colour,old,y\nred,yes,1\nblue,No,2\nred,no,3\n"))
    assert spec.dataset.shape() == (3, 3)


GAPPY = "a,c,y\n1,red,1\n,blue,2\n3,,3\n4,red,4\nNA,red,5\n"


def test_gaps_are_refused_with_their_places_and_what_helps() -> None:
    with pytest.raises(TableError) as caught:
        read(GAPPY)
    assert str(caught.value) == (
        "line 3, column 1 (a): '' is not a value; line 4, column 2 (c): '' is not a value; "
        'line 6, column 1 (a): \'NA\' is not a value; fill the gaps, or set "missing" to "drop" '
        'to leave such rows out, or to "mean" to fill them with the mean of their column'
    )


def test_rows_with_gaps_are_dropped_or_kept_to_be_filled() -> None:
    table = read(GAPPY, missing="drop")
    assert (table.x, table.y, table.dropped) == ([[1, 0], [4, 0]], [1, 4], 3)
    assert table.columns[1].categories == ("red",)
    assert table.warnings == ("3 rows with gaps were left out",)
    kept = read(GAPPY, missing="mean")
    assert [math.isnan(row[0]) for row in kept.x] == [False, True, False, False, True]
    assert [math.isnan(row[1]) for row in kept.x] == [False, False, True, False, False]
    targets = "a,y\n1,2\n3,\n4,5\n"
    assert read(targets, missing="drop").y == [2, 5]
    with pytest.raises(TableError, match=r"line 3, column 2 \(y\): the target is missing"):
        read(targets, missing="mean")


def test_the_first_ten_wrong_cells_are_named() -> None:
    text = "a,b,y\n" + "1,2,3\n" * 20 + "".join(f"x{i},2,3\n" for i in range(12))
    with pytest.raises(TableError) as caught:
        read(text)
    message = str(caught.value)
    assert message.startswith("line 22, column 1 (a): 'x0' is not a finite number; line 23")
    assert message.endswith("; and 2 more")
    assert "x10" not in message


def test_lines_are_counted_as_an_editor_does() -> None:
    text = '\n# a comment\n\na,y\r\n1,"2"\r\n\r\n"3",4\r\nx,5\r\n'
    with pytest.raises(TableError, match=r"^line 8, column 1 \(a\): 'x'"):
        read(text)
    split = 'a,y\n"1\n",2\nx,5\n3,4\n'
    with pytest.raises(TableError, match=r"^line 4, column 1 \(a\): 'x'"):
        read(split)


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a;b\n1.5;2\n2,5;3\n3.5;4", {}, "'2,5' is not a finite number with a decimal point"),
        ('a,y\n1,1\n"1,234.5",2\n3,4', {}, "write numbers without separators of thousands"),
        ("A title\na;b\n1;2\n3;4", {}, 'begin a line that is a title or a remark with "#"'),
        ("a,b\n1,\nx,2\n,3\n5,6\n7,8", {}, "line 2, column 2 (b): the target is missing; line 3"),
        ("a,y\nx,1\n", {"missing": "drop", "target": 0, "ignore": [1]}, "the only column"),
        ("a,y\n,1\n,2\n", {"missing": "drop"}, "no rows of data left"),
        ("a,y\n,1\n,2\n", {"missing": "mean"}, "column 1 (a) has no values"),
        ("n,y\n" + "".join(f"n{i},{i}\n" for i in range(101)), {}, "column 1 (n) holds 101 diff"),
    ],
)
def test_tables_that_cannot_be_read_are_explained(
    text: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(TableError) as caught:
        read(text, **options)
    assert words in str(caught.value)


def test_texts_that_hardly_occur_twice_are_said() -> None:
    (sentence,) = read("day,y\n2020-01-01,1\n2020-01-02,2\n2020-01-03,4").warnings
    assert "column day becomes 3 inputs, one per text, for 3 rows" in sentence


def test_a_mistyped_label_among_many_is_named() -> None:
    text = "a,y\n" + "".join(f"{i},{i % 10}\n" for i in range(60)).replace("11,1\n", "11,l\n", 1)
    changes: dict[str, Any] = {"loss": {"kind": "cross_entropy"}}
    wrong = vary(csv(text), model={"layers": [{"units": 10}]}, **changes)
    assert refusals(wrong) == {
        "/model/layers/0/units": "csv has 11 classes and needs 11 output units; "
        "line 13, column 2 (y): the label 'l' stands in this row alone"
    }


def test_whole_numbers_are_classes_in_their_order() -> None:
    text = "a,y\n1,9\n2,3\n3,7\n4,3\n"
    three: dict[str, Any] = {"model": {"layers": [{"units": 3}]}, "loss": {"kind": "cross_entropy"}}
    spec = JobSpec.model_validate(vary(csv(text), **three))
    assert spec.class_names() == ("3", "7", "9")
    assert spec.class_labels() == [3, 7, 9]
    gap = JobSpec.model_validate(vary(csv("a,y\n1,2\n2,0\n"), **three))
    assert gap.class_names() == ("0", "1", "2")


def test_a_report_says_what_was_read() -> None:
    report = read("colour;size;kind\nred;1,5;cat\nblue;2,5;dog\nred;2,0;cat\n").report()
    assert report["rows"] == 3
    assert report["columns"] == [
        {
            "name": "colour",
            "type": "text",
            "count": 3,
            "missing": 0,
            "categories": [{"name": "blue", "count": 1}, {"name": "red", "count": 2}],
        },
        {
            "name": "size",
            "type": "number",
            "count": 3,
            "missing": 0,
            "min": 1.5,
            "mean": 2.0,
            "max": 2.5,
        },
    ]
    assert report["target"]["classes"] == [{"name": "cat", "count": 2}, {"name": "dog", "count": 1}]
    assert (report["header"], report["delimiter"], report["decimal"]) == (True, ";", ",")


def test_columns_of_one_name_are_told_apart() -> None:
    table = read("a,a,y\n1,2,3\n4,5,6\n")
    assert names(table) == ["a", "a.1"]
    assert "more than one column is called 'a'" in table.warnings[0]


def test_bytes_are_decoded_as_their_mark_says() -> None:
    assert decode("\ufeffä,y\n".encode()) == "ä,y\n"
    assert decode("ä,y\n".encode("utf-16")) == "ä,y\n"
    with pytest.raises(TableError, match="line 2 is not UTF-8; save the file as UTF-8"):
        decode("a,y\nä,1\n".encode("latin-1"))


@pytest.mark.parametrize("decimal", [".", ","])
def test_a_large_table_is_read_quickly(decimal: str) -> None:
    rows = [";".join(f"{i * j % 97}{decimal}25" for j in range(10)) for i in range(10_000)]
    text = ";".join(f"c{j}" for j in range(10)) + "\n" + "\n".join(rows)
    begun = time.process_time()
    assert len(read(text).x) == 10_000
    assert time.process_time() - begun < 1.0
