"""Problems with constraints: inequalities and equations besides the manifold."""

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf, map_leaves, map_shaped, new_axis
from manopt_torch.problems.autodiff import backward, grad_mode, tracked
from manopt_torch.problems.base import Problem
from manopt_torch.problems.gradient import SmoothProblem
from manopt_torch.problems.hessian import HessianProblem
from manopt_torch.problems.residual_jacobian import products, rows


class ConstrainedValues(NamedTuple):
    """What a constrained problem is worth at a point; without graphs but for the context."""

    cost: torch.Tensor  # shape (*batch,)
    inequality: torch.Tensor  # shape (*batch, m)
    equality: torch.Tensor  # shape (*batch, k)
    context: Any  # the tracked point and the three with their graphs


class ConstrainedProblem(SmoothProblem):
    r"""Minimise a differentiable $f(x)$ over $x \in \mathcal M$ subject to $g(x) \le 0$ and $h(x) = 0$.

    All derivatives come from autograd. Where the set of all feasible points is a manifold of the library, or has a
    projection (`projected_gradient`), that is the simpler way.

    Args:
        M: the manifold.
        cost: `cost(x, *data)`, returns shape `(*batch,)`.
        inequality: `inequality(x, *data)`, the $m$ values $g(x)$, shape `(*batch, m)`; None if there are none.
        equality: `equality(x, *data)`, the $k$ values $h(x)$, shape `(*batch, k)`; None if there are none.
        data: tensors with the batch axes in front, handed to the callables after the point.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or there is no constraint.

    References:
        [Boumal:2023]; [LiuBoumal:2020].

    Examples:
        >>> import torch
        >>> from manopt_torch import ConstrainedProblem, Sphere
        >>> p = ConstrainedProblem(Sphere(3), lambda x: x[..., 2], inequality=lambda x: -x)
        >>> p.evaluate(torch.tensor([0.6, -0.8, 0.0])).inequality
        tensor([-0.6000,  0.8000, -0.0000])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "gradient", "subgradient", "constraints"})

    gradient = None
    euclidean_gradient = None

    def __init__(
        self,
        M: Manifold,
        cost: Callable[..., Any],
        inequality: Callable[..., Any] | None = None,
        equality: Callable[..., Any] | None = None,
        *,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        if inequality is None and equality is None:
            raise OptionsError("ConstrainedProblem: give inequality=, equality= or both; else use GradientProblem")
        self.inequality: Any = self._callable("inequality", inequality, vectorized)
        self.equality: Any = self._callable("equality", equality, vectorized)

    def constraints(self, x: Any, data: tuple[Any, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return $g$ and $h$ at `x`; of shape `(*batch, 0)` where there are none."""
        none = torch.zeros((*self.M.batch_shape(x), 0), dtype=first_leaf(x).real.dtype, device=first_leaf(x).device)
        g = none if self.inequality is None else self.inequality(x, *data)
        h = none if self.equality is None else self.equality(x, *data)
        return g, h

    def evaluate(self, x: Any) -> ConstrainedValues:
        """Evaluate cost and constraints, and keep the graph for derivatives."""
        self.counts.cost += 1
        with grad_mode(True):
            leaf = tracked(x)
            value = self.cost(leaf, *self.data)
            g, h = self.constraints(leaf, self.data)
        batch = self.M.batch_shape(x)
        self.check_cost(value, batch)
        for name, part in (("inequality", g), ("equality", h)):
            check_constraint(name, part, batch)
        return ConstrainedValues(value.detach(), g.detach(), h.detach(), (leaf, value, g, h))

    def gradients_from(
        self,
        x: Any,
        at: ConstrainedValues,
        mu: torch.Tensor,  # shape: (*batch, m)
        lam: torch.Tensor,  # shape: (*batch, k)
    ) -> tuple[Any, Any]:
        r"""Return the Riemannian gradients of $f$ and of the Lagrangian $f + \mu' g + \lambda' h$ at `x`."""
        self.counts.gradient += 1
        leaf, value, g, h = at.context
        with grad_mode(True):
            lagrangian = lagrangian_of(value, g, h, mu, lam)
        first = self.M.egrad2rgrad(x, backward(value, leaf, keep_graph=True))
        return first, self.M.egrad2rgrad(x, backward(lagrangian, leaf))


