"""The largest job that the service takes on, by its settings.

A specification of 300 bytes may ask for years of work or for all the memory of a machine. One
that asks for more than the settings allow is refused with the place that decides it.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.spec import JobSpec
from service.common.errors import InvalidRequest
from service.common.settings import Settings


def check(spec: JobSpec, settings: Settings) -> None:
    """Raises InvalidRequest, with the places, where a job asks for more than is allowed."""
    errors = [*_work(spec, settings), *_deadline(spec, settings), *_memory(spec, settings)]
    if errors:
        raise InvalidRequest(errors)


def _work(spec: JobSpec, settings: Settings) -> Iterator[tuple[str, str]]:
    work, most = spec.work(), settings.max_job_work
    if work <= most:
        return
    steps = spec.training.steps * most // work
    remedy = f"lower the steps to {steps:,}" if steps else "lower the units or the batch_size"
    if spec.executor == "scalar":
        remedy += ", or use the native executor"
    yield (
        "/training/steps",
        f"training takes about {work:.1e} multiplications, and at most {most:.1e} are allowed; "
        + remedy,
    )


def _deadline(spec: JobSpec, settings: Settings) -> Iterator[tuple[str, str]]:
    deadline, most = spec.training.deadline_seconds, settings.max_deadline_seconds
    if deadline is not None and deadline > most:
        yield (
            "/training/deadline_seconds",
            f"{deadline:g} s are longer than the longest deadline, {most:g} s; lower it, or leave "
            "it out",
        )


def _memory(spec: JobSpec, settings: Settings) -> Iterator[tuple[str, str]]:
    memory, most = spec.memory(), settings.max_job_memory_bytes
    if memory.total <= most:
        return
    rows, outputs, inputs = spec.dataset.shape()[0], spec.sizes()[-1], spec.sizes()[0]
    needs = f"training needs about {memory.total / 1e9:.2g} GB of memory"
    allowed = f"and at most {most / 1e9:.2g} GB are allowed"
    if memory.targets == max(memory):
        last = len(spec.model.layers) - 1
        yield (
            f"/model/layers/{last}/units",
            f"{needs} for {rows:,} rows × {outputs:,} output units, {allowed}; lower either",
        )
    elif memory.inputs == max(memory):
        yield (
            "/dataset",
            f"{needs} for {rows:,} rows × {inputs:,} inputs, {allowed}; lower either",
        )
    else:
        yield (
            "/model/layers",
            f"{needs} for {spec.parameters():,} parameters, {allowed}; lower the units",
        )
