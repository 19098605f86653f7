"""Everything a training job may ask for, as pydantic models: `JobSpec` and its parts."""

from engine.moved import attributes_from
from engine.spec.base import problems
from engine.spec.job import JobSpec
from engine.spec.loss import LossSpec
from engine.spec.model import Activation, GivenInit, InitSpec, LayerSpec, ModelSpec
from engine.spec.optimizer import OptimizerSpec
from engine.spec.schedules import LearningRate
from engine.spec.training import EarlyStoppingSpec, TrainingSpec, validation_rows

__all__ = [
    "Activation",
    "EarlyStoppingSpec",
    "GivenInit",
    "InitSpec",
    "JobSpec",
    "LayerSpec",
    "LearningRate",
    "LossSpec",
    "ModelSpec",
    "OptimizerSpec",
    "TrainingSpec",
    "problems",
    "validation_rows",
]

__getattr__ = attributes_from("engine.spec", "engine.spec.schedules")
