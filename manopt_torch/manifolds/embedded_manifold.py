"""Manifolds given by an equation."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.linalg.cholesky import cholesky_or_nan
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy
from manopt_torch.manifolds.validation import positive_sizes

# Gauss-Newton converges quadratically near the manifold: from a step inside its reach this is more than enough
_ROUNDS = 12
_ROUNDS_OF_A_DRAW = 40  # which starts anywhere


class EmbeddedManifold(Manifold):
    r"""The solutions of an equation $F(x) = 0$, with the inner product of the surrounding space.

    Nothing but $F$ is needed. With $J$ its Jacobian, of full rank, and $J^+ = J^\top (J J^\top)^{-1}$,

    - the tangent space is the null space of $J$, with projector $P z = z - J^+ J z$;
    - the retraction steps to $x + u$ and returns by Gauss-Newton, $y \leftarrow y - J^+ F(y)$; of second order;
    - $\operatorname{grad} f = P \nabla f$ and $\operatorname{Hess} f[u] = P(\nabla^2 f[u] - \sum_i \lambda_i \nabla^2
      F_i[u])$ with the multipliers $\lambda = (J J^\top)^{-1} J \nabla f$; the second derivatives of $F$ (the
      Weingarten map) come from autograd.

    There is no exponential map and no logarithm; solvers move by the retraction. Where Gauss-Newton does not return
    to the manifold, the point is NaN, which a line search takes as a rejection.

    Args:
        constraint: $F$, from points `(*batch, *shape)` to `(*batch, m)`, in torch operations, problem by problem.
        shape: shape of a point.
        codimension: the number $m$ of equations. None counts them in what `constraint` makes of two points of ones, in
            the default precision or in float64, on the CPU: give it where constants are on another device.

    Shapes:
        points: `(*batch, *shape)`.

    Raises:
        OptionsError: if `constraint` is not callable or cannot take ones, or a size is no integer of at least 1.
        ShapeError: if `constraint` does not return `(*batch, m)` with $m$ less than the number of entries.

    References:
        [Boumal:2023], sections 3.2, 5.11 and 7.7.

    Examples:
        >>> ellipse = EmbeddedManifold(lambda x: (x * x * torch.tensor([1.0, 4.0])).sum(-1, keepdim=True) - 1, (2,))
        >>> x = torch.tensor([1.0, 0.0])
        >>> ellipse.project_tangent(x, torch.tensor([3.0, 5.0]))
        tensor([0., 5.])
        >>> bool(ellipse.off_manifold(ellipse.retract(x, torch.tensor([0.0, 0.2]))) < 1e-6)
        True
    """

    is_embedded = True
    retractions: Mapping[str, str] = {"gauss_newton": "retract_gauss_newton"}
    inverse_retractions: Mapping[str, str] = {}

    def __init__(
        self,
        constraint: Callable[[torch.Tensor], torch.Tensor],
        shape: tuple[int, ...],
        codimension: int | None = None,
    ) -> None:
        if not callable(constraint):
            raise OptionsError(f"EmbeddedManifold: constraint must be callable, got {constraint!r}")
        if not isinstance(shape, (tuple, list)):
            raise OptionsError(f"EmbeddedManifold: shape must be a tuple of ints such as (3,), got {shape!r}")
        positive_sizes("EmbeddedManifold", tuple(shape))
        self.constraint = constraint
        self.point_shape = tuple(shape)
        size = math.prod(shape)
        self.codimension: int = (
            _number_of_equations(constraint, self.point_shape) if codimension is None else codimension
        )
        if not isinstance(self.codimension, int) or not 0 < self.codimension < size:
            raise OptionsError(f"EmbeddedManifold: codimension={codimension!r} is no integer from 1 to {size - 1}")
        self.dim = size - self.codimension
        self.typical_dist = math.sqrt(self.dim)
        self._ndim = len(shape)
        self._axes = tuple(range(-self._ndim, 0))

    def inner(self, x: torch.Tensor, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return (u * v).sum(self._axes)

    def norm(self, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(u, dim=self._axes)

    def project_point(self, z: torch.Tensor) -> torch.Tensor:
        """Return to the manifold by Gauss-Newton; NaN where that fails."""
        return self._returned(z, _ROUNDS)

    def project_tangent(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        _, jacobian = self._linearize(x)
        return self._project(jacobian, z)

    def egrad2rgrad(self, x: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
        return self.project_tangent(x, g)

    def ehess2rhess(self, x: torch.Tensor, g: torch.Tensor, h: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        _, jacobian = self._linearize(x)
        multipliers = _solve(jacobian, self._push_forward(jacobian, g))
        return self._project(jacobian, h - self._second_derivative(x, multipliers, u))

    def retract_gauss_newton(self, x: torch.Tensor, u: torch.Tensor, t: Any = None) -> torch.Tensor:
        """Step straight and return to the manifold."""
        return self.project_point(axpy(x, u, t, self._ndim))

    retract_default = retract_gauss_newton

    def random_point(self, *batch: int, generator: Any = None, dtype: Any = None, device: Any = None) -> torch.Tensor:
        """Draw Gaussian arrays and bring them to the manifold; where that fails the point is NaN: draw again."""
        shape = (*batch, *self.point_shape)
        z = torch.randn(shape, generator=generator, dtype=dtype, device=device)
        return self._returned(z, _ROUNDS_OF_A_DRAW)

    def off_manifold(self, x: torch.Tensor) -> torch.Tensor:
        """Return the length of the Gauss-Newton step, the distance to first order; relative to `x` if that is long."""
        value, jacobian = self._linearize(x)
        step = self._pull_back(jacobian, _solve(jacobian, value))
        norm = torch.linalg.vector_norm
        return norm(step, dim=self._axes) / norm(x, dim=self._axes).clamp(min=1.0)

    def __repr__(self) -> str:
        name = getattr(self.constraint, "__name__", type(self.constraint).__name__)
        return f"EmbeddedManifold({name}, {self.point_shape})"

    def _returned(self, y: torch.Tensor, rounds: int) -> torch.Tensor:
        for _ in range(rounds):
            value, jacobian = self._linearize(y)
            y = y - self._pull_back(jacobian, _solve(jacobian, value))
        arrived = self.off_manifold(y) <= self.tolerance(y.dtype)
        return torch.where(arrived[(...,) + (None,) * self._ndim], y, math.nan)

    def _linearize(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return F(x), shape (*batch, m), and its Jacobian, shape (*batch, m, entries)."""
        value, pull = torch.func.vjp(self.constraint, x)  # pyright: ignore[reportAssignmentType]
        unit = torch.eye(self.codimension, dtype=x.dtype, device=x.device)
        unit = unit.reshape(self.codimension, *(1,) * (value.dim() - 1), self.codimension)
        rows = torch.func.vmap(lambda c: pull(c)[0])(unit.expand(self.codimension, *value.shape))
        return value, rows.flatten(-self._ndim).movedim(0, -2)

    def _second_derivative(self, x: torch.Tensor, multipliers: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Return the sum over i of multiplier i times the Hessian of F_i applied to u."""
        x, u = torch.broadcast_tensors(x, u)

        def combined_gradient(y: torch.Tensor) -> torch.Tensor:
            value, pull = torch.func.vjp(self.constraint, y)  # pyright: ignore[reportAssignmentType]
            return pull(multipliers.expand(value.shape))[0]

        # a Hessian is symmetric, so pulling back is applying it
        return torch.func.vjp(combined_gradient, x)[1](u)[0]

    def _project(self, jacobian: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return z - self._pull_back(jacobian, _solve(jacobian, self._push_forward(jacobian, z)))

    def _push_forward(self, jacobian: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return (jacobian @ u.flatten(-self._ndim)[..., None])[..., 0]

    def _pull_back(self, jacobian: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        flat = (jacobian.mT @ w[..., None])[..., 0]
        return flat.reshape(*flat.shape[:-1], *self.point_shape)


def _number_of_equations(constraint: Callable[..., Any], shape: tuple[int, ...]) -> int:
    """Return the length of what the constraint makes of a point of ones."""
    value = _at_ones(constraint, shape)
    got, size = tuple(value.shape) if isinstance(value, torch.Tensor) else (), math.prod(shape)
    if len(got) != 2 or got[0] != 2 or not 0 < got[1] < size:
        raise ShapeError(
            f"EmbeddedManifold: constraint must map (2, {', '.join(map(str, shape))}) to (2, m) with 0 < m < {size}, "
            f"got {got or type(value).__name__}: keep the batch axes and stack the equations on the last axis"
        )
    return got[1]


def _at_ones(constraint: Callable[..., Any], shape: tuple[int, ...]) -> Any:
    try:
        return constraint(torch.ones(2, *shape))
    except RuntimeError:  # its constants may be of another precision
        try:
            return constraint(torch.ones(2, *shape, dtype=torch.float64))
        except RuntimeError as error:
            raise OptionsError(
                f"EmbeddedManifold: constraint cannot take two points of ones, torch.ones{(2, *shape)}: {error}; if "
                "only their dtype or device is wrong, give the number of equations as codimension="
            ) from error


def _solve(
    jacobian: torch.Tensor,  # shape: (*batch, m, entries)
    w: torch.Tensor,  # shape: (*batch, m)
) -> torch.Tensor:
    """Return (J J')^{-1} w; NaN where J has not full rank."""
    return torch.cholesky_solve(w[..., None], cholesky_or_nan(jacobian @ jacobian.mT))[..., 0]
