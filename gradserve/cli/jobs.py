"""The commands about jobs: submit, list, show, cancel, pause, resume and delete."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gradserve.cli import output
from gradserve.cli.datasets import target_option
from gradserve.cli.options import connect, job_id, service_options
from gradserve.printable import printable

if TYPE_CHECKING:
    from gradserve.client import Gradserve
    from gradserve.types import Job

STATES = (
    "queued",
    "running",
    "pausing",
    "paused",
    "cancelling",
    "cancelled",
    "succeeded",
    "failed",
)
INTERRUPTED = 130


@click.command()
@click.argument("file")
@click.option("--watch", is_flag=True, help="Show the progress until the job has ended.")
@target_option
@service_options
def submit(file: str, watch: bool, target: str | None, url: str, as_json: bool) -> None:
    """Submit the job in FILE, or on standard input for `-`.

    A CSV file is uploaded as a data set and trained on with a sensible first network; --target is
    for such files only. With --watch the exit code says whether the job succeeded.
    """
    from gradserve.cli.job_file import read_job

    table = is_table(file)
    if target is not None and not table:
        raise click.UsageError("--target belongs to a CSV file; a job has it in its dataset")
    spec = {} if table else read_job(file)
    with connect(url) as service:
        if table:
            spec = first_job_for(service, file, target)
        submitted = service.submit(spec)
        output.print_warnings(submitted)
        job: Job = watch_job(service, submitted) if watch else submitted
    if watch and not as_json:
        output.print_success(job)
    else:
        output.print_state(job, as_json)
    if watch:
        output.fail_unless_succeeded(job)


@click.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--name", help="Only jobs of this name.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most N jobs."
)
@service_options
def list_jobs(state: str | None, name: str | None, limit: int, url: str, as_json: bool) -> None:
    """List jobs, the newest first."""
    from gradserve.cli.tables import jobs_table

    with connect(url) as service:
        jobs = service.list(limit=limit, state=state, name=name)
    if as_json:
        output.print_json(jobs)
    elif jobs:
        console = output.console()
        console.print(jobs_table(jobs, console.width))
    else:
        click.echo("No jobs.", err=True)


@click.command()
@click.argument("id")
@service_options
def show(id: str, url: str, as_json: bool) -> None:
    """Show one job."""
    with connect(url) as service:
        output.print_job(service.get(job_id(service, id)), as_json)


@click.command()
@click.argument("id")
@service_options
def cancel(id: str, url: str, as_json: bool) -> None:
    """End a job before it is finished."""
    with connect(url) as service:
        output.print_state(service.cancel(job_id(service, id)), as_json)


@click.command()
@click.argument("id")
@service_options
def pause(id: str, url: str, as_json: bool) -> None:
    """Pause a job; its progress is kept."""
    with connect(url) as service:
        output.print_state(service.pause(job_id(service, id)), as_json)


@click.command()
@click.argument("id")
@service_options
def resume(id: str, url: str, as_json: bool) -> None:
    """Resume a paused job."""
    with connect(url) as service:
        output.print_state(service.resume(job_id(service, id)), as_json)


@click.command()
@click.argument("id")
@service_options
def delete(id: str, url: str, as_json: bool) -> None:
    """Delete a job that has ended, with all its results."""
    with connect(url) as service:
        id = job_id(service, id)
        service.delete(id)
    if as_json:
        output.print_json({"id": id, "state": "deleted"})
    else:
        click.echo(f"{printable(id)} is deleted")


def is_table(file: str) -> bool:
    """Whether the name of a file says that it holds a table and not a job."""
    return file.lower().endswith((".csv", ".tsv"))


def first_job_for(service: Gradserve, file: str, target: str | None) -> dict[str, Any]:
    """Uploads a table; returns a job for it, and says what was read and will be trained."""
    from gradserve.cli.datasets import print_warnings
    from gradserve.cli.first_network import first_job

    dataset = service.datasets.create(file, target=target)
    print_warnings(dataset)
    spec, sentence = first_job(dataset)
    id, rows = dataset["id"], dataset["rows"]
    click.echo(
        printable(f"{file} is stored as {id} ({rows:,} rows); `gradserve datasets show {id}`"),
        err=True,
    )
    click.echo(printable(sentence), err=True)
    return spec


def watch_job(service: Gradserve, job: Job) -> Job:
    """Shows the progress of a job until it has ended; Ctrl-C ends only the watching."""
    from rich.console import Console

    from gradserve.cli.progress import follow

    console = Console(stderr=True)
    try:
        console.print(f"{job['id']} is {job['state']}", highlight=False, soft_wrap=True)
        return follow(service.watch(job["id"]), console)
    except KeyboardInterrupt:
        click.echo(
            f"\n{job['id']} continues; `gradserve show {job['id']}` shows it, "
            f"`gradserve cancel {job['id']}` ends it",
            err=True,
        )
        sys.exit(INTERRUPTED)
