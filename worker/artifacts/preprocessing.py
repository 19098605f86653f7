"""`preprocessing`: what a model remembers of its data, for jobs that did not store it."""

from __future__ import annotations

from engine.inference import preprocessing_of
from worker.artifacts.work import Content, Work


def compute(work: Work) -> Content:
    """Made again from the specification, as JSON."""
    return Content(preprocessing_of(work.spec).to_json().encode(), "application/json")
