"""Newton's directions, with the Hessian written out in a basis of the tangent space."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch.directions.base import DirectionRule
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range
from manopt_torch.training.modules.differences import coordinates, direction, unit

SOLVERS = ("cholesky", "lu", "cholesky_lu", "lstsq")
FALLBACKS = ("lstsq", "safe_diag", "gd")


@dataclass(eq=False, repr=False)
class ExactNewton(DirectionRule):
    r"""Newton's direction, $(H + \lambda I)\,d = u$, with the Hessian $H$ from automatic differentiation.

    $H$ is written out in an orthonormal basis of the tangent space, a Hessian product for each vector: for up to a few
    hundred parameters. $\lambda$ is the regularisation of Levenberg and Marquardt. Where the solver fails the fallback
    is taken; a direction that is not finite becomes $u$ times `gd_lr`, normalised.

    Args:
        tikhonov: $\lambda \ge 0$.
        solver: "cholesky" (positive definite Hessians), "lu" (any that is regular: it may lead to a saddle),
            "cholesky_lu" (one, else the other) or "lstsq" (of least norm).
        fallback: "lstsq", "safe_diag" (by the diagonal's absolute values) or "gd".
        validate: whether the cost after the step may not exceed $f + \tau \lvert f\rvert$; else "gd" is taken.
        tol: $\tau$.
        gd_lr: length of the direction "gd".
        diag: whether to take the diagonal of $H$ alone.
        inner: rule whose direction $u$ is; None is the gradient.

    Raises:
        OptionsError: if a parameter is out of its range.
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
        vectors = (direction(p, x, unit(x, M.dim, j).expand(*o.lane.shape, M.dim)) for j in range(M.dim))
        H = torch.stack([M.to_coordinates(x, p.hessian_from(x, at, e)) for e in vectors], -1)
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
    r"""Divide by the row sums of the Hessian, found from one more gradient.

    $D = (\nabla f(x + h\mathbf 1) - \nabla f(x)) / h$ with the vector of ones, and $d_j = u_j / \lvert D_j\rvert$;
    where $\lvert D_j\rvert$ is below `least`, or not finite, $d_j = u_j$. For costs in which each parameter stands
    for itself, nearly.

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
        here = o.gradient
        there = p.get_cost_and_gradient(map_leaves(lambda leaf: leaf + self.eps, o.x))[1]
        D = map_leaves(lambda a, b: ((a - b) / self.eps).abs(), there, here)
        return map_leaves(lambda a, d: torch.where((d >= self.least) & (d < math.inf), a / d, a), u, D)


def solved(rule: Any, p: Any, o: Any, H: torch.Tensor, u: Any) -> Any:
    """Return the solution of `(H + tikhonov I) d = u`, by the fallbacks of the rule where that is none."""
    M, lane = p.M, o.lane
    c = M.to_coordinates(o.x, u)
    H = (H + H.mT) / 2
    if rule.tikhonov:
        H = H + rule.tikhonov * torch.eye(M.dim, dtype=H.dtype, device=H.device)
    if rule.diag:
        d = c / H.diagonal(dim1=-2, dim2=-1)
        ok = torch.isfinite(d).all(-1)
    else:
        d, ok = _by_factors(rule.solver, H, c)
    if lane.any(lane.not_(_mask(lane, ok))):
        d = torch.where(ok[..., None], d, _fallback(rule, H, c))
    d = torch.where(torch.isfinite(d).all(-1, keepdim=True), d, _descent(rule, c))
    step = M.from_coordinates(o.x, d)
    if not rule.validate:
        return step
    cost = lane.scalar(o.cost)
    after = lane.trial_cost(p.get_cost(M.retract(o.x, map_leaves(torch.neg, step))))
    fine = after - cost <= rule.tol * abs(cost)
    return lane.pick(fine, step, M.from_coordinates(o.x, _descent(rule, c)))


def _by_factors(solver: str, H: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve by factorisations, and tell for which problems it went well."""
    if solver == "lstsq":
        d = _least_squares(H, c)
        return d, torch.isfinite(d).all(-1)
    d, ok = torch.zeros_like(c), torch.zeros(c.shape[:-1], dtype=torch.bool, device=c.device)
    if solver != "lu":
        L, info = torch.linalg.cholesky_ex(H)
        d = torch.cholesky_solve(c[..., None], L)[..., 0]
        ok = (info == 0) & torch.isfinite(d).all(-1)
    if solver != "cholesky":
        e, info = torch.linalg.solve_ex(H, c)
        d = torch.where(ok[..., None], d, e)
        ok = ok | ((info == 0) & torch.isfinite(d).all(-1))
    return d, ok


def _fallback(rule: Any, H: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    if rule.fallback == "gd":
        return _descent(rule, c)
    if rule.fallback == "lstsq" and not rule.diag:
        return _least_squares(H, c)
    size = H.diagonal(dim1=-2, dim2=-1).abs()
    least = torch.finfo(size.dtype).eps * size.amax(-1, keepdim=True)
    return torch.where(size > least, c / size, c)


def _least_squares(H: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Return the solution of least norm; zero where the matrix is not finite, which LAPACK does not take."""
    finite = torch.isfinite(H).all(-1).all(-1)[..., None, None]
    found = torch.linalg.pinv(torch.where(finite, H, 0.0), hermitian=True) @ c[..., None]
    return torch.where(finite, found, math.nan)[..., 0]


def _descent(rule: Any, c: torch.Tensor) -> torch.Tensor:
    length = torch.linalg.vector_norm(c, dim=-1, keepdim=True)
    return torch.where(length > 0, c * (rule.gd_lr / length), torch.zeros_like(c))


def _mask(lane: Any, mask: torch.Tensor) -> Any:
    return bool(mask) if lane.lone else mask


def check_solver(rule: Any) -> None:
    """Raise an OptionsError unless what the solution depends on is in range."""
    check_range(rule, "tikhonov", 0.0, math.inf, open_low=False)
    check_range(rule, "tol", 0.0, math.inf, open_low=False)
    check_range(rule, "gd_lr", 0.0, math.inf)
    for name, known in (("solver", SOLVERS), ("fallback", FALLBACKS)):
        if getattr(rule, name) not in known:
            raise OptionsError(
                f"{type(rule).__name__}: {name} must be one of {', '.join(known)}, got {getattr(rule, name)!r}"
            )
