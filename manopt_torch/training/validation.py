"""When to stop: validations that have not improved on the best for too long."""

import math
from typing import Any

from manopt_torch.errors import OptionsError


class Patience:
    r"""Remember the best validation, and count those since.

    A loss is an improvement if it is less than the best by more than `min_improvement` times its size,
    $f^* - f > r\,\lvert f^*\rvert$. NaN never is.

    Args:
        patience: how many validations in a row may fail; one more, and the patience has elapsed.
        min_improvement: $r \ge 0$.

    Raises:
        OptionsError: if an argument is negative.

    Examples:
        >>> watch = Patience(1, 0.1)
        >>> [(watch.see({"loss": loss}, None), watch.elapsed) for loss in (2.0, 1.9, 1.0, 1.0, math.nan)]
        [(True, False), (False, False), (True, False), (False, False), (False, True)]
    """

    def __init__(self, patience: float = 5, min_improvement: float = 0.0) -> None:
        for name, value in (("patience", patience), ("min_improvement", min_improvement)):
            if not isinstance(value, (int, float)) or not value >= 0:
                raise OptionsError(f"{name} must be a number >= 0, got {value!r}")
        self.patience, self.min_improvement = patience, min_improvement
        self.best_loss = math.inf
        self.best_monitors: dict[str, float] = {}
        self.best: Any = None
        self.failures = 0

    @property
    def elapsed(self) -> bool:
        """Whether more validations have failed in a row than patience allows."""
        return self.failures > self.patience

    def see(self, monitors: dict[str, float], point: Any) -> bool:
        """Tell whether this validation is the best so far, and keep the point if so."""
        loss, best = monitors["loss"], self.best_loss
        improved = loss < best and (best == math.inf or best - loss > abs(best) * self.min_improvement)
        if improved:
            self.best_loss, self.best_monitors, self.best, self.failures = loss, monitors, point, 0
        else:
            self.failures += 1
        return improved
