"""Types of the arrays that the engine works on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
"""Numbers of any shape in double precision."""

Integers = npt.NDArray[np.int64]
"""Indices and instructions."""
