"""Likely mistakes in a specification that is trained all the same.

A warning says what will probably happen and what helps. Only mistakes that are likely are named:
a warning that is often wrong is soon ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engine.spec.base import pointer
from engine.spec.job import JobSpec

LARGE_INPUT = 1e3
SMALL_TRAVEL = 1e-6
"""A training whose rates add up to less than this moves no parameter by a visible amount."""
LARGE_RATE = 10.0
SQUASHING = {
    "sigmoid": "lies between 0 and 1",
    "softplus": "is never below 0",
    "relu": "is never below 0",
}
"""Activations whose output cannot be any number, with what it is instead."""


class Warning(NamedTuple):
    """A likely mistake; `pointer` is the JSON pointer (RFC 6901) of its place."""

    pointer: str
    detail: str


def warnings(spec: JobSpec) -> list[Warning]:
    """The likely mistakes of a specification, in the order of its parts."""
    found = [*of_inputs(spec), *of_outputs(spec), *of_rates(spec)]
    if not spec.training.zero_grad:
        sentence = "gradients add up from step to step; set zero_grad to true unless you study that"
        found.append((("training", "zero_grad"), sentence))
    return [Warning(pointer(list(place)), sentence) for place, sentence in found]


Found = Iterator[tuple[tuple[str | int, ...], str]]


def of_inputs(spec: JobSpec) -> Found:
    largest = spec.dataset.largest_input()
    if largest > LARGE_INPUT and not spec.dataset.standardise:
        sentence = f"inputs reach {largest:g} and are not scaled; training will probably diverge "
        yield ("dataset", "standardise"), sentence + "or stand still. Set standardise to true"


def of_outputs(spec: JobSpec) -> Found:
    loss, last = spec.loss, len(spec.model.layers) - 1
    activation = spec.model.layers[last].activation
    place = ("model", "layers", last, "activation")
    limits = SQUASHING.get(activation)
    if loss.READS_LOGITS and limits is not None:
        sentence = f"{loss.kind} reads logits, but the output of {activation} {limits}, so some "
        yield place, sentence + "class can never be predicted well. Use linear"
    elif not loss.CLASSIFIES and limits is not None and targets_below_zero(spec):
        sentence = f"some targets are below 0, but the output of {activation} {limits}. Use linear"
        yield place, sentence
    classes = spec.dataset.classes()
    if not loss.CLASSIFIES and classes is not None and classes > 2:
        sentence = f"{loss.kind} takes the {classes} classes of {spec.dataset.kind} for numbers "
        yield (
            ("loss", "kind"),
            sentence + "with an order. Use cross_entropy with one unit per class",
        )


def of_rates(spec: JobSpec) -> Found:
    schedule, steps = spec.optimizer.learning_rate, spec.training.steps
    place = ("optimizer", "learning_rate")
    # Schedules rise and fall smoothly, so a few places show the largest rate well enough.
    rates = [float(schedule.rate(step, steps)) for step in {0, steps // 4, steps // 2, steps - 1}]
    if max(rates) * steps < SMALL_TRAVEL:
        yield place, f"a rate of {max(rates):g} over {steps} steps learns nothing. Use a larger one"
    elif max(rates) > LARGE_RATE:
        yield place, f"a rate of {max(rates):g} will probably diverge. Use one below 1"


def targets_below_zero(spec: JobSpec) -> bool:
    smallest = spec.dataset.smallest_target()
    return spec.dataset.standardise_targets or (smallest is not None and smallest < 0.0)
