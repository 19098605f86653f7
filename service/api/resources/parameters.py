"""/v1/jobs/{id}/parameters: the weights and biases after any step of the training."""

from __future__ import annotations

from http import HTTPStatus as Status
from typing import Any, Literal

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from service.api.artifacts import Computing
from service.api.openapi import answers
from service.api.prefer import PreferHeader
from service.api.preprocessing import preprocessing_answer
from service.api.resources.jobs import TAG, JobPath
from service.api.steps import StepQuery, layers, parameters_answer
from service.store import parameters
from service.store.steps import StepParameters
from service.store.tables import Job

blueprint = APIBlueprint(
    "parameters", __name__, url_prefix="/v1/jobs/<string:id>/parameters", abp_tags=[TAG]
)


class LayerView(BaseModel):
    """Parameters of one layer."""

    weights: list[list[float]] = Field(description="units × inputs")
    biases: list[float]
    activation: str


class ColumnView(BaseModel):
    """A column of a row."""

    name: str
    type: Literal["number", "boolean", "text"]
    categories: list[str] = Field(
        default=[], description="of a text: each is an input that is 1 for it and else 0"
    )


class TargetView(BaseModel):
    name: str
    position: int = Field(description="columns before it in a row that holds it")


class ScalingView(BaseModel):
    """Each input becomes (input - mean) / scale; a predicted number is output · scale + mean."""

    input_mean: list[float]
    input_scale: list[float]
    target_mean: float
    target_scale: float


class OutputView(BaseModel):
    kind: Literal["value", "score", "sigmoid", "softmax"] = Field(
        description="`value`: the target; `score`: above 0 it is the second class; `sigmoid`: the "
        "second class's logit; `softmax`: a logit per class"
    )
    classes: list[str] | None = Field(description="in the order of the outputs")


class LossView(BaseModel):
    kind: str
    unit: str = Field(description="of its value, such as nats, or y² in the target's own unit")


class PreprocessingView(BaseModel):
    """What the model remembers of its data: how a row becomes inputs, and outputs an answer."""

    version: int
    columns: list[ColumnView]
    target: TargetView
    ignored: list[str] = Field(description="columns that a row may hold, and that are left out")
    means: list[float] | None = Field(
        description="what fills the gaps of each column; null where gaps are refused"
    )
    features: list[str] | None = Field(
        description="the formulas of the inputs; null where they are the columns"
    )
    scaling: ScalingView
    output: OutputView
    loss: LossView


class ParametersView(BaseModel):
    """Parameters of a step, written so that reading them back gives the same bits."""

    step: int = Field(description="finished updates")
    sha256: str = Field(
        description="of the numbers as little-endian float64, neuron by neuron in layer order, "
        "weights then bias"
    )
    layers: list[LayerView]
    preprocessing: PreprocessingView


@blueprint.get(
    "",
    operation_id="get_parameters",
    summary="Parameters",
    responses=answers(
        {200: ParametersView, 202: Computing},
        Status.NOT_FOUND,
        Status.CONFLICT,
        Status.UNPROCESSABLE_ENTITY,
        Status.INTERNAL_SERVER_ERROR,
        Status.SERVICE_UNAVAILABLE,
        Status.INSUFFICIENT_STORAGE,
    ),
)
def parameters_of_step(path: JobPath, query: StepQuery, header: PreferHeader) -> Response:
    """The weights and biases that training ended with, or those of any step; 409 while there are
    none. A step that was not kept is computed again, which may take a while: the answer is then
    202, and 200 later.
    """

    def view(job: Job, found: StepParameters) -> Response:
        return preprocessing_answer(
            job.id, header.prefer, lambda model: _view(job, found, model.document())
        )

    return parameters_answer(path.id, query.step, header.prefer, view)


def _view(job: Job, found: StepParameters, preprocessing: dict[str, Any]) -> Response:
    return jsonify(
        {
            "step": found.step,
            "sha256": parameters.sha256(found.numbers),
            "layers": layers(job, found),
            "preprocessing": preprocessing,
        }
    )
