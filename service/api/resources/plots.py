"""/v1/jobs/{id}/plots and /graph: pictures of a job."""

from __future__ import annotations

import json
from http import HTTPStatus as Status
from typing import Any, Literal

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from pydantic import Field

from engine.spec.loss import score_name
from service.api import context
from service.api.artifacts import Computing, artifact_answer
from service.api.openapi import answers
from service.api.prefer import PreferHeader
from service.api.query_parameters import Query
from service.api.resources.jobs import TAG, JobPath
from service.api.steps import Step, StepQuery, number_of
from service.common.errors import InvalidRequest
from service.plots import curves, svg
from service.store import downsampling, history, jobs

SVG = "image/svg+xml"
POINTS = 600
"""Rows of a history that are drawn: one per pixel."""
# A picture has a style of its own; nothing in it is run or loaded.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
BELONGS = {
    "loss": (),
    "boundary": ("step", "x", "y"),
    "confusion": ("step", "of"),
    "predicted": ("step", "of"),
    "weights": ("step",),
}
"""The query parameters of each kind of picture, beside the theme."""

blueprint = APIBlueprint("plots", __name__, url_prefix="/v1/jobs/<string:id>", abp_tags=[TAG])

PROBLEMS = (
    Status.NOT_FOUND,
    Status.CONFLICT,
    Status.UNPROCESSABLE_ENTITY,
    Status.INTERNAL_SERVER_ERROR,
    Status.SERVICE_UNAVAILABLE,
    Status.INSUFFICIENT_STORAGE,
)
PICTURE: dict[str, Any] = {"schema": {"type": "string"}}


class PlotPath(JobPath):
    # Not a Literal: the job is looked for first, so that another's answers as an unknown one does.
    kind: str = Field(
        json_schema_extra={"enum": list(BELONGS)},
        description="`loss`: loss and score over the steps; `boundary`: the answers over two "
        "columns, with the data; `confusion`: true and predicted classes; `predicted`: predictions "
        "of a regression against the true values; `weights`: those of each layer",
    )


class ThemeQuery(Query):
    theme: svg.Theme = Field(
        default="auto", description="`auto` follows the reader's preference, in viewers that do"
    )


class PlotQuery(ThemeQuery):
    step: Step | None = None
    x: str | None = Field(default=None, description="of boundary: the column across")
    y: str | None = Field(default=None, description="of boundary: the column upwards")
    of: Literal["training", "validation"] | None = Field(
        default=None,
        description="of confusion and predicted: the rows that are judged; by default those kept "
        "for validation, if there are any",
    )


class GraphQuery(ThemeQuery, StepQuery):
    row: int = Field(default=0, ge=0, le=2**31 - 1, description="the number of the row, from 0")
    format: Literal["svg", "dot", "json"] = "svg"


@blueprint.get(
    "/plots/<string:kind>.svg",
    operation_id="get_plot",
    summary="Picture",
    responses=answers({202: Computing}, *PROBLEMS)
    | {200: {"description": "The picture", "content": {SVG: PICTURE}}},
)
def plot(path: PlotPath, query: PlotQuery, header: PreferHeader) -> Response:
    """A picture of the job as SVG. All but the loss are of the network after a step, and are
    computed by a worker: the answer may be 202, and 200 later.
    """
    with context.read() as session:
        jobs.key(session, path.id)
    if path.kind not in BELONGS:
        raise InvalidRequest([("/kind", f"is not a picture; there are {', '.join(BELONGS)}")])
    given = query.model_dump(exclude={"theme"}, exclude_none=True)
    wrong = [name for name in given if name not in BELONGS[path.kind]]
    if wrong:
        known = ", ".join((*BELONGS[path.kind], "theme"))
        raise InvalidRequest([(f"/{n}", f"{path.kind} has only {known}") for n in wrong])
    if path.kind == "loss":
        return _svg(_loss(path.id).svg(query.theme))
    arguments = given | {"kind": path.kind, "step": number_of(path.id, query.step)}
    return _computed(path.id, "plot", arguments, header.prefer, query.theme)


@blueprint.get(
    "/graph",
    operation_id="get_graph",
    summary="Graph of one row",
    responses=answers({202: Computing}, *PROBLEMS)
    | {
        200: {
            "description": "The graph",
            "content": {
                SVG: PICTURE,
                "text/vnd.graphviz": PICTURE,
                "application/json": {"schema": {"type": "object"}},
            },
        }
    },
)
def graph(path: JobPath, query: GraphQuery, header: PreferHeader) -> Response:
    """How the loss of one row is computed: data, gradient and operation of each value. A graph of
    more than 500 values is drawn as neurons and links instead.
    """
    step = number_of(path.id, query.step)
    arguments = {"row": query.row, "format": query.format, "step": step}
    return _computed(path.id, "graph", arguments, header.prefer, query.theme)


def _computed(
    id: str, kind: str, arguments: dict[str, Any], prefer: str | None, theme: svg.Theme
) -> Response:
    def present(data: bytes, media_type: str) -> Response:
        if media_type == SVG:
            return _svg(svg.themed(data.decode(), theme))
        return Response(data, mimetype=media_type)

    return artifact_answer(id, kind, arguments, prefer, present=present)


def _loss(id: str) -> svg.Picture:
    with context.read() as session:
        job = jobs.get(session, id)
        rows = downsampling.thinned(session, job.pk, after_step=-1, max_points=POINTS)
        best = None if job.best_step is None else history.at(session, job.pk, job.best_step)
    found = {row[0]: dict(zip(history.MEASURES, row, strict=True)) for row in rows}
    if best is not None:
        found[best[0]] = dict(zip(history.MEASURES, best, strict=True))
    kind = json.loads(job.spec)["loss"]["kind"]
    return curves.draw(
        [found[step] for step in sorted(found)],
        title=f"{job.name or job.id[:12]}: loss and score",
        steps=job.steps,
        loss_name=kind,
        score_name=score_name(kind),
        best_step=job.best_step,
    )


def _svg(picture: str) -> Response:
    answer = Response(picture, mimetype=SVG)
    answer.headers["Content-Security-Policy"] = POLICY
    return answer
