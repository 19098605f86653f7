"""The command `history`: the logged steps of a job."""

from __future__ import annotations

import click

from gradserve.cli import output
from gradserve.cli.options import connect, job_id, service_options

# A table of more lines is not read; the service chooses those that look alike when drawn.
TABLE_ROWS = 20


@click.command()
@click.argument("id")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, every logged step.")
@service_options
def history(id: str, as_csv: bool, url: str, as_json: bool) -> None:
    """Show the loss history of a job.

    A terminal gets some of the steps as a table; a pipe gets all of them as CSV.
    """
    whole = as_csv or as_json or not output.is_terminal()
    with connect(url) as service:
        id = job_id(service, id)
        rows = service.jobs.history(id, max_points=None if whole else TABLE_ROWS)
    if as_json:
        output.print_json(rows)
    elif rows:
        output.print_records(list(rows[0]), [list(row.values()) for row in rows], as_csv)
    else:
        click.echo("No steps are logged yet.", err=True)
