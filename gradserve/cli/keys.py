"""`gradserve keys`: the API keys of a service, and `gradserve login`.

Keys are made where the database is: on the machine of `gradserve up`, or in a container of it.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from gradserve.cli import output
from gradserve.cli.options import service_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from service.common.settings import Settings

# Those of `service.store.api_keys`, which `--help` does not wait for.
SCOPES = ("read", "write", "admin")
DAY_SECONDS = 86_400

data_dir_option = click.option(
    "--data-dir",
    default="./var",
    envvar="GRADSERVE_DATA_DIR",
    show_default=True,
    show_envvar=True,
    help="Folder of the service's database, unless GRADSERVE_DATABASE_URL names another one.",
)


@click.group()
def keys() -> None:
    """Create, list and revoke the API keys of a service, on the machine of its database."""


@keys.command()
@click.argument("name")
@click.option("--owner", help="Whose jobs the key sees.  [default: NAME]")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("read", "write"),
    show_default=True,
    help="What the key allows; may be repeated. `admin` also sees the metrics of everyone.",
)
@click.option("--days", type=click.IntRange(min=1), help="Days until the key expires.")
@data_dir_option
def create(
    name: str, owner: str | None, scopes: tuple[str, ...], days: int | None, data_dir: str
) -> None:
    """Create a key called NAME and print it, once: only its hash is stored."""
    from service.run import keys as stored

    with _plain_errors():
        key = stored.create(
            _settings(data_dir),
            owner=owner or name,
            name=name,
            scopes=scopes,  # type: ignore[arg-type]
            lifetime_seconds=None if days is None else days * DAY_SECONDS,
        )
    click.echo(key)
    click.echo("Keep it now: it cannot be shown again. `gradserve login` stores it.", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@data_dir_option
def list_keys(as_json: bool, data_dir: str) -> None:
    """List the keys, the oldest first. The keys themselves are not stored."""
    from service.run import keys as stored

    with _plain_errors():
        found = stored.everything(_settings(data_dir))
    rows: list[dict[str, str | None]] = [
        {
            "prefix": key.prefix,
            "name": key.name,
            "owner": key.owner,
            "scopes": key.scopes,
            "created_at": _time(key.created_at),
            "expires_at": _time(key.expires_at),
            "revoked_at": _time(key.revoked_at),
            "last_used_at": _time(key.last_used_at),
        }
        for key in found
    ]
    if as_json:
        output.print_json(rows)
    elif rows:
        _print_table(rows)
    else:
        click.echo("No keys.", err=True)


@keys.command()
@click.argument("prefix")
@data_dir_option
def revoke(prefix: str, data_dir: str) -> None:
    """Revoke the key whose eight digits after `gs_` are PREFIX. It ends at once."""
    from service.run import keys as stored

    with _plain_errors():
        stored.revoke(_settings(data_dir), prefix)
    click.echo(f"{prefix} is revoked")


@click.command()
@click.option("--key", prompt="API key", hide_input=True, help="The key; better typed when asked.")
@service_options
def login(key: str, url: str, as_json: bool) -> None:
    """Check an API key and store it for this service, in a file that only you can read."""
    from gradserve import credentials
    from gradserve.client import Gradserve

    key = key.strip()
    with Gradserve(url, api_key=key) as service:
        service.list(limit=1)
    path = credentials.store(url, key)
    if as_json:
        output.print_json({"url": url, "file": str(path)})
    else:
        click.echo(f"Stored the key for {url} in {path}")


def _settings(data_dir: str) -> Settings:
    from pathlib import Path

    from service.run.data_folder import make_folder
    from service.run.up import settings_of

    settings = settings_of(Path(data_dir))
    if settings.sqlite:
        make_folder(Path(data_dir))
    return settings


@contextmanager
def _plain_errors() -> Iterator[None]:
    from service.common.errors import GradserveError

    try:
        yield
    except GradserveError as error:
        raise click.ClickException(str(error)) from None


def _print_table(rows: Sequence[Mapping[str, str | None]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(*(name.upper().replace("_", " ") for name in rows[0]), box=None)
    for row in rows:
        table.add_row(*(Text(value or "") for value in row.values()))
    output.console().print(table)


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
