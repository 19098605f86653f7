"""/v1/jobs/{id}/parameters: the weights and biases that training ended with."""

from __future__ import annotations

import json
from http import HTTPStatus as Status

from flask import Response, jsonify
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from service.api import context
from service.api.openapi import answers
from service.api.resources.jobs import TAG, JobPath
from service.store import jobs, parameters

blueprint = APIBlueprint(
    "parameters", __name__, url_prefix="/v1/jobs/<string:id>/parameters", abp_tags=[TAG]
)


class LayerView(BaseModel):
    """Parameters of one layer."""

    weights: list[list[float]] = Field(description="units × inputs")
    biases: list[float]
    activation: str


class ParametersView(BaseModel):
    """Final parameters, written so that reading them back gives the same bits."""

    step: int
    sha256: str = Field(
        description="of the numbers as little-endian float64, neuron by neuron in layer order, "
        "weights then bias"
    )
    layers: list[LayerView]


@blueprint.get(
    "",
    operation_id="get_parameters",
    summary="Final parameters",
    responses=answers(
        {200: ParametersView}, Status.NOT_FOUND, Status.CONFLICT, Status.SERVICE_UNAVAILABLE
    ),
)
def final_parameters(path: JobPath) -> Response:
    """The weights and biases that training ended with; 409 while there are none."""
    with context.read() as session:
        job = jobs.get(session, path.id)
        result = parameters.get(session, job)
    activations = [layer["activation"] for layer in json.loads(job.spec)["model"]["layers"]]
    layers = [
        {
            "weights": layer.weights.tolist(),
            "biases": layer.biases.tolist(),
            "activation": activation,
        }
        for layer, activation in zip(parameters.unpack(result.data), activations, strict=True)
    ]
    return jsonify({"step": result.step, "sha256": result.sha256, "layers": layers})
