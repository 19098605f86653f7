"""The modules of version 0.1 under their old names, for one more version.

`from engine import losses` and `import engine.optim` still work: they give the names of the
module that took the old one's place, and a DeprecationWarning that says where it is now.

To end this, delete this file, its two lines in `engine/__init__.py`, its lines in
`engine/data/__init__.py` and `engine/spec/__init__.py`, and its test.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder

DATASET_FILES = ("base", "generated", "scikit", "playground", "bundled", "own")
MOVED = {
    "batches": ("data.batches",),
    "datasets": ("spec.datasets", *(f"spec.datasets.{part}" for part in DATASET_FILES)),
    "derivatives": ("autograd.value",),
    "draw": ("autograd.drawing",),
    "emit": ("compiler.emit",),
    "formulas": ("autograd.formulas",),
    "gradcheck": ("autograd.gradcheck",),
    "labels": ("spec.target_checks",),
    "layout": ("compiler.rows",),
    "losses": ("spec.loss", "networks.batch_loss"),
    "nn": ("networks.modules", "training.initialise", "networks.activations"),
    "optim": ("networks.optimizers", "spec.schedules"),
    "playground": ("spec.datasets.playground",),
    "problem": ("training.prepared",),
    "program": ("compiler.program", "compiler.operations", "compiler.instructions"),
    "progress": ("training.state", "training.executor"),
    "record": ("compiler.record", "compiler.graph", "compiler.fuse"),
    "scalar": ("training.scalar",),
    "schema": ("spec.base",),
    "stopping": ("training.early_stopping",),
    "table": ("spec.tables",),
    "value": ("autograd.value", "autograd.graphs"),
}
"""Old module → the modules where its names are now, the most important one first."""

RENAMED = {"Problem": "PreparedTraining", "State": "TrainingState"}
"""Old name → new name, for classes and functions that were renamed as well."""


class MovedModules:
    """Finds old modules of the engine. Python asks it only where no other finder knows a module."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package, _, old = name.partition(".")
        if package != "engine" or old not in MOVED:
            return None
        # Not a subclass: importing importlib.abc would double the time that the engine takes.
        return ModuleSpec(name, cast("Loader", self))

    def create_module(self, spec: ModuleSpec) -> None:
        """Lets Python make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        places = [f"engine.{place}" for place in MOVED[module.__name__.partition(".")[2]]]
        warn(module.__name__, places[0])
        for place in reversed(places):
            names = vars(import_module(place))
            module.__dict__.update({n: v for n, v in names.items() if not n.startswith("__")})
        for old, new in RENAMED.items():
            if new in vars(module):
                setattr(module, old, vars(module)[new])
        module.__doc__ = f"Moved to {' and '.join(places)}."


def attributes_from(package: str, place: str) -> Callable[[str], object]:
    """A `__getattr__` for a package that was a module: its old names come from `place`."""

    def __getattr__(name: str) -> object:
        if not name.startswith("_"):
            new = RENAMED.get(name, name)
            found = getattr(import_module(place), new, None)
            if found is not None and not isinstance(found, ModuleType):
                warn(f"{package}.{name}", f"{place}.{new}")
                return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__


def warn(old: str, new: str) -> None:
    # Python leaves the frames of its import system out when it counts levels.
    warnings.warn(f"{old} is now {new}", DeprecationWarning, stacklevel=3)


def install() -> None:
    """Makes the old names importable. The new modules are loaded only when asked for."""
    sys.meta_path.append(cast("MetaPathFinder", MovedModules()))
