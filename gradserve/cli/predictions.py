"""The commands that use a trained network: predict and evaluate."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gradserve.cli import output
from gradserve.cli.options import connect, job_id, service_options, step_option
from gradserve.errors import ClientError

if TYPE_CHECKING:
    from gradserve.types import Prediction


@click.command()
@click.argument("id")
@click.argument("file")
@step_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV also on a terminal.")
@service_options
def predict(id: str, file: str, step: str | None, as_csv: bool, url: str, as_json: bool) -> None:
    """Ask the network of a job about the rows in FILE, or on standard input for `-`.

    FILE is CSV with the names of the columns in its first line, or without. The answers come in
    the order of the rows: a table on a terminal, CSV in a pipe.
    """
    text = read_text(file)
    with connect(url) as service:
        found = service.jobs.predict(job_id(service, id), text, step=step)
    if as_json:
        output.print_json(found)
    else:
        records = [record(item) for item in found["items"]]
        output.print_records(list(records[0]), [list(one.values()) for one in records], as_csv)


@click.command()
@click.argument("id")
@step_option
@click.option(
    "--of",
    type=click.Choice(["training", "validation"]),
    help="The rows to judge it on. By default those kept for validation, if there are some.",
)
@service_options
def evaluate(id: str, step: str | None, of: str | None, url: str, as_json: bool) -> None:
    """Judge the network of a job: loss, score, and a confusion matrix or residuals."""
    with connect(url) as service:
        found = service.jobs.evaluate(job_id(service, id), of=of, step=step)
    if as_json:
        output.print_json(found)
        return
    from gradserve.cli.tables import evaluation_tables

    console = output.console()
    for table in evaluation_tables(found):
        console.print(table)


def record(item: Prediction) -> dict[str, Any]:
    """A prediction as one line of a table."""
    flat: dict[str, Any] = {k: v for k, v in item.items() if k != "probabilities"}
    return flat | {f"p({name})": p for name, p in (item.get("probabilities") or {}).items()}


def read_text(path: str) -> str:
    name = "standard input" if path == "-" else path
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ClientError(f"{name} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise ClientError(f"Cannot read {name}: {error.strerror}") from None
