"""`model`: the network after `step` updates as a file of the `format`."""

from __future__ import annotations

from engine.export import FORMATS, Origin, TrainedModel
from worker.artifacts.work import Content, Work


def compute(work: Work) -> Content:
    """The bytes of the file; see `engine.export` for what each format holds."""
    step, wanted = work.arguments["step"], FORMATS[work.arguments["format"]]
    origin = Origin(work.job_id, work.spec.name, step, work.loss_at(step))
    model = TrainedModel(work.preprocessing, work.layers_at(step), origin)
    return Content(wanted.write(model), wanted.media_type)
