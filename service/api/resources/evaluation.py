"""/v1/jobs/{id}/evaluation: how good a trained network is, at any step of its training."""

from __future__ import annotations

from http import HTTPStatus as Status
from typing import Literal

from flask import Response, jsonify, request
from flask_openapi3.blueprint import APIBlueprint
from pydantic import BaseModel, Field

from service.api.artifacts import Computing
from service.api.evaluations import RowsOf, RowsQuery, judged_answer
from service.api.openapi import answers
from service.api.prefer import PreferHeader
from service.api.resources.jobs import TAG, JobPath
from service.store.evaluations import Judged

blueprint = APIBlueprint(
    "evaluation", __name__, url_prefix="/v1/jobs/<string:id>/evaluation", abp_tags=[TAG]
)


class ClassScoresView(BaseModel):
    """How well one class is told from the others; null where nothing is to be divided."""

    name: str
    precision: float | None = Field(description="share of the rows predicted as it that are of it")
    recall: float | None = Field(description="share of its rows that are predicted as it")
    f1: float | None = Field(description="harmonic mean of both")
    rows: int = Field(description="rows that are of this class")


class ResidualsView(BaseModel):
    """Target minus prediction in the target's unit; null where a number is not finite."""

    mean: float | None
    standard_deviation: float | None
    mean_absolute: float | None
    min: float | None
    median: float | None
    max: float | None


class EvaluationView(BaseModel):
    """A network judged on rows whose targets are known."""

    step: int = Field(description="the parameters that were judged: those after so many updates")
    of: RowsOf
    rows: int
    loss: float | None = Field(
        description="all rows reduced, with the penalties on parameters; null where not finite"
    )
    loss_unit: str
    score_name: Literal["accuracy", "R²"]
    score: float | None = Field(
        description="share of right predictions, or R² (coefficient of determination); null where "
        "it is not defined"
    )
    classes: list[ClassScoresView] | None = Field(description="null in a regression")
    confusion: list[list[int]] | None = Field(
        description="rows per true class (outer list) and predicted class (inner list), both in "
        "the order of `classes`; null in a regression"
    )
    residuals: ResidualsView | None = Field(description="of a regression")
    links: dict[str, str]


PROBLEMS = (
    Status.NOT_FOUND,
    Status.CONFLICT,
    Status.INTERNAL_SERVER_ERROR,
    Status.SERVICE_UNAVAILABLE,
    Status.INSUFFICIENT_STORAGE,
)


@blueprint.get(
    "",
    operation_id="get_evaluation",
    summary="Evaluate",
    responses=answers({200: EvaluationView, 202: Computing}, *PROBLEMS),
)
def evaluation(path: JobPath, query: RowsQuery, header: PreferHeader) -> Response:
    """Judges the network on the rows that it was trained on, or on those kept for validation. It
    is computed once and may take a while: the answer is then 202, and 200 later.
    """
    return judged_answer(path.id, query.step, query.of, header.prefer, _view)


def _view(step: int, of: RowsOf, judged: Judged) -> Response:
    rows = f"{request.script_root}{request.path.removesuffix('evaluation')}rows?step={step}&of={of}"
    return jsonify({"step": step, "of": of} | judged.figures | {"links": {"rows": rows}})
