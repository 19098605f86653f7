"""Data sets that a generator draws from a seed."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from engine.spec.base import MAX_CELLS, Seed, at
from engine.spec.datasets.base import DatasetSpec, RowCount


class Generated(DatasetSpec):
    """Made by a generator; the fields besides the seed are the generator's parameters."""

    n_samples: RowCount = 100
    seed: Seed = 0

    def raw_shape(self) -> tuple[int, int]:
        return self.n_samples, getattr(self, "n_features", self.INPUTS)

    @model_validator(mode="after")
    def not_too_large(self) -> Self:
        rows, inputs = self.raw_shape()
        if rows * inputs > MAX_CELLS:
            raise at(
                ("n_samples",),
                f"{rows} rows of {inputs} inputs are more than {MAX_CELLS} numbers",
            )
        return self
