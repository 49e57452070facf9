"""SciPy's optimizers on parameters and problems: derivatives come from autograd, over all parameters at once."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._keywords import KnownKeywords
from manopt_torch.adapters.scipy_views import ParameterView, ProblemView, import_scipy, minimized, paired
from manopt_torch.directions.components import is_elementwise
from manopt_torch.errors import OptionsError
from manopt_torch.plans.begin import check_start
from manopt_torch.plans.options import Options, strict_keywords
from manopt_torch.problems.autodiff import grad_mode
from manopt_torch.problems.closure import ClosureProblem
from manopt_torch.problems.counted import bare_problem


class ScipyMinimize(KnownKeywords, torch.optim.Optimizer):
    r"""Minimise by `scipy.optimize.minimize`: one `step(closure)` is a whole minimisation.

    All parameters are packed into one vector of float64. Methods that take a gradient get it from the closure; those
    that take Hessian products or a Hessian get them by differentiating twice, across all parameters. The result of
    SciPy is kept in `result`.

    Args:
        params: the parameters, in Euclidean space.
        method: a method of SciPy; None is SciPy's choice.
        bounds: as for SciPy, or one pair `(low, high)` for all entries.
        constraints: as for SciPy, functions of the packed vector.
        tol: the tolerance.
        callback: called as SciPy does; raising `StopIteration` ends the minimisation.
        options: of the method.
        jac: "autograd", or what SciPy takes, such as "2-point"; not "cs", which asks for complex points.
        hess: "autograd", or what SciPy takes, such as "2-point" or `scipy.optimize.BFGS()`.

    Raises:
        OptionsError: if a parameter lives on a curved manifold, or the closure cannot be told not to differentiate
            where that is needed.
        ImportError: if SciPy is missing.

    Examples:
        >>> import torch
        >>> x = torch.nn.Parameter(torch.tensor([-1.1, 2.5], dtype=torch.float64))
        >>> def closure(backward=True):
        ...     loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
        ...     if backward:
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...     return loss
        >>> optimizer = ScipyMinimize([x], method="trust-krylov")
        >>> bool(optimizer.step(closure) < 1e-8)
        True
    """

    method: str | None
    bounds: Any
    constraints: Any
    tol: float | None
    callback: Callable[..., Any] | None
    options: dict[str, Any] | None
    jac: Any
    hess: Any

    def __init__(
        self,
        params: Any,
        method: str | None = None,
        bounds: Any = None,
        constraints: Any = (),
        tol: float | None = None,
        callback: Callable[..., Any] | None = None,
        options: dict[str, Any] | None = None,
        jac: Any = "autograd",
        hess: Any = "autograd",
    ) -> None:
        import_scipy()
        torch.optim.Optimizer.__init__(self, params, {})
        self.problem: ClosureProblem = _flat_problem(self, "ScipyMinimize")
        self.method, self.bounds, self.constraints, self.tol = method, bounds, constraints, tol
        self.callback, self.options, self.jac, self.hess = callback, options, jac, hess
        self.result: Any = None

    def step(self, closure: Callable[..., Any]) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Minimise, leave the parameters at the result, and return the loss there."""
        problem = self.problem
        x = problem.begin(closure)
        with grad_mode(False):
            try:
                view = ParameterView(problem, x)
                self.result = minimized(
                    view, view.start(), self.method, self.bounds, self.constraints, self.tol, self.callback,
                    self.options, self.jac, self.hess,
                )  # fmt: skip
            finally:
                problem.end()
            problem.write(view.point(self.result.x))
        return torch.tensor(self.result.fun, dtype=torch.float64)


