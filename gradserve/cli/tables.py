"""Jobs as tables for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from gradserve.cli import formatting
from gradserve.printable import printable
from gradserve.types import Job, Jobs, JobSummary

# The least width of a terminal that shows the column. Cut to fit, no column would be readable.
COLUMNS = {
    "ID": 0,
    "NAME": 70,
    "STATE": 0,
    "STEP": 55,
    "LOSS": 80,
    "ACCURACY": 95,
    "CREATED": 115,
}
NUMBERS = ("STEP", "LOSS", "ACCURACY")
# Fields that hold the rows of a job's own data set.
EXAMPLES = ("x", "y", "text")


def jobs_table(jobs: Jobs, width: int) -> Table:
    """One line per job, with as many columns as a terminal of this width has room for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    shown = [title for title, from_width in COLUMNS.items() if width >= from_width]
    for title in shown:
        table.add_column(
            title,
            justify="right" if title in NUMBERS else "left",
            no_wrap=title != "NAME",
            overflow="fold",
        )
    for job in jobs:
        cells: dict[str, str | Text] = {
            "ID": job["id"],
            "NAME": job["name"] or formatting.UNKNOWN,
            "STATE": state(job),
            "STEP": f"{job['step']:,}/{job['steps']:,}",
            "LOSS": formatting.number(job["loss"]),
            "ACCURACY": formatting.number(job["accuracy"], digits=3),
            "CREATED": formatting.when(job["created_at"]),
        }
        table.add_row(*(literal(cells[title]) for title in shown))
    return table


def job_table(job: Job) -> Table:
    """Everything about one job, one fact per line."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows: list[tuple[str, str | Text]] = [
        ("id", job["id"]),
        ("name", job["name"] or formatting.UNKNOWN),
        ("state", state(job)),
        ("step", f"{job['step']:,} of {job['steps']:,}"),
        ("loss", formatting.number(job["loss"])),
        (formatting.score_name(job), formatting.score(job)),
        *outcome(job),
        ("created", formatting.when(job["created_at"])),
        ("started", formatting.when(job["started_at"])),
        ("finished", formatting.when(job["finished_at"])),
        ("training time", formatting.duration(formatting.took(job))),
        ("attempt", str(job["attempt"])),
        *specification(job),
        *environments(job),
    ]
    why = formatting.failure(job)
    if why is not None:
        rows.insert(3, ("reason", why))
    for name, value in rows:
        table.add_row(name, literal(value))
    return table


def literal(cell: str | Text) -> Text:
    """The cell without markup: rich would read square brackets in a plain string as markup."""
    return cell if isinstance(cell, Text) else Text(printable(cell))


def state(job: JobSummary) -> Text:
    return Text(job["state"], style=formatting.STATE_STYLES.get(job["state"], ""))


def outcome(job: Job) -> list[tuple[str, str]]:
    """The delivered parameters' figures and the best step's, where the service sends them."""
    rows = []
    if final := job.get("final"):
        rows.append(("final", formatting.figures(job, final)))
    if best := job.get("best"):
        rows.append(("best", formatting.figures(job, best)))
    return rows


def environments(job: Job) -> list[tuple[str, str]]:
    """One line per environment that trained the job, with its first step."""
    return [
        (
            "trained by" if not place["from_step"] else f"from step {place['from_step']:,}",
            f"gradserve {place['engine']}, NumPy {place['numpy']}, numba {place['numba']}, "
            f"{place['processor']}",
        )
        for place in job.get("environment") or ()
    ]


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


def fields(part: dict[str, object]) -> str:
    """`moons (n_samples 100, noise 0.1, seed 1337)`."""
    rest = ", ".join(f"{name} {value}" for name, value in part.items() if name != "kind")
    return f"{part['kind']} ({rest})" if rest else str(part["kind"])
