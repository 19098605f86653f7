"""The command `gradserve`.

Modules that take time to import are imported inside the command that needs them: `gradserve
--help` loads click alone, and only `up` loads the service.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from gradserve.cli.datasets import datasets
from gradserve.cli.files import export, plot
from gradserve.cli.history import history
from gradserve.cli.jobs import cancel, delete, list_jobs, pause, resume, show, submit
from gradserve.cli.keys import keys, login
from gradserve.cli.predictions import evaluate, predict
from gradserve.cli.up import up
from gradserve.errors import ClientError
from gradserve.shadowing import hidden


class Commands(click.Group):
    """Ends with one sentence and exit code 1 on errors that are meant for a person."""

    def invoke(self, ctx: click.Context) -> Any:
        problem = hidden("engine", "service", "worker")
        if problem is not None:
            raise click.ClickException(problem)
        try:
            return super().invoke(ctx)
        except ClientError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradserve", message="gradserve %(version)s")
def main() -> None:
    """Train small neural networks as jobs over HTTP."""
    for stream in (sys.stdout, sys.stderr):
        # A name is printed even where the terminal's encoding cannot write all of it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


for command in (
    up,
    submit,
    list_jobs,
    show,
    history,
    predict,
    evaluate,
    cancel,
    pause,
    resume,
    delete,
    datasets,
    export,
    plot,
    login,
    keys,
):
    main.add_command(command)
