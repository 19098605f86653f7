"""The command `gradserve`.

Whatever takes time to import is imported inside the command that needs it: `gradserve --help`
loads only click, and only `up` loads the service. Tables and JSON go to standard output,
progress, warnings and errors to standard error.
"""

from __future__ import annotations

import io
import sys

import click

from gradserve.cli import jobs
from gradserve.cli.options import Commands
from gradserve.cli.up import up


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gradserve", message="gradserve %(version)s")
def main() -> None:
    """Train small neural networks as jobs over HTTP."""
    for stream in (sys.stdout, sys.stderr):
        # A name is printed even where the terminal's encoding cannot write all of it.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


for command in (up, *jobs.COMMANDS):
    main.add_command(command)
