"""Whether somebody's own module hides one of ours.

Our packages `engine`, `service` and `worker` have names that a notebook's folder may have too.
Python imports whichever it finds first, and the wrong one fails in ways that do not tell why.
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
            place = origin or f"a module named {name} that is no file"
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
