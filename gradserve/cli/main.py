"""The command `gradserve`.

Whatever takes time to import is imported inside the command that needs it: `gradserve --help`
loads click alone, and only `up` loads the service. Tables and JSON go to standard output,
progress and errors to standard error.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from gradserve import DEFAULT_URL
from gradserve.errors import ClientError

if TYPE_CHECKING:
    from rich.console import Console

    from gradserve.client import Client, Job

URL_VARIABLE = "GRADSERVE_URL"
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
# Where a table goes into a pipe no column is cut or folded.
PIPE_WIDTH = 250

Function = TypeVar("Function", bound=Callable[..., Any])


class Commands(click.Group):
    """Ends with one sentence and exit code 1 on errors that are meant for a person."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ClientError as error:
            raise click.ClickException(str(error)) from None


def service_options(function: Function) -> Function:
    """The options of every command that talks to a service."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table."),
        click.option(
            "--url",
            default=DEFAULT_URL,
            envvar=URL_VARIABLE,
            show_default=True,
            show_envvar=True,
            help="Address of the service.",
        ),
    ):
        function = option(function)
    return function


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradserve", message="gradserve %(version)s")
def main() -> None:
    """Train small neural networks as jobs over HTTP."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot write is no reason to print nothing.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--data-dir",
    default="./var",
    envvar="GRADSERVE_DATA_DIR",
    show_default=True,
    show_envvar=True,
    help="Folder of the database and the logs.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Jobs trained at the same time.  [default: one a core]",
)
def up(host: str, port: int, data_dir: str, workers: int | None) -> NoReturn:
    """Run the whole service on this machine until Ctrl-C."""
    from service.run import up

    sys.exit(up.run(host, port, data_dir, workers))


@main.command()
@click.argument("file")
@click.option("--watch", is_flag=True, help="Show the progress until the job has ended.")
@service_options
def submit(file: str, watch: bool, url: str, as_json: bool) -> None:
    """Hand in the job in FILE, or on standard input for `-`.

    With --watch the exit code says whether the job succeeded.
    """
    from gradserve.cli.job_file import read_spec

    spec = read_spec(file)
    with connect(url) as client:
        job = client.submit(spec)
        if watch:
            job = watch_job(client, job)
    if watch and not as_json:
        report(job)
    else:
        print_state(job, as_json)
    if watch:
        fail_unless_succeeded(job)


@main.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--name", help="Only jobs of this name.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."
)
@service_options
def list_jobs(state: str | None, name: str | None, limit: int, url: str, as_json: bool) -> None:
    """List jobs, the newest first."""
    from gradserve.cli.tables import jobs_table

    with connect(url) as client:
        jobs = client.list(limit=limit, state=state, name=name)
    if as_json:
        print_json(jobs)
    elif jobs:
        console = output()
        console.print(jobs_table(jobs, console.width))
    else:
        click.echo("No jobs.", err=True)


@main.command()
@click.argument("id")
@service_options
def show(id: str, url: str, as_json: bool) -> None:
    """Show one job."""
    with connect(url) as client:
        print_job(client.get(id), as_json)


@main.command()
@click.argument("id")
@service_options
def cancel(id: str, url: str, as_json: bool) -> None:
    """End a job before it is done."""
    with connect(url) as client:
        print_state(client.cancel(id), as_json)


@main.command()
@click.argument("id")
@service_options
def pause(id: str, url: str, as_json: bool) -> None:
    """Let a job rest; what it has learned is kept."""
    with connect(url) as client:
        print_state(client.pause(id), as_json)


@main.command()
@click.argument("id")
@service_options
def resume(id: str, url: str, as_json: bool) -> None:
    """Let a paused job go on."""
    with connect(url) as client:
        print_state(client.resume(id), as_json)


def connect(url: str) -> Client:
    from gradserve.client import Client

    return Client(url)


def watch_job(client: Client, job: Job) -> Job:
    from rich.console import Console

    from gradserve.cli.progress import follow

    console = Console(stderr=True)
    try:
        console.print(f"{job['id']} is {job['state']}", highlight=False, soft_wrap=True)
        return follow(client.watch(job["id"]), console)
    except KeyboardInterrupt:
        click.echo(
            f"\n{job['id']} goes on; `gradserve show {job['id']}` looks at it, "
            f"`gradserve cancel {job['id']}` ends it",
            err=True,
        )
        sys.exit(INTERRUPTED)


def report(job: Job) -> None:
    from gradserve.cli import formatting

    if job["state"] == "succeeded":
        took = formatting.duration(formatting.took(job))
        loss = formatting.number(job["loss"])
        score = f"{formatting.score_name(job)} {formatting.score(job)}"
        click.echo(f"{job['id']} succeeded in {took}: loss {loss}, {score}")


def fail_unless_succeeded(job: Job) -> None:
    """Ends the command unless the job succeeded."""
    from gradserve.cli import formatting

    reason = formatting.failure(job)
    if reason is not None:
        raise click.ClickException(reason)


def print_job(job: Job, as_json: bool) -> None:
    from gradserve.cli.tables import job_table

    if as_json:
        print_json(job)
    else:
        output().print(job_table(job))


def print_state(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        click.echo(f"{job['id']} is {job['state']}")


def output() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def print_json(value: object) -> None:
    # ASCII alone: no name in it is a command to the terminal, and any encoding can print it.
    click.echo(json.dumps(value, indent=2))
