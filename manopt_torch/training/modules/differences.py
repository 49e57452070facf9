r"""Gradients from values alone: finite differences along a basis or along random directions, and smoothing.

In coordinates $c$ of the tangent space, $f$ is $c \mapsto f(\operatorname{retr}_x(\sum_j c_j e_j))$ with an orthonormal
basis, so that everything here serves any manifold. References: [Spall:1992], [NesterovSpokoiny:2017].
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from manopt_torch._host import uploaded
from manopt_torch.directions.draws import check_distribution, drawn, generator_for
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import first_leaf, map_leaves
from manopt_torch.plans.options import check_count, check_range
from manopt_torch.training.modules.base import GradientProvider

# formula and number of points -> weights of f(k h) by k, to be divided by h
FORMULAS = {
    ("forward", 2): {0: -1.0, 1: 1.0},
    ("forward", 3): {0: -1.5, 1: 2.0, 2: -0.5},
    ("backward", 2): {-1: -1.0, 0: 1.0},
    ("backward", 3): {-2: 0.5, -1: -2.0, 0: 1.5},
    ("central", 2): {-1: -0.5, 1: 0.5},
    ("central", 3): {-1: -0.5, 1: 0.5},
}


class FDM(GradientProvider):
    r"""Gradients by finite differences along an orthonormal basis $e_1, \dots, e_n$ of the tangent space.

    Forward: $g_j = (f(x + h e_j) - f(x)) / h$, with three points
    $(-3 f(x) + 4 f(x + h e_j) - f(x + 2 h e_j)) / 2h$; backward likewise on the other side; central:
    $(f(x + h e_j) - f(x - h e_j)) / 2h$. On a manifold `+` is the retraction. $n + 1$ evaluations ($2n + 1$ with three
    points, $2n$ central): for few parameters, where derivatives cannot be had.

    Args:
        eps: $h$. About the square root of the precision suits forward, the cube root central differences.
        formula: "forward", "backward" or "central".
        n_points: 2 or 3.
        make_closure: whether modules behind that evaluate several times in a step, such as `Wrap(torch.optim.LBFGS)`,
            find differences everywhere. False gives them to the start of the step alone: elsewhere the closure is asked
            for its gradient.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> import torch
        >>> from manopt_torch import Euclidean, get_gradient, CostProblem
        >>> p = FDM(eps=1e-3, formula="central").problem(CostProblem(Euclidean(2), lambda x: (x * x).sum(-1)))
        >>> get_gradient(p, torch.tensor([1.0, 2.0], dtype=torch.float64))
        tensor([2.0000, 4.0000], dtype=torch.float64)
    """

    def __init__(
        self, eps: float = 1e-5, formula: str = "forward", n_points: int = 2, make_closure: bool = True
    ) -> None:
        self.eps, self.formula, self.n_points, self.make_closure = eps, formula, n_points, make_closure
        check_range(self, "eps", 0.0, math.inf)
        check_formula(self)

    def estimated(self, p: Any, x: Any, turn: int) -> tuple[Any, Any]:
        """Differentiate along each basis vector."""
        dim, weights = p.M.dim, FORMULAS[self.formula, self.n_points]
        cost = p.get_cost(x) if 0 in weights else None
        rows = [slope(p, x, cost, direction(p, x, unit(x, dim, j)), self.eps, weights) for j in range(dim)]
        return cost, p.M.from_coordinates(x, coordinates(x, rows))


class RandomizedFDM(GradientProvider):
    r"""Gradients by finite differences along a few random directions $\xi$.

    $g = \tfrac1m \sum_\xi \xi\,(f(x + h\xi) - f(x - h\xi)) / 2h$, or the forward and backward analogues, with the
    coordinates of $\xi$ scaled to variance one, so that the mean over all $\xi$ is the gradient up to $O(h)$
    ($O(h^2)$ if central), in two evaluations a sample whatever the dimension. Central with "rademacher" is SPSA,
    forward with "normal" and many samples is Gaussian smoothing.

    Args:
        eps: $h$.
        formula: "forward", "backward" or "central".
        n_samples: $m$.
        distribution: of the coordinates: "normal", "uniform", "sphere", "rademacher", or a callable `(dim, generator)`.
        make_closure: whether gradients are estimated at all points of a step, as for `FDM`.
        randomize_every: for how many iterations the directions are kept.
        randomize_closure: whether each evaluation within a step has directions of its own, of which `randomize_every`
            then counts. False compares points of a step in the same directions.
        n_points: 2 or 3.
        seed: seed of the draws; a direction depends on seed, iteration and evaluation alone.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [Spall:1992]; [NesterovSpokoiny:2017].

    Examples:
        >>> RandomizedFDM(distribution="normal", n_samples=10).formula
        'central'
    """

    def __init__(
        self,
        eps: float = 1e-5,
        formula: str = "central",
        n_samples: int = 1,
        distribution: str | Callable[..., torch.Tensor] = "rademacher",
        make_closure: bool = True,
        randomize_every: int = 1,
        randomize_closure: bool = False,
        *,
        n_points: int = 2,
        seed: int = 0,
    ) -> None:
        self.eps, self.formula, self.n_samples, self.distribution = eps, formula, n_samples, distribution
        self.n_points, self.make_closure, self.randomize_every = n_points, make_closure, randomize_every
        self.randomize_closure, self.seed = randomize_closure, seed
        check_range(self, "eps", 0.0, math.inf)
        check_formula(self)
        check_draws(self)

    def estimated(self, p: Any, x: Any, turn: int) -> tuple[Any, Any]:
        """Differentiate along each sample, and add up."""
        weights = FORMULAS[self.formula, self.n_points]
        cost = p.get_cost(x) if 0 in weights else None
        total: Any = None
        for c in samples(self, p, x, turn):
            xi = direction(p, x, c)
            part = c * slope(p, x, cost, xi, self.eps, weights)[..., None]
            total = part if total is None else total + part
        return cost, p.M.from_coordinates(x, total / self.n_samples)


class ApproxGaussianSmoothing(GradientProvider):
    r"""Replace the cost by its mean over samples around the point, $\tfrac1m \sum_j f(\operatorname{retr}_x(\xi_j))$.

    The gradient is the mean of the gradients there, transported back, which on a curved manifold is exact to first
    order in $\sigma$. It irons out dents narrower than $\sigma$.

    Args:
        n_samples: $m$.
        sigma: $\sigma$, the standard deviation of the coordinates of $\xi_j$.
        distribution: of the coordinates, as for `RandomizedFDM`.
        sample_x0: whether the point itself is one of the samples.
        randomize_every: for how many iterations the samples are kept.
        seed: seed of the draws.

    Raises:
        OptionsError: if a parameter is out of its range.

    Examples:
        >>> ApproxGaussianSmoothing(sigma=0.5).n_samples
        4
    """

    def __init__(
        self,
        n_samples: int = 4,
        sigma: float = 0.1,
        distribution: str | Callable[..., torch.Tensor] = "normal",
        sample_x0: bool = False,
        randomize_every: int = 1,
        *,
        seed: int = 0,
    ) -> None:
        self.n_samples, self.sigma, self.distribution = n_samples, sigma, distribution
        self.sample_x0, self.randomize_every, self.seed = sample_x0, randomize_every, seed
        check_range(self, "sigma", 0.0, math.inf)
        check_draws(self)

    def estimated(self, p: Any, x: Any, turn: int) -> tuple[Any, Any]:
        """Average values and gradients."""
        M, found = p.M, [(*p.get_cost_and_gradient(y), y) for y in self._around(p, x, turn)]
        back = [g if y is x else M.transport(y, x, g) for _, g, y in found]
        mean = map_leaves(lambda *parts: sum(parts[1:], parts[0]) / len(parts), *back)
        return sum(value for value, *_ in found) / len(found), mean

    def value(self, p: Any, x: Any, turn: int) -> Any:
        """Average values."""
        found = [p.get_cost(y) for y in self._around(p, x, turn)]
        return sum(found[1:], found[0]) / len(found)

    def _around(self, p: Any, x: Any, turn: int) -> list[Any]:
        drawn = samples(self, p, x, turn)
        points = [p.M.retract(x, direction(p, x, c), self.sigma) for c in (drawn[1:] if self.sample_x0 else drawn)]
        return [x, *points] if self.sample_x0 else points


def slope(p: Any, x: Any, cost: Any, xi: Any, h: float, weights: dict[int, float]) -> torch.Tensor:
    """Return the directional derivative along `xi` by a difference formula, shape `(*batch,)`."""
    total: Any = 0.0
    for k, weight in weights.items():
        value = cost if k == 0 else p.get_cost(p.M.retract(x, xi, k * h))
        total = total + weight * value
    return total / h


def direction(p: Any, x: Any, c: torch.Tensor) -> Any:
    """Return the tangent vector with these coordinates."""
    return p.M.from_coordinates(x, c)


def unit(x: Any, dim: int, j: int) -> torch.Tensor:
    """Return the coordinates of the basis vector `j`."""
    ref = first_leaf(x)
    c = torch.zeros(dim, dtype=ref.real.dtype, device=ref.device)
    c[j] = 1.0
    return c


def coordinates(x: Any, rows: list[torch.Tensor]) -> torch.Tensor:
    """Stack coordinates, each of shape `(*batch,)`, in the precision of the point."""
    ref = first_leaf(x)
    return uploaded(torch.stack(rows, -1), ref, ref.real.dtype)


def samples(owner: Any, p: Any, x: Any, turn: int) -> list[torch.Tensor]:
    """Draw coordinates of variance one for iteration `turn`, `owner.n_samples` times."""
    ref, n = first_leaf(x), p.M.dim
    generator = generator_for(owner.seed, turn // owner.randomize_every)
    return [uploaded(drawn(owner.distribution, n, generator), ref, ref.real.dtype) for _ in range(owner.n_samples)]


def check_formula(owner: Any) -> None:
    """Raise an OptionsError unless formula and number of points are known."""
    if (owner.formula, owner.n_points) not in FORMULAS:
        raise OptionsError(
            f"{type(owner).__name__}: formula must be forward, backward or central with n_points 2 or 3, got "
            f"{owner.formula!r} with {owner.n_points!r}"
        )


def check_draws(owner: Any) -> None:
    """Raise an OptionsError unless what the draws depend on is in range."""
    for name, least in (("n_samples", 1), ("randomize_every", 1), ("seed", 0)):
        check_count(owner, name, least)
    check_distribution(owner)
