"""/v1/jobs/{id}/parameters: the weights and biases after any step of the training."""

from __future__ import annotations

from http import HTTPStatus as Status

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from service.api.artifacts import Computing
from service.api.openapi import answers
from service.api.prefer import PreferHeader
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


class ParametersView(BaseModel):
    """Parameters of a step, written so that reading them back gives the same bits."""

    step: int = Field(description="finished updates")
    sha256: str = Field(
        description="of the numbers as little-endian float64, neuron by neuron in layer order, "
        "weights then bias"
    )
    layers: list[LayerView]


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
    return parameters_answer(path.id, query.step, header.prefer, _view)


def _view(job: Job, found: StepParameters) -> Response:
    return jsonify(
        {
            "step": found.step,
            "sha256": parameters.sha256(found.numbers),
            "layers": layers(job, found),
        }
    )
