r"""Nonlinear least squares: $f(x) = \frac12 \sum_i w_i \rho(r_i(x)^2)$ for a vector of residuals $r$."""

import copy
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.problems import residual_jacobian as by
from manopt_torch.problems.base import Problem
from manopt_torch.problems.gradient import SmoothProblem
from manopt_torch.problems.hessian import GradientGraph, HessianProblem
from manopt_torch.problems.residual_checks import check_residuals
from manopt_torch.problems.weighting import checked_robust_loss, checked_weights, corrected, total

# how a Jacobian may be found; "auto" chooses at the first evaluation
WAYS = ("auto", "forward", "reverse", "finite")


class ResidualTrial(NamedTuple):
    """The residuals at a point, and what a Jacobian there needs besides."""

    cost: torch.Tensor  # shape: (*batch,)
    residuals: torch.Tensor  # shape: (*batch, m); raw, without weights and loss
    context: Any = None  # tracked point and attached residuals, where autograd makes the Jacobian


class Linearization(NamedTuple):
    r"""The residuals and their Jacobian at a point, with weights and loss worked in.

    $J' r$ is the gradient in coordinates and $J' J$ the Gauss-Newton matrix of the cost.
    """

    residuals: torch.Tensor  # shape: (*batch, m)
    jacobian: torch.Tensor  # shape: (*batch, m, n), n = dim of the manifold


