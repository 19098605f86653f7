"""A check that a module of the user's does not hide one of our packages.

The folder of a notebook may hold a module called `engine`, `service` or `worker`, as our packages
are. Python imports the first that it finds, and the wrong one fails without telling why.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
"""The folder that holds all our packages."""


def hidden(*names: str) -> str | None:
    """One sentence about the first of our packages that another module hides, or None."""
    for name in names:
        try:
            found = find_spec(name)
        except ValueError:  # a module made by hand, without a specification
            found = None
        origin = found.origin if found else None
        if origin is None or Path(origin).resolve() != HOME / name / "__init__.py":
            place = origin or f"a module named {name} that is not a file"
            return (
                f"{place} hides gradserve's own package {name!r}: rename it, "
                "or start Python in another folder"
            )
    return None


def check_engine() -> None:
    """Raises ImportError where our engine cannot be imported because another module hides it."""
    problem = hidden("engine")
    if problem is not None:
        raise ImportError(problem)
