"""Likely mistakes in a specification that is trained all the same.

A warning says what will probably happen and what helps. Only mistakes that are likely are named:
a warning that is often wrong is soon ignored. To add one, write a rule and name it in `RULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.spec.base import pointer
from engine.spec.job import JobSpec

LARGE_INPUT = 100.0
SMALL_TRAVEL = 1e-6
"""A training whose rates add up to less than this moves no parameter by a visible amount."""
LARGE_RATE = 10.0
LARGE_UPDATE = 1.0
"""An update that clipping keeps below this does not diverge, whatever the rate."""
FEW_ROWS = 5
MOST_CLASSES = 10
"""More whole targets than this are more likely counts than the numbers of classes."""


class Range(NamedTuple):
    """The outputs of an activation that cannot be any number."""

    low: float
    high: float
    sentence: str


RANGES = {
    "sigmoid": Range(0.0, 1.0, "lies between 0 and 1"),
    "tanh": Range(-1.0, 1.0, "lies between -1 and 1"),
    "sin": Range(-1.0, 1.0, "lies between -1 and 1"),
    "softplus": Range(0.0, math.inf, "is never below 0"),
    "relu": Range(0.0, math.inf, "is never below 0"),
    "gelu": Range(-0.17, math.inf, "is never below -0.17"),
}


class Warning(NamedTuple):
    """A likely mistake; `pointer` is the JSON pointer (RFC 6901) of its place."""

    pointer: str
    detail: str


Found = Iterator[tuple[tuple[str | int, ...], str]]
"""The places of likely mistakes, and a sentence about each."""


def warnings(spec: JobSpec) -> list[Warning]:
    """The likely mistakes of a specification, in the order of its parts."""
    return [
        Warning(pointer(list(place)), sentence) for rule in RULES for place, sentence in rule(spec)
    ]


def guesses(spec: JobSpec) -> Found:
    for sentence in spec.dataset.remarks():
        yield ("dataset", "text"), sentence


def large_inputs(spec: JobSpec) -> Found:
    largest = spec.dataset.largest_input()
    if largest > LARGE_INPUT and not spec.dataset.standardise:
        sentence = (
            f"inputs reach about {largest:g} and are not scaled; training will probably diverge "
        )
        yield ("dataset", "standardise"), sentence + "or stand still. Set standardise to true"


def linear_layers(spec: JobSpec) -> Found:
    hidden = spec.model.layers[:-1]
    if len(hidden) > 1 and all(layer.activation == "linear" for layer in hidden):
        sentence = f"{len(hidden)} hidden layers that are all linear compute no more than one does"
        yield ("model", "layers"), sentence + ". Give them an activation such as tanh or relu"


def squashed_logits(spec: JobSpec) -> Found:
    place, activation, limits = output(spec)
    if spec.loss.READS_LOGITS and limits is not None:
        sentence = f"{spec.loss.kind} reads logits, but the output of {activation} "
        sentence += f"{limits.sentence}, so the network can never be sure of some class. Use linear"
        yield place, sentence


def unreachable_targets(spec: JobSpec) -> Found:
    place, activation, limits = output(spec)
    if spec.loss.CLASSIFIES or limits is None:
        return
    targets = spec.dataset.known_targets()
    if spec.dataset.standardise_targets:
        found = "standardised targets lie on both sides of 0 and beyond 1"
    elif targets and not limits.low <= min(targets) <= max(targets) <= limits.high:
        found = f"targets reach from {min(targets):g} to {max(targets):g}"
    else:
        return
    yield place, f"{found}, but the output of {activation} {limits.sentence}. Use linear"


def output(spec: JobSpec) -> tuple[tuple[str | int, ...], str, Range | None]:
    """The place of the output's activation, its name, and its range where it has one."""
    last = len(spec.model.layers) - 1
    activation = spec.model.layers[last].activation
    return ("model", "layers", last, "activation"), activation, RANGES.get(activation)


def classes_as_numbers(spec: JobSpec) -> Found:
    if spec.loss.CLASSIFIES:
        return
    classes = spec.dataset.classes() or 0
    found = f"the {classes} classes of {spec.dataset.kind}"
    if not classes:
        classes = numbered_classes(spec.dataset.known_targets() or [])
        found = f"targets 0 to {classes - 1}, which look like {classes} classes,"
    if classes > 2:
        sentence = f"{spec.loss.kind} takes {found} for numbers with an order. "
        yield ("loss", "kind"), sentence + "Use cross_entropy with one unit per class"


def numbered_classes(targets: list[float]) -> int:
    """How many classes targets such as 0, 1, 2, 1 seem to number; 0 where they seem numbers."""
    found = set(targets)
    repeated = len(found) < len(targets)
    whole = len(found) <= MOST_CLASSES and found == set(range(len(found)))
    return len(found) if repeated and whole else 0


def small_travel(spec: JobSpec) -> Found:
    rate, steps = largest_rate(spec), spec.training.steps
    if rate * steps < SMALL_TRAVEL:
        sentence = f"a rate of {rate:g} over {steps} steps learns nothing. Use a larger one"
        yield ("optimizer", "learning_rate"), sentence


def large_rate(spec: JobSpec) -> Found:
    rate, clip = largest_rate(spec), spec.optimizer.clip_norm
    # Momentum adds up to 1/(1 - momentum) updates of this length.
    update = math.inf if clip is None else rate * clip / (1.0 - spec.optimizer.momentum)
    if rate > LARGE_RATE and update > LARGE_UPDATE:
        sentence = f"a rate of {rate:g} will probably diverge. Use one below 1"
        yield ("optimizer", "learning_rate"), sentence


def largest_rate(spec: JobSpec) -> float:
    """The largest learning rate of the training, nearly."""
    schedule, steps = spec.optimizer.learning_rate, spec.training.steps
    # Schedules rise and fall smoothly, so a few places show the largest rate well enough.
    return max(float(schedule.rate(k, steps)) for k in (0, steps // 4, steps // 2, steps - 1))


def added_gradients(spec: JobSpec) -> Found:
    if not spec.training.zero_grad:
        sentence = "gradients add up from step to step; set zero_grad to true unless you study that"
        yield ("training", "zero_grad"), sentence


def small_validation_set(spec: JobSpec) -> Found:
    kept = spec.dataset.shape()[0] - spec.training_rows()
    if 0 < kept < FEW_ROWS:
        sentence = f"a validation set of {kept} row{'s' if kept > 1 else ''} says little about "
        sentence += f"other data. Keep at least {FEW_ROWS} rows for it, or set the fraction to 0"
        yield ("training", "validation_fraction"), sentence


RULES: list[Callable[[JobSpec], Found]] = [
    guesses,
    large_inputs,
    linear_layers,
    squashed_logits,
    unreachable_targets,
    classes_as_numbers,
    small_travel,
    large_rate,
    added_gradients,
    small_validation_set,
]
"""Every rule, in the order of a specification's parts."""