def lagrangian_of(
    value: torch.Tensor,  # shape: (*batch,)
    g: torch.Tensor,  # shape: (*batch, m)
    h: torch.Tensor,  # shape: (*batch, k)
    mu: torch.Tensor,  # shape: (*batch, m)
    lam: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    """Return the Lagrangian, shape `(*batch,)`."""
    return value + (mu * g).sum(-1) + (lam * h).sum(-1)


def violation_of(
    g: torch.Tensor,  # shape: (*batch, m)
    h: torch.Tensor,  # shape: (*batch, k)
) -> torch.Tensor:
    r"""Return $\max(g_i^+, \lvert h_j\rvert)$, by how much the worst constraint is violated, shape `(*batch,)`."""
    return largest(g.clamp(min=0), h.abs())


def largest(*parts: torch.Tensor) -> torch.Tensor:
    """Return the largest of numbers that are not negative, over the last axes; 0 if there are none."""
    return torch.nn.functional.pad(torch.cat(parts, -1), (0, 1)).amax(-1)


def kkt_residual(
    M: Manifold,
    x: Any,
    gradient: Any,
    at: ConstrainedValues,
    mu: torch.Tensor,  # shape: (*batch, m)
) -> torch.Tensor:
    r"""Return how far a point with its multipliers is from a Karush-Kuhn-Tucker point, shape `(*batch,)`.

    The root of $\lVert\operatorname{grad}\mathcal L\rVert^2 + \sum_i (\mu_i^-)^2 + (g_i^+)^2 + (\mu_i g_i)^2 +
    \sum_j h_j^2$.

    Args:
        M: the manifold.
        x: the point.
        gradient: the gradient of the Lagrangian there.
        at: the constraints there.
        mu: the multipliers of the inequalities.
    """
    g = at.inequality
    parts = mu.clamp(max=0).square() + g.clamp(min=0).square() + (mu * g).square()
    return (M.inner(x, gradient, gradient) + parts.sum(-1) + at.equality.square().sum(-1)).sqrt()


class SecondOrder(NamedTuple):
    """Derivatives of a Lagrangian and the constraints, in the basis of the tangent space with n vectors."""

    hessian: torch.Tensor  # of the Lagrangian, shape (*batch, n, n)
    gradient: torch.Tensor  # of the Lagrangian, shape (*batch, n)
    G: torch.Tensor  # Jacobian of the inequalities, shape (*batch, m, n)
    H: torch.Tensor  # Jacobian of the equations, shape (*batch, k, n)
    g: torch.Tensor  # shape (*batch, m)
    h: torch.Tensor  # shape (*batch, k)


def second_order(
    p: ConstrainedProblem,
    x: Any,
    mu: torch.Tensor,  # shape: (*batch, m)
    lam: torch.Tensor,  # shape: (*batch, k)
) -> SecondOrder:
    """Evaluate the first and second derivatives that Newton's method for the KKT conditions needs."""
    M, batch = p.M, len(p.M.batch_shape(x))
    values = p.evaluate(x)
    leaf, value, g, h = values.context

    def jacobian(part: torch.Tensor) -> torch.Tensor:
        return rows(M, x, leaf, part) if part.shape[-1] else part.new_zeros((*part.shape, M.dim))

    with grad_mode(True):
        context = leaf, lagrangian_of(value, g, h, mu, lam)
    G, H = jacobian(g).detach(), jacobian(h).detach()
    lagrangian = HessianProblem(M, p.cost, data=p.data)
    lagrangian.counts = p.counts
    at, basis = lagrangian.linearize(x, context), M.basis(x)
    columns = [
        lagrangian.hessian_from(x, at, map_shaped(lambda ndim, b, j=j: b.select(-1 - ndim, j), M.point_shape, basis))
        for j in range(M.dim)
    ]
    stacked = map_leaves(lambda *parts: torch.stack(parts, batch), *columns)
    matrix = M.to_coordinates(new_axis(x, M.point_shape), stacked)
    gradient = M.to_coordinates(x, at.gradient)
    return SecondOrder(0.5 * (matrix + matrix.mT), gradient, G, H, values.inequality, values.equality)


class SecondOrderProducts(NamedTuple):
    """The same by their products with vectors; the graphs of the point are retained."""

    hessian: Callable[[Any], Any]  # of the Lagrangian, takes and returns tangent vectors
    gradient: Any  # of the Lagrangian
    jacobian: Callable[[Any], tuple[torch.Tensor, torch.Tensor]]  # of g and of h along a tangent vector
    adjoint: Callable[[torch.Tensor, torch.Tensor], Any]  # the transposed ones, to an array
    tangent: Callable[[Any], Any]  # from such an array to a tangent vector, as for gradients
    g: torch.Tensor  # shape (*batch, m)
    h: torch.Tensor  # shape (*batch, k)


def second_order_products(
    p: ConstrainedProblem,
    x: Any,
    mu: torch.Tensor,  # shape: (*batch, m)
    lam: torch.Tensor,  # shape: (*batch, k)
) -> SecondOrderProducts:
    """Evaluate a point so that products with second derivatives follow, in the time and memory of a few gradients."""
    M, values = p.M, p.evaluate(x)
    leaf, value, g, h = values.context
    with grad_mode(True):
        context, both = (leaf, lagrangian_of(value, g, h, mu, lam)), torch.cat([g, h], -1)
    lagrangian = HessianProblem(M, p.cost, data=p.data)
    lagrangian.counts = p.counts
    at, forward, sizes = lagrangian.linearize(x, context), products(leaf, both), (g.shape[-1], h.shape[-1])

    def jacobian(u: Any) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = forward(u).split(sizes, -1)
        return first, second

    def adjoint(a: torch.Tensor, b: torch.Tensor) -> Any:
        return backward(both, leaf, torch.cat([a, b], -1), keep_graph=True)

    def tangent(z: Any) -> Any:
        return M.egrad2rgrad(x, z)

    def hessian(u: Any) -> Any:
        return lagrangian.hessian_from(x, at, u)

    return SecondOrderProducts(hessian, at.gradient, jacobian, adjoint, tangent, values.inequality, values.equality)


def check_constraint(name: str, value: Any, batch: tuple[int, ...]) -> None:
    """Raise an error unless constraints are a tensor with one row of real numbers a problem.

    Raises:
        ShapeError: if they are no tensor, or of another shape.
        OptionsError: if the numbers are complex or integers.
    """
    got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
    if not isinstance(value, torch.Tensor) or got[:-1] != batch or value.dim() != len(batch) + 1:
        wanted = f"({', '.join(map(str, (*batch, 'm')))}{'' if batch else ','})"
        raise ShapeError(
            f"{name} must return a tensor of shape (*batch, m), here {wanted}, got {got}: one constraint needs an axis "
            "too, as in g.unsqueeze(-1)"
        )
    if not value.is_floating_point():
        raise OptionsError(
            f"{name} must return real floating-point numbers, got {value.dtype}: take its .real part, or convert it "
            "with .double()"
        )
