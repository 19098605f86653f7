"""Results on standard output, as text or JSON, and warnings on standard error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from gradserve.cli import formatting
from gradserve.printable import printable
from gradserve.types import Job, Jobs

if TYPE_CHECKING:
    from rich.console import Console

# The width of a table in a pipe, where no column may be cut or folded.
PIPE_WIDTH = 250


def print_jobs(jobs: Jobs, as_json: bool) -> None:
    from gradserve.cli.tables import jobs_table

    if as_json:
        print_json(jobs)
    elif jobs:
        console = _console()
        console.print(jobs_table(jobs, console.width))
    else:
        click.echo("No jobs.", err=True)


def print_job(job: Job, as_json: bool) -> None:
    from gradserve.cli.tables import job_table

    if as_json:
        print_json(job)
    else:
        _console().print(job_table(job))


def print_state(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        click.echo(f"{job['id']} is {job['state']}")


def print_warnings(job: Job) -> None:
    """The likely mistakes that the service found in a submission, one line each."""
    for warning in job.get("warnings") or ():
        line = f"Warning: {warning['pointer']}: {warning['detail']}"
        click.echo(printable(line), err=True)


def print_result(job: Job) -> None:
    """One line about a job that succeeded; nothing about any other job."""
    if job["state"] == "succeeded":
        took = formatting.duration(formatting.took(job))
        loss = formatting.number(job["loss"])
        score = f"{formatting.score_name(job)} {formatting.score(job)}"
        click.echo(f"{job['id']} succeeded in {took}: loss {loss}, {score}")


def print_json(value: object) -> None:
    # ASCII only: no name is a command to the terminal, and every encoding can print it.
    click.echo(json.dumps(value, indent=2))


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console
