"""A check that a module of the user's does not hide one of our packages.

Our packages have short names. Python looks in the folder of the script or notebook first, so an
`engine.py` there is imported instead of our `engine`, and fails somewhere inside code that the
user did not write.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]


class HiddenPackage(ImportError):
    """A file of the user's hides one of our packages; the text names it and the remedy."""


def require(*packages: str) -> None:
    """Checks that each package is the one beside `gradserve`, without importing it.

    Raises:
        HiddenPackage: another module of that name comes first on Python's search path.
    """
    for package in packages:
        found = _location(package)
        if found is not None and found != HOME / package:
            raise HiddenPackage(
                f"{found} hides gradserve's own package {package!r}: "
                "rename it, or run Python in another folder",
                name=package,
                path=str(found),
            )


def _location(package: str) -> Path | None:
    """The file of a module or the folder of a package; None where there is neither."""
    try:
        spec = find_spec(package)
    except ValueError:  # a module made by hand, without a spec
        file = getattr(sys.modules.get(package), "__file__", None)
        return Path(file).resolve() if file else None
    if spec is None or spec.origin is None:
        return None
    origin = Path(spec.origin).resolve()
    return origin.parent if origin.name == "__init__.py" else origin
