"""The options that all commands about a service share, and how such a command reaches it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gradserve.defaults import DEFAULT_URL

if TYPE_CHECKING:
    from gradserve.client import Gradserve

URL_VARIABLE = "GRADSERVE_URL"
# Short of a whole id, which needs no look-up; less is sooner a slip than a choice.
PREFIX = re.compile("job_[0-9a-f]{4,23}")

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


def step_option(function: Function) -> Function:
    """Adds --step."""
    return click.option(
        "--step",
        metavar="N|best|latest",
        help="The network after N updates, at its best logged step, or at its newest. By default "
        "the one that the job delivers.",
    )(function)


def job_id(service: Gradserve, text: str) -> str:
    """The id of a job that is given whole, or by a beginning that no other job has.

    `job_` may be left out. Raises ClientError where there is not exactly one.
    """
    from gradserve.errors import ClientError

    prefix = text if text.startswith("job_") else f"job_{text}"
    if not PREFIX.fullmatch(prefix):
        return text  # the service says that there is no such job
    found = [job["id"] for job in service.jobs.list(id_prefix=prefix, limit=3)]
    if len(found) > 1:
        some = ", ".join(found[:2])
        raise ClientError(f"the ids of several jobs begin with {text!r}: {some}, …; type more")
    if not found:
        raise ClientError(f"there is no job {text!r}")
    return found[0]


def connect(url: str) -> Gradserve:
    from gradserve.client import Gradserve

    return Gradserve(url)
