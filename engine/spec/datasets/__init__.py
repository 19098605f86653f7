"""The data sets that a job may name: one class each, with its fields and how it is made.

To add one, write a class in the file of its family, or in a new file that is imported here; it is
registered under its `kind`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from engine.moved import attributes_from
from engine.spec.datasets import bundled, own, playground, scikit, stored
from engine.spec.datasets.base import DATASETS, DatasetSpec
from engine.spec.datasets.own import Csv, Inline
from engine.spec.datasets.stored import Stored

__all__ = [
    "DATASETS",
    "Csv",
    "Dataset",
    "DatasetSpec",
    "Inline",
    "Stored",
    "bundled",
    "own",
    "playground",
    "scikit",
    "stored",
]

if TYPE_CHECKING:
    Dataset = DatasetSpec
else:
    Dataset = Annotated[Union[tuple(dict.fromkeys(DATASETS.values()))], Field(discriminator="kind")]  # noqa: UP007

__getattr__ = attributes_from("engine.spec.datasets", "engine.spec.datasets.scikit")
