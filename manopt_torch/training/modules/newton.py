"""Newton's directions, with the Hessian written out in a basis of the tangent space."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import check_range
from manopt_torch.training.modules.differences import coordinates, direction, unit
from manopt_torch.training.modules.newton_equation import check_solver, solved

# Hessian products made together: more would gain little, and each needs memory like the cost's
_AT_A_TIME = 64


@dataclass(eq=False, repr=False)
class ExactNewton(DirectionRule):
    r"""Newton's direction, $(H + \lambda I)\,d = u$, with the Hessian $H$ from automatic differentiation.

    $H$ is written out in an orthonormal basis of the tangent space, a Hessian product for each vector: for up to a
    thousand parameters. $\lambda$ is the regularisation of Levenberg and Marquardt. Where the solver fails the fallback
    is taken; a direction that is not finite becomes $u$ times `gd_lr`, normalised.

    Args:
        tikhonov: $\lambda \ge 0$.
        solver: "cholesky" (positive definite Hessians), "lu" (any that is regular: it may lead to a saddle),
            "cholesky_lu" (one, else the other) or "lstsq" (of least norm).
        fallback: "lstsq", "safe_diag" (by the diagonal's absolute values) or "gd".
        validate: whether the cost after the step may not exceed $f + \tau \lvert f\rvert$; else "gd" is taken.
        tol: $\tau$.
        gd_lr: length of the direction "gd".
        batched_hessian: whether `torch.func.vmap` makes the products, many at a time and several times as fast. False
            makes one after the other, for costs that `vmap` cannot take; a Hessian that is given is always asked so.
        diag: whether to take the diagonal of $H$ alone.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range, or the cost is none for `vmap`.
        MissingDerivativeError: if the problem has no Hessian.

    References:
        [Boumal:2023], section 6.2.

    Examples:
        >>> import torch
        >>> from manopt_torch.training import ModularOptimizer
        >>> x = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        >>> def closure(backward=True):
        ...     loss = x[0] ** 2 + 5 * x[1] ** 2
        ...     if backward:
        ...         optimizer.zero_grad()
        ...         loss.backward()
        ...     return loss
        >>> optimizer = ModularOptimizer([x], [ExactNewton()])
        >>> optimizer.step(closure), x.data
        (tensor(6.), tensor([0., 0.]))
    """

    needs: ClassVar[tuple[str, ...]] = ("hessian",)

    tikhonov: float = 0.0
    solver: str = "cholesky_lu"
    fallback: str = "lstsq"
    validate: bool = False
    tol: float = 1.0
    gd_lr: float = 1e-2
    batched_hessian: bool = True
    diag: bool = False
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_solver(self)

    def __call__(self, p: Any, o: Any, i: int, u: Any = None) -> Any:
        """Linearise before the gradient is asked for, which then costs nothing."""
        at = p.linearize(o.x)
        if self.inner is not None:
            u = self.inner(p, o, i, u)
        return self._newton(p, o, at, o.gradient if u is None else u)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Solve Newton's equation."""
        return self._newton(p, o, p.linearize(o.x), u)

    def _newton(self, p: Any, o: Any, at: Any, u: Any) -> Any:
        M, x = p.M, o.x

        def column(c: torch.Tensor) -> torch.Tensor:
            e = direction(p, x, c.expand(*o.lane.shape, M.dim))
            return M.to_coordinates(x, p.hessian_from(x, at, e))

        if self.batched_hessian and at.graph is not None:
            H = _columns(p, x, column)
        else:
            H = torch.stack([column(unit(x, M.dim, j)) for j in range(M.dim)], -1)
        return solved(self, p, o, H, u)


@dataclass(eq=False, repr=False)
class NewtonFDM(DirectionRule):
    r"""Newton's direction from values alone.

    $H_{jj} = (f_{+} - 2f + f_{-}) / h^2$ and $H_{jk} = (f_{++} - f_{+-} - f_{-+} + f_{--}) / 4h^2$ along an orthonormal
    basis, each pair once: $2n^2 + 1$ evaluations (19 for $n = 3$). First in a chain it takes $u_j = (f_+ - f_-) / 2h$
    from the same values, and needs no gradient. Inside a `Subspace` it makes sense for any number of parameters.

    Args:
        eps: $h$.
        diag: whether to take the diagonal alone, in $2n + 1$ evaluations.
        solver: see `ExactNewton`, as for the following.
        fallback: what to do where the solver fails.
        validate: whether to check the cost after the step.
        tol: by how much it may grow.
        gd_lr: length of the direction "gd".
        tikhonov: $\lambda$.
        inner: rule whose direction $u$ is.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [GowerEtAl:2019], for random subspaces.

    Examples:
        >>> NewtonFDM(1e-3).solver
        'cholesky_lu'
    """

    gradient_free: ClassVar[bool] = True

    eps: float = 1e-2
    diag: bool = False
    solver: str = "cholesky_lu"
    fallback: str = "safe_diag"
    validate: bool = False
    tol: float = 1.0
    gd_lr: float = 1e-2
    tikhonov: float = 0.0
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "eps", 0.0, math.inf)
        check_solver(self)

    def __call__(self, p: Any, o: Any, i: int, u: Any = None) -> Any:
        """Take the gradient from the same values where there is no direction yet."""
        if self.inner is not None:
            u = self.inner(p, o, i, u)
        H, c = self._differences(p, o)
        return solved(self, p, o, H, p.M.from_coordinates(o.x, c) if u is None else u)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Solve Newton's equation."""
        return solved(self, p, o, self._differences(p, o)[0], u)

    def _differences(self, p: Any, o: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Hessian and gradient in coordinates."""
        x, n, h = o.x, p.M.dim, self.eps
        cost = o.cost

        def at(*signed: tuple[int, float]) -> torch.Tensor:
            steps = [unit(x, n, j) * (sign * h) for j, sign in signed]
            return p.get_cost(p.M.retract(x, direction(p, x, sum(steps[1:], steps[0]))))

        plus, minus = ([at((j, sign)) for j in range(n)] for sign in (1.0, -1.0))
        g = [(a - b) / (2 * h) for a, b in zip(plus, minus, strict=True)]
        zero = torch.zeros_like(cost)
        H = [[zero] * n for _ in range(n)]
        for j in range(n):
            H[j][j] = (plus[j] - 2 * cost + minus[j]) / h**2
            for k in range(0 if self.diag else j):
                corners = [a * b * at((j, a), (k, b)) for a in (1.0, -1.0) for b in (1.0, -1.0)]
                H[j][k] = H[k][j] = sum(corners[1:], corners[0]) / (4 * h**2)
        return torch.stack([coordinates(x, row) for row in H], -2), coordinates(x, g)


@dataclass(eq=False, repr=False)
class NewtonGradFDM(DirectionRule):
    r"""Divide by a diagonal for the Hessian, a secant along the direction from one more gradient.

    $D_j = (\nabla f(x + h u) - \nabla f(x))_j / h u_j$, and $d_j = u_j / D_j$; where $\lvert D_j\rvert$ is below
    `least`, or not finite, $d_j = u_j$. For costs in which each parameter stands for itself, nearly. A search, or
    `ZeroOnLossIncrease`, is to follow where curvatures may be negative.

    Args:
        eps: $h$.
        least: least $\lvert D_j\rvert$ to divide by.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range; at the start, on a curved manifold.

    Examples:
        >>> NewtonGradFDM().eps
        0.001
    """

    geometry: ClassVar[str] = "euclidean"

    eps: float = 1e-3
    least: float = 1e-6
    inner: DirectionRule | None = None

    def __post_init__(self) -> None:
        """Check the parameters."""
        check_range(self, "eps", 0.0, math.inf)
        check_range(self, "least", 0.0, math.inf)

    def change(self, p: Any, o: Any, i: int, u: Any) -> Any:
        """Compare the gradients, and divide."""
        here, h = o.gradient, self.eps
        there = p.get_cost_and_gradient(map_leaves(lambda leaf, a: torch.add(leaf, a, alpha=h), o.x, u))[1]
        D = map_leaves(lambda b, g, a: (b - g) / (h * a), there, here, u)
        return map_leaves(lambda a, d: torch.where((d.abs() >= self.least) & (d.abs() < math.inf), a / d, a), u, D)


def _columns(p: Any, x: Any, column: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Return the columns of the Hessian that belong to the basis, many at a time."""
    ref, before = first_leaf(x), p.counts.hessian
    basis = torch.eye(p.M.dim, dtype=ref.real.dtype, device=ref.device)
    try:
        H = torch.func.vmap(column, out_dims=-1, chunk_size=_AT_A_TIME)(basis)
    except RuntimeError as error:
        if "memory" in str(error):
            raise
        raise OptionsError(
            "the Hessian of this cost is none for torch.func.vmap, see the error above: ExactNewton("
            "batched_hessian=False) takes one product after the other"
        ) from error
    p.counts.hessian = before + p.M.dim
    return H
