"""The commands that write a file about a job: export and plot."""

from __future__ import annotations

from pathlib import Path

import click

from gradserve.cli import output
from gradserve.cli.options import connect, service_options

PLOTS = ("loss", "boundary", "predicted", "confusion", "weights", "graph")

step_option = click.option(
    "--step", help="A number of updates, best or latest; by default what the job delivers."
)


@click.command()
@click.argument("id")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@step_option
@service_options
def export(id: str, file: Path, step: str | None, url: str, as_json: bool) -> None:
    """Write the trained network to FILE: .onnx, .safetensors, .json or .py.

    The ending of FILE chooses the format. An .onnx file takes raw rows, and a .py file defines
    predict(row) and needs nothing installed.
    """
    from gradserve.files import format_of

    format_of(file)  # before the service is asked
    with connect(url) as service:
        service.jobs.download(id, file, step=step)
    print_written(file, as_json)


@click.command()
@click.argument("id")
@click.argument("kind", type=click.Choice(PLOTS))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@step_option
@click.option("--theme", type=click.Choice(["auto", "light", "dark"]), help="By default auto.")
@click.option("--x", help="Of boundary: the column across.")
@click.option("--y", help="Of boundary: the column upwards.")
@click.option(
    "--of",
    type=click.Choice(["training", "validation"]),
    help="Of confusion and predicted: the rows that are judged.",
)
@click.option("--row", type=click.IntRange(min=0), help="Of graph: the number of the row.")
@service_options
def plot(
    id: str, kind: str, file: Path | None, url: str, as_json: bool, **query: str | int | None
) -> None:
    """Write a picture of a job to FILE, an SVG; by default KIND.svg.

    loss: loss and score over the steps. boundary: what the network answers over two columns.
    predicted: predictions against the true values. confusion: the classes that are mistaken for
    each other. weights: the weights of each layer. graph: how the loss of one row is computed,
    also as text, where FILE ends with .dot or .json.
    """
    from gradserve.files import picture_format

    path = file or Path(f"{kind}.svg")
    picture_format(kind, path)  # before the service is asked
    asked = {name: value for name, value in query.items() if value is not None}
    with connect(url) as service:
        service.jobs.plot(id, kind, path, **asked)
    print_written(path, as_json)


def print_written(path: Path, as_json: bool) -> None:
    if as_json:
        output.print_json({"file": str(path)})
    else:
        click.echo(f"wrote {path}")
