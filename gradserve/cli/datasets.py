"""`gradserve datasets`: data sets that are uploaded once and named by many jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradserve.cli import output
from gradserve.cli.options import connect, service_options
from gradserve.printable import printable

if TYPE_CHECKING:
    from gradserve.types import Dataset

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "blank": " "}

Function = TypeVar("Function", bound=Callable[..., Any])

target_option = click.option(
    "--target", help="Column to predict, by name or by position from 0.  [default: the last one]"
)


@click.group()
def datasets() -> None:
    """Upload, list, show and delete data sets, which jobs name by their ids."""


@datasets.command()
@click.argument("file")
@click.option("--name", help="Name in lists.  [default: that of FILE]")
@target_option
@click.option("--header/--no-header", default=None, help="Whether the first row holds names.")
@click.option("--delimiter", type=click.Choice(list(DELIMITERS)), help="What separates cells.")
@click.option("--decimal", type=click.Choice(["point", "comma"]), help="The decimal sign.")
@click.option(
    "--missing",
    type=click.Choice(["refuse", "drop", "mean"]),
    help="Refuse gaps, drop their rows, or fill them with the mean.  [default: refuse]",
)
@click.option("--ignore", multiple=True, help="Column to leave out; may be repeated.")
@service_options
def create(
    file: str,
    name: str | None,
    target: str | None,
    header: bool | None,
    delimiter: str | None,
    decimal: str | None,
    missing: str | None,
    ignore: tuple[str, ...],
    url: str,
    as_json: bool,
) -> None:
    """Upload the CSV file FILE, or the one on standard input for `-`, and show what was read.

    What is not said about it is found out from the file.
    """
    with connect(url) as service:
        made = service.datasets.create(
            sys.stdin.buffer.read() if file == "-" else file,
            name=name,
            target=target,
            header=header,
            delimiter=DELIMITERS.get(delimiter or ""),
            decimal={"point": ".", "comma": ","}.get(decimal or ""),
            missing=missing,
            ignore=ignore or None,
        )
    print_warnings(made)
    print_dataset(made, as_json)


@datasets.command("list")
@click.option("--name", help="Only data sets of this name.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="At most N data sets.",
)
@service_options
def list_datasets(name: str | None, limit: int, url: str, as_json: bool) -> None:
    """List data sets, the newest first."""
    from gradserve.cli.dataset_tables import datasets_table

    with connect(url) as service:
        found = service.datasets.list(limit=limit, name=name)
    if as_json:
        output.print_json(found)
    elif found:
        console = output.console()
        console.print(datasets_table(found, console.width))
    else:
        click.echo("No data sets.", err=True)


@datasets.command()
@click.argument("id")
@service_options
def show(id: str, url: str, as_json: bool) -> None:
    """Show what was read of a data set."""
    with connect(url) as service:
        print_dataset(service.datasets.retrieve(id), as_json)


@datasets.command()
@click.argument("id")
@service_options
def delete(id: str, url: str, as_json: bool) -> None:
    """Delete a data set, unless a job that has not ended needs it."""
    with connect(url) as service:
        service.datasets.delete(id)
    if as_json:
        output.print_json({"id": id, "state": "deleted"})
    else:
        click.echo(f"{printable(id)} is deleted")


def print_dataset(dataset: Dataset, as_json: bool) -> None:
    """Everything about one data set."""
    from gradserve.cli.dataset_tables import columns_table, dataset_table

    if as_json:
        output.print_json(dataset)
        return
    console = output.console()
    console.print(dataset_table(dataset))
    console.print()
    console.print(columns_table(dataset))


def print_warnings(dataset: Dataset) -> None:
    """What the service has guessed or left out."""
    for warning in dataset.get("warnings") or ():
        click.echo(printable(f"warning: {warning}"), err=True)
