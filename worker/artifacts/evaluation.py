"""`evaluation`: a network judged on rows of its data set, together and one by one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import Array
from engine.data.preprocessing import Preprocessing
from engine.inference import Cells, Evaluation, evaluate
from engine.networks.forward import layers_of
from engine.training.prepared import load_rows
from service.store import evaluations
from service.store.evaluations import Judged
from worker.artifacts.work import CannotCompute, Content, Work


class RowsToJudge(NamedTuple):
    """Rows with their targets, their places in the data set, and the model that reads them."""

    model: Preprocessing
    places: list[int]
    cells: Cells


def compute(work: Work) -> Content:
    """The parameters after `arguments["step"]` updates, judged on the rows of `arguments["of"]`."""
    spec = work.spec
    rows = rows_to_judge(work)
    parameters = work.state_at(work.arguments["step"]).parameters
    layers = layers_of(parameters, spec.sizes(), [layer.activation for layer in spec.model.layers])
    found = evaluate(spec, rows.model, layers, rows.cells)
    judged = Judged(
        figures=figures(found),
        preprocessing=rows.model,
        rows=np.array(rows.places, dtype=np.int64),
        cells=rows.cells.cells,
        targets=rows.cells.targets,
        outputs=found.outputs,
        losses=np.array(found.losses, dtype=np.float64),
    )
    return Content(evaluations.pack(judged), evaluations.MEDIA_TYPE)


def rows_to_judge(work: Work) -> RowsToJudge:
    """The rows that the arguments mean. Another source of rows is added here."""
    of = work.arguments["of"]
    loaded = load_rows(work.spec)
    places = {"training": loaded.training, "validation": loaded.validation}[of]
    if not places:
        raise CannotCompute(f"the job has no {of} rows; raise training.validation_fraction")
    return RowsToJudge(
        Preprocessing.of(work.spec, loaded.cells, loaded.targets, loaded.training),
        places,
        Cells(loaded.cells[places], loaded.targets[places]),
    )


def figures(found: Evaluation) -> dict[str, Any]:
    """What is said of all rows together, as JSON."""
    return {
        "rows": len(found.targets),
        "loss": found.loss,
        "loss_unit": found.loss_unit,
        "score_name": found.score_name,
        "score": found.score,
        "classes": [asdict(one) for one in found.classes] if found.confusion is not None else None,
        "confusion": found.confusion,
        "residuals": None if found.residuals is None else summary(np.array(found.residuals)),
    }


def summary(residuals: Array) -> dict[str, float | None]:
    """Residuals in figures, in the target's unit; None where they are not finite."""
    with np.errstate(all="ignore"):
        found = {
            "mean": residuals.mean(),
            "standard_deviation": residuals.std(),
            "mean_absolute": np.abs(residuals).mean(),
            "min": residuals.min(),
            "median": np.median(residuals),
            "max": residuals.max(),
        }
    return {name: float(x) if np.isfinite(x) else None for name, x in found.items()}
