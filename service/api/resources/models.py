"""/v1/jobs/{id}/model: a trained network as a file for other programs."""

from __future__ import annotations

from http import HTTPStatus as Status
from typing import Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field

from service.api.artifacts import Computing, artifact_answer
from service.api.openapi import answers
from service.api.prefer import PreferHeader
from service.api.resources.jobs import TAG, JobPath
from service.api.steps import StepQuery, number_of

SUFFIXES = {"safetensors": ".safetensors", "onnx": ".onnx", "json": ".json", "python": ".py"}

blueprint = APIBlueprint(
    "models", __name__, url_prefix="/v1/jobs/<string:id>/model", abp_tags=[TAG]
)


class ModelQuery(StepQuery):
    format: Literal["safetensors", "onnx", "json", "python"] = Field(
        default="json",
        description="`onnx` takes raw rows and returns values, or classes and probabilities, and "
        "`python` is a file that defines predict(row): both hold features, scaling and names. "
        "`safetensors` is a state_dict of an nn.Sequential. `json` holds everything",
    )


@blueprint.get(
    "",
    operation_id="get_model",
    summary="Trained network as a file",
    responses=answers(
        {202: Computing},
        Status.NOT_FOUND,
        Status.CONFLICT,
        Status.UNPROCESSABLE_ENTITY,
        Status.INTERNAL_SERVER_ERROR,
        Status.SERVICE_UNAVAILABLE,
        Status.INSUFFICIENT_STORAGE,
    )
    | {
        200: {
            "description": "The file",
            "content": {
                "application/json": {"schema": {"type": "object"}},
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
                "application/vnd.safetensors": {"schema": {"type": "string", "format": "binary"}},
                "text/x-python": {"schema": {"type": "string"}},
            },
        }
    },
)
def model(path: JobPath, query: ModelQuery, header: PreferHeader) -> Response:
    """The network after any step of its training, to be used without this service; 409 while there
    are no parameters. The file is made by a worker, which may take a while: the answer is then
    202, and 200 later.
    """
    step = number_of(path.id, query.step)

    def download(data: bytes, media_type: str) -> Response:
        answer = Response(data, content_type=media_type)
        name = f"{path.id}-step-{step}{SUFFIXES[query.format]}"
        answer.headers.set("Content-Disposition", "attachment", filename=name)
        return answer

    arguments = {"step": step, "format": query.format}
    return artifact_answer(path.id, "model", arguments, header.prefer, present=download)
