"""Jobs as tables for a terminal."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from gradserve.cli import formatting
from gradserve.printable import printable
from gradserve.types import Environment, Evaluation, Job, Jobs, JobSummary

# The least width of a terminal that shows the column; squeezed in, none could be read.
COLUMNS = {
    "ID": 0,
    "NAME": 70,
    "STATE": 0,
    "STEP": 55,
    "LOSS": 80,
    "SCORE": 95,
    "CREATED": 115,
}
NUMBERS = ("STEP", "LOSS", "SCORE")
KEYS: tuple[Literal["name", "rows", "precision", "recall", "f1"], ...] = (
    "name",
    "rows",
    "precision",
    "recall",
    "f1",
)
# A confusion matrix of more classes does not fit a terminal.
MOST_CLASSES = 12
# The rows themselves, where a job brings its own.
EXAMPLES = ("x", "y", "text")


def jobs_table(jobs: Jobs, width: int) -> Table:
    """One line per job, with as many columns as a terminal of this width has room for."""
    cells: Iterator[dict[str, str | Text]] = (
        {
            "ID": job["id"],
            "NAME": job["name"] or formatting.UNKNOWN,
            "STATE": state(job),
            "STEP": f"{job['step']:,}/{job['steps']:,}",
            "LOSS": formatting.number(job["loss"]),
            "SCORE": formatting.listed_score(job),
            "CREATED": formatting.when(job["created_at"]),
        }
        for job in jobs
    )
    return list_table(COLUMNS, NUMBERS, width, cells)


def job_table(job: Job) -> Table:
    """Everything about one job, one line per fact."""
    name = formatting.score_name(job)
    rows: list[tuple[str, str | Text]] = [
        ("id", job["id"]),
        ("name", job["name"] or formatting.UNKNOWN),
        ("state", state(job)),
        ("step", f"{job['step']:,} of {job['steps']:,}"),
        ("last logged", formatting.figures(formatting.logged(job), name)),
        *[
            (title, f"step {scores['step']:,}: {formatting.figures(scores, name)}")
            for title, scores in (("best", job.get("best")), ("delivered", job.get("final")))
            if scores
        ],
        ("created", formatting.when(job["created_at"])),
        ("started", formatting.when(job["started_at"])),
        ("finished", formatting.when(job["finished_at"])),
        ("training time", formatting.duration(formatting.took(job))),
        ("attempt", str(job["attempt"])),
        *specification(job),
        *[("computed by", environment(part)) for part in job.get("environment") or ()],
    ]
    why = formatting.failure(job)
    if why is not None:
        rows.insert(3, ("reason", why))
    return facts_table(rows)


def list_table(
    columns: Mapping[str, int],
    numbers: Container[str],
    width: int,
    lines: Iterable[Mapping[str, str | Text]],
) -> Table:
    """A line per thing under the titles for which a terminal of this width has room.

    Args:
        columns: for each title the least width of a terminal that shows it.
        numbers: the titles of numbers, which stand at the right.
        width: of the terminal, in characters.
        lines: the cells of each thing by their titles.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [title for title, from_width in columns.items() if width >= from_width]
    for title in shown:
        table.add_column(
            title,
            justify="right" if title in numbers else "left",
            no_wrap=title != "NAME",
            overflow="fold",
        )
    for cells in lines:
        table.add_row(*(literal(cells[title]) for title in shown))
    return table


def facts_table(facts: Iterable[tuple[str, str | Text]]) -> Table:
    """One line per fact about a thing."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, value in facts:
        table.add_row(title, literal(value))
    return table


def records_table(titles: list[str], rows: list[list[Any]]) -> Table:
    """Numbers and texts under their titles."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(literal(title.upper()), justify="right")
    for row in rows:
        table.add_row(*map(literal, map(cell, row)))
    return table


def cell(value: Any) -> str:
    if isinstance(value, float):
        return formatting.number(value)
    return formatting.UNKNOWN if value is None else str(value)


def evaluation_tables(found: Evaluation) -> list[Table]:
    """A network judged: the figures, and per class the scores and the confusion matrix."""
    figures = Table(box=None, pad_edge=False, show_header=False)
    score = formatting.score(found["score"], found["score_name"])
    rows: list[tuple[str, str]] = [
        ("step", f"{found['step']:,}"),
        ("rows", f"{found['rows']:,} of {found['of']}"),
        ("loss", f"{formatting.number(found['loss'])} {found['loss_unit']}"),
        (found["score_name"], score),
    ]
    for name, value in (found["residuals"] or {}).items():
        rows.append((f"residual, {name.replace('_', ' ')}", cell(value)))
    for title, text in rows:
        figures.add_row(Text(title, style="bold"), literal(text))
    classes, confusion = found["classes"], found["confusion"]
    if classes is None or confusion is None:
        return [figures]
    titles = ["class", "rows", "precision", "recall", "f1"]
    scores = records_table(titles, [[one[name] for name in KEYS] for one in classes])
    if len(classes) > MOST_CLASSES:
        return [figures, scores]
    names = [one["name"] for one in classes]
    matrix = records_table(
        ["true \\ predicted", *names],
        [[name, *counts] for name, counts in zip(names, confusion, strict=True)],
    )
    return [figures, scores, matrix]


def literal(cell: str | Text) -> Text:
    """The cell as it is: rich would read square brackets in a plain string as markup."""
    return cell if isinstance(cell, Text) else Text(printable(cell))


def state(job: JobSummary) -> Text:
    return Text(job["state"], style=formatting.STATE_STYLES.get(job["state"], ""))


def specification(job: Job) -> list[tuple[str, str]]:
    spec = job["spec"]
    dataset = {name: value for name, value in spec["dataset"].items() if name not in EXAMPLES}
    layers = [f"{layer['units']} {layer['activation']}" for layer in spec["model"]["layers"]]
    return [
        ("data set", fields(dataset)),
        ("layers", " → ".join(layers)),
        ("loss function", fields(spec["loss"])),
        ("learning rate", fields(spec["optimizer"]["learning_rate"])),
        ("executor", spec["executor"]),
    ]


def environment(part: Environment) -> str:
    """`engine 0.1.0, numpy 2.4.6, … from step 0 on`."""
    names = ("engine", "numpy", "numba", "processor")
    versions = ", ".join(f"{name} {part.get(name)}" for name in names)
    return f"{versions} from step {part['from_step']:,} on"


def fields(part: dict[str, object]) -> str:
    """`moons (n_samples 100, noise 0.1, seed 1337)`."""
    rest = ", ".join(f"{name} {value}" for name, value in part.items() if name != "kind")
    return f"{part['kind']} ({rest})" if rest else str(part["kind"])