class ScipyDE(torch.optim.Optimizer):
    """Minimise by `scipy.optimize.differential_evolution`: one `step(closure)` is a whole search of a box.

    Args:
        params: the parameters, in Euclidean space.
        bounds: `(low, high)` for all entries, or a pair for each.
        **settings: for SciPy, such as `maxiter=`, `popsize=`, `rng=`.

    Raises:
        OptionsError: if a parameter lives on a curved manifold.
        ImportError: if SciPy is missing.

    Examples:
        >>> import torch
        >>> x = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        >>> optimizer = ScipyDE([x], bounds=(-5, 5), maxiter=50, rng=0)
        >>> bool(optimizer.step(lambda backward=True: (x - 1).square().sum()) < 1e-6)
        True
    """

    bounds: Any
    settings: dict[str, Any]

    def __init__(self, params: Any, bounds: Any = (-10.0, 10.0), **settings: Any) -> None:
        import_scipy()
        torch.optim.Optimizer.__init__(self, params, {})
        self.problem: ClosureProblem = _flat_problem(self, "ScipyDE")
        self.bounds, self.settings, self.result = bounds, settings, None

    def step(self, closure: Callable[..., Any]) -> torch.Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Search, leave the parameters at the best point, and return the loss there."""
        problem = self.problem
        x = problem.begin(closure)
        with grad_mode(False):
            try:
                view = ParameterView(problem, x)
                bounds = paired(self.bounds, problem.M.dim)
                found = import_scipy().differential_evolution(view.value, bounds, **self.settings)
            finally:
                problem.end()
            problem.write(view.point(found.x))
        self.result: Any = found
        return torch.tensor(found.fun, dtype=torch.float64)


@strict_keywords
def scipy_minimize(
    problem: Any,
    x: Any,
    method: str | None = None,
    *,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
    jac: Any = "autograd",
    hess: Any = "autograd",
    return_result: bool = False,
) -> Any:
    r"""Minimise a problem on a Euclidean space by `scipy.optimize.minimize`.

    The point is packed into one vector of float64. The gradient is that of the problem; Hessian products, or the
    Hessian, are taken from a `HessianProblem` where the method wants them.

    Args:
        problem: such as `GradientProblem(M, cost)`, for one point.
        x: the start, without batch axes; a tensor or a tuple of tensors.
        method: a method of SciPy; None is SciPy's choice.
        bounds: as for SciPy, or one pair `(low, high)` for all entries.
        constraints: as for SciPy, functions of the packed vector.
        tol: the tolerance.
        callback: called as SciPy does; raising `StopIteration` ends the minimisation.
        options: of the method.
        jac: "autograd", or what SciPy takes.
        hess: "autograd", or what SciPy takes.
        return_result: whether to return SciPy's result instead, whose `x` is the packed vector.

    Returns:
        The minimiser, like `x`, or SciPy's result.

    Raises:
        OptionsError: if the manifold is curved, or `x` has batch axes.
        NonFiniteError: if `x` is not finite.
        MissingDerivativeError: if the method needs a derivative that the problem lacks.
        ImportError: if SciPy is missing.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, HessianProblem
        >>> p = HessianProblem(Euclidean(2), lambda x: 100 * (x[..., 1] - x[..., 0] ** 2) ** 2 + (1 - x[..., 0]) ** 2)
        >>> x = scipy_minimize(p, torch.tensor([-1.1, 2.5], dtype=torch.float64), "trust-exact")
        >>> bool((x - 1).abs().max() < 1e-4)
        True
    """
    bare_problem(problem)
    if not is_elementwise(problem.M):
        raise OptionsError(f"scipy_minimize: {problem.M!r} is curved, SciPy's methods are for Euclidean spaces")
    if problem.M.batch_shape(x):
        raise OptionsError(f"scipy_minimize: one problem at a time, x has batch axes {problem.M.batch_shape(x)}")
    check_start(problem, Options(x))
    view = ProblemView(problem, x)
    result = minimized(view, view.start(), method, bounds, constraints, tol, callback, options, jac, hess)
    return result if return_result else view.point(result.x)


def _flat_problem(optimizer: torch.optim.Optimizer, name: str) -> ClosureProblem:
    parameters = [q for group in optimizer.param_groups for q in group["params"] if q.requires_grad]
    problem = ClosureProblem(parameters)
    if not problem.flat:
        raise OptionsError(f"{name}: a parameter lives on a curved manifold, SciPy's methods are for Euclidean spaces")
    return problem
