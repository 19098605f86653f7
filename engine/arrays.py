"""The arrays of numbers that the engine works on, each named once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""Numbers of any shape in double precision."""

Integers = npt.NDArray[np.int64]
"""Indices and instructions."""
