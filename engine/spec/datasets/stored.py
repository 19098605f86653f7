"""A data set that a service keeps, named by its id.

The engine knows no storage: whoever validates a specification brings a function that finds the
data set's own specification, in the context of the validation.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, model_validator

from engine.spec.base import at, error_location
from engine.spec.columns import Column
from engine.spec.datasets.base import DATASETS, DatasetSpec
from engine.spec.datasets.own import ColumnName
from engine.spec.tables import Table

if TYPE_CHECKING:
    from engine.arrays import Array

Find = Callable[[str], bytes | None]
"""The specification of a data set as JSON, by its id; None if there is none."""

CONTEXT = "find_stored_dataset"


def finding(find: Find) -> dict[str, Any]:
    """The context with which pydantic validates specifications that name stored data sets."""
    return {CONTEXT: find}


class Stored(DatasetSpec):
    """A data set that was uploaded before, by its id.

    `target`, the column of a table to predict, `features`, `standardise` and
    `standardise_targets` are as the data set has them, unless they are given here.
    """

    kind: Literal["stored"]
    id: str = Field(description="the data set's id, ds_…")
    target: ColumnName | None = None
    _content: DatasetSpec = PrivateAttr()

    @model_validator(mode="after")
    def find(self, info: ValidationInfo) -> Self:
        context: dict[str, Find] = info.context or {}
        if CONTEXT not in context:
            raise at(("id",), "only the service that stores a data set can find it by its id")
        text = context[CONTEXT](self.id)
        if text is None:
            raise at(("id",), f"there is no data set {self.id!r}")
        self._content = self.read(json.loads(text))
        # The normalised specification says what is trained with, here as with other data sets.
        self.__dict__.update(
            features=self._content.features,
            standardise=self._content.standardise,
            standardise_targets=self._content.standardise_targets,
            target=getattr(self._content, "target", None),
        )
        return self

    def read(self, document: dict[str, Any]) -> DatasetSpec:
        """The data set with this specification, changed by what is given here."""
        given = self.model_dump(include=self.model_fields_set - {"kind", "id"}, exclude_none=True)
        if "target" in given and document["kind"] != "csv":
            sentence = f"only a table has columns to choose from, and this is {document['kind']}"
            raise at(("target",), sentence)
        try:
            return DATASETS[document["kind"]].model_validate(document | given)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)[0]
            place = error_location(details)
            # Its other fields cannot be changed from here.
            raise at(tuple(place) if place[:1] == ["target"] else ("id",), details["msg"]) from None

    @property
    def table(self) -> Table | None:
        return self._content.table

    @property
    def rows_field(self) -> str:
        return "id"

    def make(self) -> tuple[Array, Array]:
        return self._content.make()

    def raw_shape(self) -> tuple[int, int]:
        return self._content.raw_shape()

    def encoded_inputs(self) -> int:
        return self._content.encoded_inputs()

    def columns(self) -> tuple[Column, ...]:
        return self._content.columns()

    def target_name(self) -> str:
        return self._content.target_name()

    def class_names(self) -> tuple[str, ...] | None:
        return self._content.class_names()

    def classes(self) -> int | None:
        return self._content.classes()

    def distinct_labels(self) -> int | None:
        return self._content.distinct_labels()

    def largest_cell(self) -> float:
        return self._content.largest_cell()

    def known_targets(self) -> list[float] | None:
        return self._content.known_targets()

    def fills_gaps(self) -> bool:
        return self._content.fills_gaps()

    def ignored_columns(self) -> tuple[str, ...]:
        return self._content.ignored_columns()

    def target_position(self) -> int:
        return self._content.target_position()

    def remarks(self) -> tuple[str, ...]:
        return self._content.remarks()
