"""`parameters`: those after `step` updates, packed as the result of a job is."""

from __future__ import annotations

from service.store import parameters
from worker.artifacts.work import Content, Work

SAFETENSORS = "application/vnd.safetensors"


def compute(work: Work) -> Content:
    """The parameters after `arguments["step"]` updates, with the bits that training had there."""
    state = work.state_at(work.arguments["step"])
    return Content(parameters.pack(work.spec.sizes(), state.parameters).data, SAFETENSORS)
