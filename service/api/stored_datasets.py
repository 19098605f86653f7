"""The stored data sets of the sender of a request, with their rows."""

from __future__ import annotations

import json
from typing import cast

from flask import request

from engine.spec.datasets import DATASETS, DatasetSpec
from service.api import context
from service.api.json_bodies import LARGE_BYTES, StrictRequest
from service.common.errors import DatasetNotFound
from service.store import datasets


def stored_content(id: str) -> bytes:
    """The specification of a data set as JSON, rows included.

    Raises:
        DatasetNotFound: the sender has no data set of this id.
        TooBusy: it is large, and others that are read just now take too long.
    """
    with context.read() as session:
        size = datasets.get(session, id).size
    if size >= LARGE_BYTES:
        # As a large body: reading it takes many times its size in memory.
        cast(StrictRequest, request).take_turn()
    with context.read() as session:
        return datasets.content(session, id)


def find_content(id: str) -> bytes | None:
    """As `stored_content`; None where there is no such data set."""
    try:
        return stored_content(id)
    except DatasetNotFound:
        return None


def stored_dataset(id: str) -> DatasetSpec:
    """The data set itself. Raises as `stored_content`."""
    document = json.loads(stored_content(id))
    return DATASETS[document["kind"]].model_validate(document)
