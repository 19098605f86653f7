"""What all specifications share: the strict base model, limits, and errors that name a place."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

MAX_ROWS = 100_000
MAX_INPUTS = 4_096
MAX_CELLS = 10_000_000
MAX_STEPS = 100_000_000

UNIONS = {"dataset", "init", "loss", "learning_rate", "then"}
"""Fields whose model is chosen by `kind`: pydantic puts the kind into an error's location."""

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Model(BaseModel):
    """Strict: no unknown field, no coercion between types, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


def at(location: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """A validation error at `location` below the model that raises it.

    A validator that looks at several fields can only fail as a whole; the location within it
    travels in the error's context and `problems` puts it back.
    """
    return PydanticCustomError("invalid", "{message}", {"location": location, "message": message})


def problems(error: ValidationError) -> list[tuple[str, str]]:
    """Each error as a JSON pointer into what was validated, and a sentence about it."""
    return [
        (pointer(error_location(details)), details["msg"])
        for details in error.errors(include_url=False, include_input=False)
    ]


def error_location(details: ErrorDetails) -> list[str | int]:
    """The path of field names and indices to the place of an error."""
    location: list[str | int] = []
    union = False
    for part in details["loc"]:
        if not union:
            location.append(part)
        union = not union and part in UNIONS
    if location == ["loss"] and details["type"].startswith("union_tag_"):
        # Version 0.1 named the field, as losses were one model then; clients may rely on it.
        location.append("kind")
    return location + list(details.get("ctx", {}).get("location", ()))


def pointer(location: list[str | int]) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
