"""The options that all commands about a service share, and how such a command reaches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradserve.defaults import DEFAULT_URL

if TYPE_CHECKING:
    from gradserve.client import Gradserve

URL_VARIABLE = "GRADSERVE_URL"

Function = TypeVar("Function", bound=Callable[..., Any])


def service_options(function: Function) -> Function:
    """Adds --url and --json."""
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
    from gradserve.client import Gradserve

    return Gradserve(url)
