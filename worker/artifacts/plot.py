"""`plot`: a picture of the network after `step` updates, of the `kind`, as SVG for either theme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from engine.data.preprocessing import Preprocessing
from engine.inference import Evaluation, evaluate, rows_of
from service.plots import judgement, surface, weights
from service.plots.svg import Picture
from worker.artifacts.work import Content, Work, WrongQuestion

SVG = "image/svg+xml"
MOST_NAMED = 20


def compute(work: Work) -> Content:
    picture = KINDS[work.arguments["kind"]](work)
    return Content(picture.svg().encode(), SVG)


def boundary(work: Work) -> Picture:
    """The answers over two columns: of classes the boundary, of a regression the surface."""
    preprocessing = work.preprocessing
    x, y = columns(preprocessing, work.arguments.get("x"), work.arguments.get("y"))
    rows = surface.Rows(rows_of(work.spec, "training"), rows_of(work.spec, "validation"))
    layers = work.layers_at(work.arguments["step"])
    title = f"{head(work)}: what the network answers"
    return surface.draw(preprocessing, layers, rows, title=title, x=x, y=y)


def columns(preprocessing: Preprocessing, x: str | None, y: str | None) -> tuple[int, int | None]:
    """The positions of the columns across and upwards; the first two unless they are named."""
    drawable = [i for i, column in enumerate(preprocessing.columns) if column.type != "text"]
    names = {preprocessing.columns[i].name: i for i in drawable}
    for axis, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            known = ", ".join(list(names)[:MOST_NAMED])
            raise WrongQuestion(f"/{axis}", f"{name} is not a column of numbers; there are {known}")
    if x is not None and x == y:
        raise WrongQuestion("/y", f"x and y are both {x}; choose two different columns")
    free = [i for i in drawable if preprocessing.columns[i].name not in (x, y)]
    across = names[x] if x is not None else next(iter(free), None)
    free = [i for i in free if i != across]
    up = names[y] if y is not None else next(iter(free), None)
    if across is None or (up is None and preprocessing.output.classes is not None):
        raise WrongQuestion(
            "/kind", "a boundary needs two columns of numbers, and the data have fewer"
        )
    return across, up


def confusion(work: Work) -> Picture:
    evaluation, of = judged(work)
    if evaluation.confusion is None:
        raise WrongQuestion(
            "/kind", "a regression has no classes to be confused; ask for predicted"
        )
    return judgement.draw_confusion(evaluation, title=f"{head(work)}: confusion", of=of)


def predicted(work: Work) -> Picture:
    evaluation, of = judged(work)
    if evaluation.residuals is None:
        raise WrongQuestion("/kind", "the network tells classes apart; ask for confusion")
    title = f"{head(work)}: predicted and true"
    target = work.preprocessing.target
    return judgement.draw_predicted(evaluation, title=title, of=of, target=target)


def judged(work: Work) -> tuple[Evaluation, Literal["training", "validation"]]:
    """The network judged on the wanted rows; by default on those kept for validation, if any."""
    wanted = work.arguments.get("of")
    rows = rows_of(work.spec, wanted or "validation")
    of: Literal["training", "validation"] = wanted or "validation"
    if wanted is None and not len(rows.cells):
        rows, of = rows_of(work.spec, "training"), "training"
    if not len(rows.cells):
        raise WrongQuestion("/of", "the job has no validation rows; ask for of=training")
    layers = work.layers_at(work.arguments["step"])
    return evaluate(work.spec, work.preprocessing, layers, rows), of


def matrices(work: Work) -> Picture:
    names = work.preprocessing.input_names()
    layers = work.layers_at(work.arguments["step"])
    return weights.draw(layers, names, title=f"{head(work)}: weights")


def head(work: Work) -> str:
    """The beginning of a title: the job and the step."""
    return f"{work.spec.name or work.job_id[:12]} · step {work.arguments['step']:,}"


KINDS: dict[str, Callable[[Work], Picture]] = {
    "boundary": boundary,
    "confusion": confusion,
    "predicted": predicted,
    "weights": matrices,
}
