"""Job files: read and checked before anything is sent, so that a mistake is reported at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from engine.spec import JobSpec
from engine.spec.base import problems
from gradserve.errors import FieldError, JobFileError


def read_job(path: str) -> dict[str, Any]:
    """The job in the file, or on standard input for `-`, as it was written.

    Only the file's own fields are returned: the service fills in the defaults.
    """
    if not path:
        raise JobFileError("the path of the job file is empty; `-` stands for standard input")
    name = "standard input" if path == "-" else path
    document = _parse(name, _read(name, path))
    dataset = document.get("dataset")
    if isinstance(dataset, dict) and dataset.get("kind") == "stored":
        return document  # only the service has the rows that the rest has to fit
    try:
        JobSpec.model_validate(document)
    except ValidationError as error:
        raise JobFileError(
            f"{name} is not a valid job",
            errors=tuple(FieldError(pointer, detail) for pointer, detail in problems(error)),
        ) from None
    return document


def _read(name: str, path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JobFileError(f"{name} is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise JobFileError(f"Cannot read {name}: {error.strerror}") from None


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text, parse_constant=_no_number, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"{name}:{error.lineno}:{error.colno}"
        raise JobFileError(f"{place} is not JSON: {error.msg}") from None
    except RecursionError:
        raise JobFileError(f"{name} is nested too deeply to be a job") from None
    except ValueError as error:
        raise JobFileError(f"{name}: {error}") from None
    if not isinstance(document, dict):
        raise JobFileError(f"{name} must hold one JSON object, the job")
    return document


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number in JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice!r} is given twice in one object")
    return members
