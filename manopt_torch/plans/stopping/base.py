"""What a stopping criterion is."""

from abc import ABC, abstractmethod
from typing import Any

import torch

from manopt_torch.plans.options import Functor, memory_of


class StoppingCriterion(Functor, ABC):
    """Decide per problem whether it is finished: called as `(p, o, i)` before the first and after every step.

    A criterion returns a bool (for all problems at once) or a `(*batch,)` tensor of bools. It is asked for finished
    problems too; their answers are ignored. `a | b` stops when one of them holds, `a & b` when both do.

    Fields that only some options have are named in `reads`, so that others are told before the first iteration.
    """

    # whether the criterion ends a run for lack of time, not because of where it got: such problems go on at a resume
    is_budget = False
    # whether a problem stopped by this criterion has been solved, as far as the criterion can tell
    indicates_convergence = False
    # fields that the options must have, looked for before the first iteration
    reads: tuple[str, ...] = ()
    # whether asking once more after the same step gives the same answer, although the criterion remembers something
    repeatable = False

    def answer(self, p: Any, o: Any, i: int) -> Any:
        """Ask the criterion, and take what is no tensor (a number of NumPy, say) for a bool."""
        hit = self(p, o, i)
        return hit if isinstance(hit, torch.Tensor) else bool(hit)

    @property
    def members(self) -> tuple["StoppingCriterion", ...]:
        """The criteria of which the first to hold is named as the reason: those of a `StopWhenAny`, else itself."""
        return (self,)

    @abstractmethod
    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Tell whether to stop after step `i` (0: before the first)."""

    def reason(self, o: Any, i: int) -> str:
        """Say in a sentence why a problem that stopped after step `i` did so."""
        return f"The criterion {type(self).__name__} was met after step {i}."

    def remembered(self, p: Any, o: Any, i: int) -> Any:
        """Return this criterion's memory, made anew at `i = 0`."""
        if i == 0:
            o.memory.forget(self)
        return memory_of(self, p, o)

    def __or__(self, other: "StoppingCriterion") -> "StoppingCriterion":
        from manopt_torch.plans.stopping.combine import StopWhenAny

        return StopWhenAny(self, other)

    def __and__(self, other: "StoppingCriterion") -> "StoppingCriterion":
        from manopt_torch.plans.stopping.combine import StopWhenAll

        return StopWhenAll(self, other)

    def after(self, n: int) -> "StoppingCriterion":
        """Return the criterion that counts in iterations after `n` only."""
        return self._when(n, "after")

    def at(self, n: int) -> "StoppingCriterion":
        """Return the criterion that counts in iteration `n` only."""
        return self._when(n, "at")

    def before(self, n: int) -> "StoppingCriterion":
        """Return the criterion that counts in iterations before `n` only."""
        return self._when(n, "before")

    def _when(self, n: int, when: str) -> "StoppingCriterion":
        from manopt_torch.plans.stopping.iteration_condition import StopWhenCriterionWithIterationCondition

        return StopWhenCriterionWithIterationCondition(self, n, when)
