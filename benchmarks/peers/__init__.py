"""The peers, one module each.

A peer is a function (case, steps) → Work. Before it returns it prepares what no peer is
measured by: data, first parameters, the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

Work = Callable[[], Sequence[float]]
"""The timed function: takes the steps and returns their losses; the first call may compile."""