class LeastSquaresProblem(SmoothProblem):
    r"""Minimise $f(x) = \frac12 \sum_i w_i\, \rho\bigl(r_i(x)^2\bigr)$ for $r\colon \mathcal M \to \mathbb R^m$.

    The Jacobian comes from autograd unless given: by columns ($n \le m$) or by rows, for all problems of the batch at
    once and without derivatives across problems; by finite differences where the residuals are no torch operations.
    A cost, a gradient and a Hessian follow, so that every solver for smooth problems takes it too.

    Args:
        M: the manifold, of dimension $n$.
        residuals: `residuals(x, *data)`, returns shape `(*batch, m)`.
        jacobian: `jacobian(x, *data)`, the ambient differential, shape `(*batch, m, *point_shape)` (a tuple of
            arrays for tuple points); it is restricted to the tangent space here. Or how to find it: `"forward"` (by
            columns), `"reverse"` (by rows), `"finite"` (central differences); None chooses.
        weights: $w_i \ge 0$, shape `(m,)`, or `(*batch, m)` for weights of each problem's own.
        loss: a robust loss $\rho$ with `rho(s) -> (value, first, second derivative)`; None is $\rho(s) = s$.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or weights are negative, not finite, or all zero; or the
            residuals are not of the point's dtype. Weights and a given Jacobian are converted to it.
        ShapeError: if there are no residuals, or residuals, Jacobian or weights have the wrong shape.

    References:
        [NocedalWright:2006], chapter 10; [MadsenNielsenTingleff:2004]; [TriggsEtAl:1999] for robust losses.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, LeastSquaresProblem, get_cost, get_jacobian
        >>> t = torch.tensor([0.0, 1.0, 2.0])
        >>> def line(x, y):
        ...     return x[..., :1] + x[..., 1:] * t - y
        >>> p = LeastSquaresProblem(Euclidean(2), line, data=(torch.ones(4, 3),))
        >>> get_cost(p, torch.zeros(4, 2))
        tensor([1.5000, 1.5000, 1.5000, 1.5000])
        >>> get_jacobian(p, torch.zeros(4, 2))[0]
        tensor([[1., 0.],
                [1., 1.],
                [1., 2.]])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "hessian", "residuals", "jacobian"})

    gradient = None
    euclidean_gradient = None

    def __init__(
        self,
        M: Manifold,
        residuals: Callable[..., Any],
        jacobian: Callable[..., Any] | str | None = None,
        *,
        weights: torch.Tensor | None = None,
        loss: Any = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, self.cost_of, data=data, vectorized=True)
        self.vectorized = vectorized
        self.residuals: Any = self._callable("residuals", residuals, vectorized)
        if isinstance(jacobian, str):
            if jacobian not in WAYS:
                raise OptionsError(f"LeastSquaresProblem: jacobian must be callable or one of {WAYS}, got {jacobian!r}")
            self.jacobian, self.way = None, jacobian
        else:
            self.jacobian: Any = self._callable("jacobian", jacobian, vectorized)
            self.way = "auto" if jacobian is None else "given"
        self.loss: Any = None if loss is None else checked_robust_loss(loss)
        self.weights: torch.Tensor | None = None if weights is None else checked_weights(weights)
        self.columns_apart = by.ColumnsApart()

    # ---- cost, gradient, Hessian ------------------------------------------------------------------------------------
    def cost_of(self, x: Any, *data: torch.Tensor) -> torch.Tensor:
        """Return the cost at `x`, shape `(*batch,)`."""
        return self.total(self.residuals(x, *data))

    @property
    def needs_graph(self) -> bool:
        """Whether autograd makes the derivatives."""
        return self.way not in ("given", "finite")

    def trial(self, x: Any) -> tuple[torch.Tensor, Any]:
        """Evaluate the cost and keep what a gradient at that point needs."""
        if self.needs_graph:
            return SmoothProblem.trial(self, x)
        at = self.residual_trial(x)
        return at.cost, at

    def gradient_from(self, x: Any, context: Any) -> Any:
        """Return the Riemannian gradient at a trial point."""
        if self.needs_graph:
            return SmoothProblem.gradient_from(self, x, context)
        at = self.linearize_residuals(x, context if isinstance(context, ResidualTrial) else None)
        return self.M.from_coordinates(x, gradient_coordinates(at))

    def get_gradient(self, x: Any) -> Any:
        """Return the Riemannian gradient at `x`."""
        return self.get_cost_and_gradient(x)[1]

    def linearize(self, x: Any, context: Any = None) -> GradientGraph:
        """Return the gradient with its graph retained, ready for products with the (exact) Hessian."""
        return self._twice().linearize(x, context if self.needs_graph else None)

    def hessian_from(self, x: Any, at: GradientGraph, u: Any) -> Any:
        """Return the Riemannian Hessian at `x` applied to `u`, from the retained gradient."""
        return self._twice().hessian_from(x, at, u)

    def get_hessian(self, x: Any, u: Any) -> Any:
        """Return the Riemannian Hessian at `x` applied to `u`."""
        return self.hessian_from(x, self.linearize(x), u)

    def get_preconditioner(self, x: Any, u: Any) -> Any:
        """Return `u`: there is no preconditioner."""
        return u

    def _twice(self) -> HessianProblem:
        twice = HessianProblem(self.M, self.cost, data=self.data)
        twice.counts = self.counts
        return twice

    # ---- residuals and Jacobian --------------------------------------------------------------------------------------
    def residual_trial(self, x: Any, batch: tuple[int, ...] | None = None) -> ResidualTrial:
        """Evaluate the residuals at a trial point; where autograd makes the Jacobian, their graph is kept.

        Args:
            x: the point.
            batch: the batch axes, at the first evaluation: then the residuals are checked.
        """
        self.counts.cost += 1
        self.counts.residuals += 1
        context = None
        if self.needs_graph:
            context = by.attached_residuals(self.residuals, x, self.data, else_none=self.way == "auto")
            self.way = self.way if context else "finite"
        r = context[1] if context else self.residuals(x, *self.data)
        if batch is not None:
            check_residuals(r, batch, first_leaf(x).real.dtype, self.weights, self.loss)
        r = r.detach() if context else r
        return ResidualTrial(self.total(r), r, context)

    def linearize_residuals(self, x: Any, trial: ResidualTrial | None = None) -> Linearization:
        """Return residuals and Jacobian at a trial point, with weights and loss worked in.

        Args:
            x: the point.
            trial: what `residual_trial` returned for it; None evaluates the residuals too.
        """
        trial = self.residual_trial(x) if trial is None else trial
        return self.corrected(trial.residuals, self.jacobian_from(x, trial))

    def jacobian_from(self, x: Any, trial: ResidualTrial) -> torch.Tensor:
        """Return the Jacobian of the raw residuals in the basis `M.basis(x)`, shape `(*batch, m, n)`."""
        self.counts.gradient += 1
        self.counts.jacobian += 1
        way = self._way_for(trial)
        if way == "given":
            r = trial.residuals
            ambient = self.columns_apart.call(self.jacobian, (x, *self.data), r)  # pyright: ignore
            # one in a lower precision than the residuals is welcome
            J = by.restricted(self.M, x, ambient, r).to(r.dtype)
            return by.by_columns(J) if r.dim() > 1 else J
        if way == "finite":
            return by.differences(self.M, x, lambda y: self.residuals(y, *self.data))
        leaf, attached = trial.context
        return (by.columns if way == "forward" else by.rows)(self.M, x, leaf, attached)

    def total(self, r: torch.Tensor) -> torch.Tensor:
        """Return the cost of residuals, shape `(*batch,)`."""
        return total(r, self.weights, self.loss)

    def corrected(self, r: torch.Tensor, J: torch.Tensor) -> Linearization:
        """Return residuals and Jacobian such that $J' r$ is the gradient and $J' J$ the Gauss-Newton matrix."""
        return Linearization(*corrected(r, J, self.weights, self.loss))

    def _way_for(self, trial: ResidualTrial) -> str:
        """Decide how the Jacobian is found: by columns unless there are fewer residuals than coordinates."""
        if self.way != "auto":
            return self.way
        attached = trial.context[1]
        if not attached.requires_grad:
            return "finite"
        return "forward" if self.M.dim <= attached.shape[-1] else "reverse"

    # ---- the batch ---------------------------------------------------------------------------------------------------
    def take(self, indices: torch.Tensor, batch_axes: int) -> "LeastSquaresProblem":
        """Return the sub-batch of problems with these flat indices; it counts into the same counters."""
        return self._part(lambda d: d.flatten(0, batch_axes - 1)[indices])

    def spread(self, count: int, batch_axes: int) -> "LeastSquaresProblem":
        """Return the problem for `count` points of each of its members, on an axis after the batch axes."""
        return self._part(lambda d: d.unsqueeze(batch_axes).expand(*d.shape[:batch_axes], count, *d.shape[batch_axes:]))

    def piece(self, start: int, stop: int, batch_axes: int) -> "LeastSquaresProblem":
        """Return a run of neighbouring problems, in flat order, without copying their data; the first piece counts."""
        part = self._part(lambda d: d.flatten(0, batch_axes - 1)[start:stop])
        if start:
            part.counts = copy.copy(self.counts)
        return part

    def _part(self, fn: Callable[[torch.Tensor], torch.Tensor]) -> "LeastSquaresProblem":
        part = copy.copy(self)
        part.data = tuple(fn(d) for d in self.data)
        if part.weights is not None and part.weights.dim() > 1:
            part.weights = fn(part.weights)
        if getattr(self.cost, "__func__", None) is LeastSquaresProblem.cost_of:
            part.cost = part.cost_of  # bound to the part, whose weights are others
        return part


def gradient_coordinates(at: Linearization) -> torch.Tensor:
    """Return $J' r$, the gradient in the basis of the tangent space, shape `(*batch, n)`."""
    return (at.residuals.unsqueeze(-2) @ at.jacobian).squeeze(-2)


def get_residuals(p: Any, x: Any) -> torch.Tensor:
    """Return the residuals of problem `p` at `x`, shape `(*batch, m)`, without weights and loss.

    Raises:
        MissingDerivativeError: if the problem is no least-squares problem.
        ShapeError: if point or residuals have the wrong shape.
    """
    batch = p.M.batch_shape(x)
    if "residuals" not in p.provides:
        p.missing("residuals", "LeastSquaresProblem")
    p.counts.residuals += 1
    r = p.residuals(x, *p.data)
    check_residuals(r, batch, first_leaf(x).real.dtype, p.weights, p.loss)
    return r


def get_jacobian(p: Any, x: Any) -> torch.Tensor:
    """Return the Jacobian of the residuals of problem `p` at `x` in the basis `M.basis(x)`, shape `(*batch, m, n)`.

    Raises:
        MissingDerivativeError: if the problem is no least-squares problem.
        ShapeError: if point, residuals or Jacobian have the wrong shape.
    """
    batch = p.M.batch_shape(x)
    if "jacobian" not in p.provides:
        p.missing("Jacobian", "LeastSquaresProblem")
    return p.jacobian_from(x, p.residual_trial(x, batch))
