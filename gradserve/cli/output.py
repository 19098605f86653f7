"""The output of commands: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

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
    from gradserve.printable import printable

    for warning in job.get("warnings", ()):
        text = printable(f"warning: {warning['pointer']}: {warning['detail']}")
        click.echo(text, err=True)


def fail_unless_succeeded(job: Job) -> None:
    """Ends the command with the reason unless the job succeeded."""
    from gradserve.cli import formatting

    reason = formatting.failure(job)
    if reason is not None:
        raise click.ClickException(reason)
