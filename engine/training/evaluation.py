"""The scores of any parameters, computed as a step computes them.

A step logs the loss and the score of the parameters before its update. So the first step of a
training on the full batch, started from the parameters in question, says what they are worth: its
numbers have the bits that the history has for the same parameters and rows.
"""

from __future__ import annotations

from dataclasses import replace

from engine.data.batches import Batches
from engine.training.executor import Diverged, Executor
from engine.training.prepared import PreparedTraining
from engine.training.state import HistoryRow, Scores


def full_batch(prepared: PreparedTraining) -> PreparedTraining:
    """The same training with all training rows in each step, and nothing that a step remembers."""
    spec = prepared.spec
    optimizer = spec.optimizer.model_copy(update={"momentum": 0.0, "nesterov": False})
    training = spec.training.model_copy(
        update={"batch_size": None, "early_stopping": None, "zero_grad": True}
    )
    return replace(
        prepared,
        spec=spec.model_copy(update={"optimizer": optimizer, "training": training}),
        batches=Batches(len(prepared.training), None, spec.training.seed),
    )


def scores_of_first_step(executor: Executor) -> Scores:
    """What the first step of an executor logs; None for everything where its loss diverges."""
    rows: list[HistoryRow] = []
    try:
        for logged in executor.run(1):
            rows += logged
    except Diverged:
        pass  # the update after the row may diverge, and nobody asks for it
    if not rows:
        return Scores(None, None, None, None)
    first = rows[0]
    return Scores(first.loss, first.accuracy, first.validation_loss, first.validation_accuracy)
