"""`gradserve up`: the whole service on this machine."""

from __future__ import annotations

import sys
from typing import NoReturn

import click


@click.command()
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; GRADSERVE_ALLOWED_HOSTS lists other names of it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on; 0 chooses a free one.",
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
    help="Jobs trained at the same time.  [default: one per core]",
)
def up(host: str, port: int, data_dir: str, workers: int | None) -> NoReturn:
    """Run the whole service on this machine until Ctrl-C."""
    from service.run.up import run

    sys.exit(run(host, port, data_dir, workers))
