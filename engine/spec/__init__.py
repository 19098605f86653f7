"""Everything a training job may ask for, as pydantic models: `JobSpec` and its parts."""

from engine.moved import attributes_from
from engine.spec.base import problems
from engine.spec.job import (
    Activation,
    EarlyStoppingSpec,
    InitSpec,
    JobSpec,
    LearningRate,
    LossSpec,
    ModelSpec,
    OptimizerSpec,
    TrainingSpec,
    validation_rows,
)

__all__ = [
    "Activation",
    "EarlyStoppingSpec",
    "InitSpec",
    "JobSpec",
    "LearningRate",
    "LossSpec",
    "ModelSpec",
    "OptimizerSpec",
    "TrainingSpec",
    "problems",
    "validation_rows",
]

__getattr__ = attributes_from("engine.spec", "engine.spec.job")
