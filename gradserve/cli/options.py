"""The options that several commands share, and the way errors end a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradserve.address import DEFAULT_URL, URL_VARIABLE
from gradserve.errors import ClientError
from gradserve.hidden import HiddenPackage

if TYPE_CHECKING:
    from gradserve.client import Gradserve

Function = TypeVar("Function", bound=Callable[..., Any])


class Commands(click.Group):
    """A group that ends with one sentence and exit code 1 on errors meant for a person."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ClientError, HiddenPackage) as error:
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


def connect(url: str) -> Gradserve:
    # httpx takes most of the start: it is imported when a command talks to a service.
    from gradserve.client import Gradserve

    return Gradserve(url)
