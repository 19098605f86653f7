"""The output of commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from gradserve.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from gradserve.types import Job, SubmittedJob

# Where a table goes into a pipe, no column is cut or folded.
PIPE_WIDTH = 250


def console() -> Console:
    """Standard output, wide enough for a whole table where it is not a terminal."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = PIPE_WIDTH
    return found


def is_terminal() -> bool:
    return sys.stdout.isatty()


def print_records(titles: list[str], rows: list[list[Any]], as_csv: bool) -> None:
    """A table on a terminal; CSV in a pipe, or where that was asked for."""
    if as_csv or not is_terminal():
        writer = csv.writer(sys.stdout, lineterminator="\n")
        # A name may hold commands to the terminal; a program gets it as it is.
        clean = (lambda x: printable(x) if isinstance(x, str) else x) if is_terminal() else None
        for row in (titles, *rows):
            writer.writerow(map(clean, row) if clean else row)
    else:
        from gradserve.cli.tables import records_table

        console().print(records_table(titles, rows))


def print_json(value: object) -> None:
    # ASCII only: no name in it can be a command to the terminal, and every encoding has it.
    click.echo(json.dumps(value, indent=2))


def print_job(job: Job, as_json: bool) -> None:
    """Everything about one job."""
    from gradserve.cli.tables import job_table

    if as_json:
        print_json(job)
    else:
        console().print(job_table(job))


def print_state(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        click.echo(f"{job['id']} is {job['state']}")


def print_success(job: Job) -> None:
    """The figures of a job that succeeded, as one line; nothing for any other."""
    from gradserve.cli import formatting

    if job["state"] == "succeeded":
        took = formatting.duration(formatting.took(job))
        figures = formatting.figures(formatting.delivered(job), formatting.score_name(job))
        click.echo(f"{job['id']} succeeded in {took}: {figures}")


def print_warnings(job: SubmittedJob) -> None:
    """The likely mistakes that the service has found in a submission."""
    for warning in job.get("warnings", ()):
        text = printable(f"warning: {warning['pointer']}: {warning['detail']}")
        click.echo(text, err=True)


def fail_unless_succeeded(job: Job) -> None:
    """Ends the command with the reason unless the job succeeded."""
    from gradserve.cli import formatting

    reason = formatting.failure(job)
    if reason is not None:
        raise click.ClickException(reason)
