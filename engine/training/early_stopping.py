"""Early stopping: its memory, and when it ends a training."""

from __future__ import annotations

import math

from engine.spec import EarlyStoppingSpec


class Patience:
    """Watches the validation losses of logged steps.

    A loss is better when it is below the best so far by more than `min_delta`; NaN never is.
    """

    def __init__(self, spec: EarlyStoppingSpec, memory: tuple[float, int] | None = None) -> None:
        self.spec = spec
        self.best, self.stale = memory or (math.inf, 0)

    def look(self, loss: float) -> None:
        if loss < self.best - self.spec.min_delta:
            self.best, self.stale = loss, 0
        else:
            self.stale += 1

    @property
    def exhausted(self) -> bool:
        return self.stale >= self.spec.patience

    @property
    def memory(self) -> tuple[float, int]:
        """The best loss, and how many losses since then were no better, as a state keeps them."""
        return self.best, self.stale
