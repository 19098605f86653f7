"""Data sets: how they are loaded, scaled and split into batches."""

from engine.moved import attributes_from

__getattr__ = attributes_from("engine.data", "engine.data.loading")
