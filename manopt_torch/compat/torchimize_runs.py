"""How the functions of `compat.torchimize` are carried out: problem, options, tests and history of a run."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from manopt_torch.damping.base import Damping
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds import Euclidean
from manopt_torch.plans.options import check_range, lane_of, memory_of
from manopt_torch.plans.solve import solve
from manopt_torch.plans.stopping import StopAfterIteration
from manopt_torch.plans.stopping.base import StoppingCriterion
from manopt_torch.problems.least_squares import LeastSquaresProblem
from manopt_torch.solvers.gauss_newton import whole_step_first
from manopt_torch.stepsizes.base import Stepsize


class Tolerances(NamedTuple):
    """What a run may stop at: relative changes of residuals and parameters, and the largest entry of the gradient."""

    ftol: float
    ptol: float
    gtol: float


def fit(
    make: Callable[..., Any],
    p: torch.Tensor,  # shape: (P,)
    function: Callable[..., Any],
    jac_function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    tolerances: Tolerances,
    max_iter: int,
) -> list[torch.Tensor]:
    """Fit one problem; return the start and the parameters after each iteration."""
    _check_arguments(p, function, jac_function, None)
    if p.dim() != 1:
        raise ShapeError(f"p must have shape (P,), got {tuple(p.shape)}; for a batch take the function ..._parallel")
    jacobian = None if jac_function is None else lambda x: jac_function(x, *args)
    problem = LeastSquaresProblem(Euclidean(p.shape[-1]), lambda x: function(x, *args), jacobian)
    return [p.detach().clone(), *_history(problem, make, p, tolerances, max_iter)]


def fit_batch(
    make: Callable[..., Any],
    p: torch.Tensor,  # shape: (B, P)
    function: Callable[..., Any],
    jac_function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    wvec: torch.Tensor | None,  # shape: (C,) or (B, C)
    tolerances: Tolerances | None,
    max_iter: int,
) -> list[torch.Tensor]:
    """Fit a batch; return the parameters after each iteration, but the start if there was none."""
    f = check_shapes(p, function, jac_function, args, wvec)
    # the groups of residuals laid end to end, each with its weight
    weights = None if wvec is None else wvec.detach().to(f.dtype).repeat_interleave(f.shape[-1], -1)
    jacobian = None if jac_function is None else lambda x: jac_function(x, *args).flatten(1, 2)
    problem = LeastSquaresProblem(
        Euclidean(p.shape[-1]), lambda x: function(x, *args).flatten(1), jacobian, weights=weights
    )
    return _history(problem, make, p, tolerances, max_iter) or [p.detach().clone()]


def check_shapes(
    p: torch.Tensor,
    function: Callable[..., Any],
    jac_function: Callable[..., Any] | None,
    args: tuple[Any, ...],
    wvec: torch.Tensor | None,
) -> torch.Tensor:
    """Return the residuals at `p`; raise a ShapeError unless they, Jacobian and weights are those of a batch."""
    _check_arguments(p, function, jac_function, wvec)
    if p.dim() != 2:
        raise ShapeError(f"p must have shape (B, P), got {tuple(p.shape)}; for one problem leave out _parallel")
    f = function(p, *args)
    if not isinstance(f, torch.Tensor) or f.dim() != 3 or f.shape[0] != p.shape[0]:
        raise ShapeError(f"the function must return (B, C, N), here ({p.shape[0]}, C, N), got {_kind_of(f)}")
    if jac_function is not None:
        J = jac_function(p, *args)
        if not isinstance(J, torch.Tensor) or J.shape != (*f.shape, p.shape[1]):
            wanted = (*f.shape, p.shape[1])
            raise ShapeError(f"the Jacobian must have shape (B, C, N, P), here {wanted}, got {_kind_of(J)}")
    if wvec is not None and (wvec.dim() == 0 or wvec.shape[-1] != f.shape[1]):
        raise ShapeError(f"wvec must have a weight for each of the {f.shape[1]} groups, got {tuple(wvec.shape)}")
    return f.detach()


def _check_arguments(p: Any, function: Any, jac_function: Any, wvec: Any) -> None:
    """Raise an OptionsError unless tensors are tensors and functions can be called."""
    for name, value in (("p", p), ("wvec", wvec)):
        if not isinstance(value, torch.Tensor) and (name == "p" or value is not None):
            got = type(value).__name__
            raise OptionsError(f"{name} must be a tensor, got {got}: convert it with torch.as_tensor({name})")
    for name, value in (("function", function), ("jac_function", jac_function)):
        if not callable(value) and (name == "function" or value is not None):
            raise OptionsError(f"{name} must be callable, got {type(value).__name__}")


def _kind_of(value: Any) -> str:
    """Say what a function returned: the shape of a tensor, or the type of anything else."""
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__


def _history(
    problem: Any, make: Callable[..., Any], p: torch.Tensor, tolerances: Tolerances | None, max_iter: int
) -> list[torch.Tensor]:
    """Run a solver; return the parameters after each iteration."""
    stop: Any = StopAfterIteration(max_iter)
    path: list[torch.Tensor] = []
    if tolerances is not None:
        stop = stop | StopWhenSettled(tolerances)
    # clones: the caller may write into what it is given
    solve(problem, make(p.detach(), stop=stop), debug=lambda p, o, i: path.append(o.x.clone()) if i > 0 else None)
    return path


class StopWhenSettled(StoppingCriterion):
    r"""Stop a problem at a small gradient, or after a step that changed parameters or residuals little.

    $\max_j |g_j| < \varepsilon_g$; or, once a step $h$ has been accepted, $\lVert h\rVert \le \varepsilon_p
    (\varepsilon_p + \lVert p\rVert)$ or $\lVert f\rVert^2$ smaller by no more than $\varepsilon_f^2 \lVert f\rVert^2$,
    which near a minimum is the change $\lVert f_{i-1} - f_i\rVert \le \varepsilon_f \lVert f\rVert$ of residuals. A
    rejected step changes nothing and says nothing.
    """

    indicates_convergence = True

    def __init__(self, tolerances: Tolerances) -> None:
        self.tolerances = tolerances

    def init(self, p: Any, o: Any) -> Any:
        """Remember point and cost."""
        return {"x": o.x, "cost": lane_of(p, o).scalar(o.cost), "settled": lane_of(p, o).full(False), "seen": 0}

    def __call__(self, p: Any, o: Any, i: int) -> Any:
        """Compare with the former iterate; asked again at the same `i`, say the same."""
        memory, lane = self.remembered(p, o, i), lane_of(p, o)
        if i > 0 and i != memory["seen"]:
            ftol, ptol, gtol = self.tolerances
            length, cost = lane.scalar(p.M.dist(o.x, memory["x"])), lane.scalar(o.cost)
            short = length <= ptol * (ptol + lane.scalar(torch.linalg.vector_norm(o.x, dim=-1)))
            little = memory["cost"] - cost <= ftol * ftol * cost
            memory["settled"] = (lane.size(o.gradient) < gtol) | ((length > 0.0) & (short | little))
            memory["x"], memory["cost"] = o.x, cost
        memory["seen"] = i
        return memory["settled"]

    def reason(self, o: Any, i: int) -> str:
        """Say that nothing moved any more."""
        return f"The fit settled after {i} iterations."

    def __repr__(self) -> str:
        return f"StopWhenSettled({self.tolerances})"


class FirstStep(Stepsize):
    """Try a step of the given length first and halve it as needed; in later iterations the whole step."""

    def __init__(self, first: float) -> None:
        self.first = first
        self.search = whole_step_first()
        check_range(self, "first", 0.0, float("inf"))

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Return the step size of iteration `i`."""
        memory_of(self.search, p, o)["last"] = o.lane.full(float(self.first) if i == 1 else 1.0)
        return self.search(p, o, i, eta)


class ThresholdDamping(Damping):
    """Raise the damping below one gain ratio and lower it above another, with Marquardt's scaling."""

    def __init__(self, initial: float, low: float, high: float, increase: float, decrease: float) -> None:
        self.initial, self.scaling = initial, "largest"
        self.low, self.high, self.increase, self.decrease = low, high, increase, decrease
        check_range(self, "increase", 1.0, float("inf"))
        check_range(self, "decrease", 1.0, float("inf"))
        self.check()

    def update(self, lane: Any, damping: Any, growth: Any, ratio: Any, accepted: Any) -> tuple[Any, Any]:
        """Compare the gain ratio with the thresholds."""
        kept = lane.where(ratio > self.high, damping / self.decrease, damping)
        raised = damping * self.increase
        return lane.where(accepted, lane.where(ratio < self.low, raised, kept), raised), growth
