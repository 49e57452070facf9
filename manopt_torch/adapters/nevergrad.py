"""nevergrad's optimizers on parameters: ask, evaluate, tell."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.errors import OptionsError
from manopt_torch.plans.options import check_count
from manopt_torch.problems.autodiff import grad_mode
from manopt_torch.problems.closure import ClosureProblem


class NevergradOptimizer(KnownKeywords, torch.optim.Optimizer):
    r"""Let an optimizer of nevergrad choose the parameters: a `step(closure)` asks once, evaluates and tells.

    No gradient is used. When the budget is spent, and whenever `recommend()` is called, the parameters are put at what
    nevergrad recommends, rather than left where it asked last.

    Args:
        params: the parameters, in Euclidean space.
        opt_cls: a class or registered name of nevergrad, such as `ng.optimizers.NGOptBase`, or anything called as
            `opt_cls(parametrization=, budget=)` with `ask`, `tell` and `provide_recommendation`.
        budget: number of evaluations.
        mutable_sigma: whether nevergrad adapts the size of its mutations.
        use_init: whether the search starts where the parameters are; else at zero.
        low: lower bound of all entries, None for none.
        high: upper bound.
        seed: seed of nevergrad's draws, None for none.
        parametrization: what is passed on instead of one `ng.p.Array` for each parameter; its value is a tuple of
            arrays.

    Raises:
        OptionsError: if a parameter lives on a curved manifold, or nevergrad has no such optimizer.
        ImportError: if nevergrad is missing.
    """

    budget: int
    asked: int

    def __init__(
        self,
        params: Any,
        opt_cls: Any,
        budget: int = 1000,
        mutable_sigma: bool = False,
        use_init: bool = True,
        *,
        low: float | None = None,
        high: float | None = None,
        seed: int | None = None,
        parametrization: Any = None,
    ) -> None:
        torch.optim.Optimizer.__init__(self, params, {})
        self.problem: ClosureProblem = ClosureProblem(
            [q for group in self.param_groups for q in group["params"] if q.requires_grad]
        )
        if not self.problem.flat:
            raise OptionsError("NevergradOptimizer: a parameter lives on a curved manifold, nevergrad knows none")
        self.budget, self.asked = budget, 0
        check_count(self, "budget", 1)
        if parametrization is None:
            arrays = self._arrays(mutable_sigma, use_init, low, high)
            parametrization = import_nevergrad().p.Tuple(*arrays)
        if seed is not None:
            parametrization.random_state.seed(seed)
        if isinstance(opt_cls, str):
            opt_cls = import_nevergrad().optimizers.registry.get(opt_cls, opt_cls)
        if not callable(opt_cls):
            raise OptionsError(
                f"opt_cls must be a class of nevergrad, such as ng.optimizers.NGOptBase, or a name that "
                f"ng.optimizers.registry has, got {opt_cls!r}"
            )
        self.optimizer: Any = opt_cls(parametrization=parametrization, budget=budget)

    def step(self, closure: Callable[..., Any]) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ask, evaluate, tell, and return the loss; once the budget is spent, return that of the recommendation."""
        problem = self.problem
        problem.begin(closure)
        with grad_mode(False):
            try:
                if self.asked >= self.budget:
                    self.recommend()
                    return problem.get_cost(problem.here)
                candidate = self.optimizer.ask()
                problem.write(self._point(candidate.value))
                loss = problem.get_cost(problem.here)
                self.optimizer.tell(candidate, float(loss))
            finally:
                problem.end()
            self.asked += 1
            if self.asked == self.budget:
                self.recommend()
        return loss

    def recommend(self) -> None:
        """Put the parameters at what nevergrad recommends."""
        self.problem.write(self._point(self.optimizer.provide_recommendation().value))

    def _arrays(self, mutable_sigma: bool, use_init: bool, low: Any, high: Any) -> list[Any]:
        p = import_nevergrad().p
        found = []
        for q in self.problem.parameters:
            # a copy: nevergrad keeps the array, and steps write into the parameter
            start = q.detach().to("cpu", torch.float64, copy=True)
            start = start if use_init else torch.zeros_like(start)
            # nevergrad's arrays have axes
            array = p.Array(init=start.reshape(q.shape or (1,)).numpy(), mutable_sigma=mutable_sigma)
            found.append(array if low is None and high is None else array.set_bounds(low, high))
        return found

    def _point(self, values: Any) -> list[torch.Tensor]:
        parameters = self.problem.parameters
        return [
            torch.as_tensor(v, dtype=torch.float64).reshape(q.shape) for v, q in zip(values, parameters, strict=True)
        ]


def import_nevergrad() -> Any:
    """Import nevergrad.

    Raises:
        ImportError: if it is missing.
    """
    try:
        import nevergrad  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("nevergrad is missing: pip install manopt_torch[nevergrad]") from error
    return nevergrad
