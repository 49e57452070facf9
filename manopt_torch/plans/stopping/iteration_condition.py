"""Criteria that count only in some iterations."""

from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_count
from manopt_torch.plans.stopping.base import StoppingCriterion

_WHEN = {"after": "after", "at": "in", "before": "before"}


class StopWhenCriterionWithIterationCondition(StoppingCriterion):
    """Stop a problem when a criterion holds for it after, in, or before iteration `n`.

    `criterion.after(n)`, `criterion.at(n)` and `criterion.before(n)` are short for it. The criterion is asked in every
    iteration, since it may keep account of the former iterate, but its answer counts only then.

    Args:
        criterion: what has to hold.
        n: the iteration.
        when: "after" for $i > n$, "at" for $i = n$, "before" for $i < n$.

    Raises:
        OptionsError: if `criterion` is no stopping criterion, `n` not an int of at least 0, or `when` unknown.

    Examples:
        >>> from manopt_torch import StopWhenCostLess
        >>> StopWhenCostLess(0.1).after(5)
        StopWhenCriterionWithIterationCondition(StopWhenCostLess(0.1), 5, 'after')
    """

    criterion: StoppingCriterion
    n: int
    when: str

    def __init__(self, criterion: StoppingCriterion, n: int, when: str = "after") -> None:
        if not isinstance(criterion, StoppingCriterion):
            raise OptionsError(f"StopWhenCriterionWithIterationCondition takes a stopping criterion, got {criterion!r}")
        if when not in _WHEN:
            raise OptionsError(
                f"StopWhenCriterionWithIterationCondition: when must be one of {', '.join(_WHEN)}, got {when!r}"
            )
        self.criterion, self.n, self.when = criterion, n, when
        check_count(self, "n", 0)
        self.is_budget = criterion.is_budget
        self.indicates_convergence = criterion.indicates_convergence
        self.reads = criterion.reads

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Ask the criterion, and say no in iterations that do not count."""
        hit = self.criterion.answer(p, o, i)
        counts = i > self.n if self.when == "after" else i == self.n if self.when == "at" else i < self.n
        return hit if counts else False

    def reason(self, o: Any, i: int) -> str:
        """Give the reason of the criterion."""
        return f"{self.criterion.reason(o, i)} It counts {_WHEN[self.when]} iteration {self.n}."

    def __repr__(self) -> str:
        return f"StopWhenCriterionWithIterationCondition({self.criterion!r}, {self.n}, {self.when!r})"
