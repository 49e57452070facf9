r"""Steps of primal-dual methods for $F(x) + G(\Lambda(x))$: proximal steps, and the operator as seen from base points.

The problem `p` is asked for its manifolds `M` and `N`, for both proximal maps and for the operator; see
`PrimalDualProblem`. With $A^* \xi = D\Lambda(m)^*[P_{n \to \Lambda(m)} \xi]$ and an image $a(x) \in T_n\mathcal N$ of a
point, the optimality conditions are $0 \in \partial F(x) + P_{m \to x} A^* \xi$ and $0 \in \partial G_n^*(\xi) - a(x)$.
"""

from typing import Any, NamedTuple

import torch

from manopt_torch.manifolds.geodesics import carry, move, towards
from manopt_torch.manifolds.points import first_leaf, map_leaves


class Bases(NamedTuple):
    """The points at which the operator is linearised and dual variables live, and the dual variable."""

    m: Any
    n: Any
    image: Any  # the operator's value at m; None where n is that value
    offset: Any  # what leads from n to it; None likewise
    xi: Any

    def pull(self, p: Any, xi: Any) -> Any:
        r"""Return $A^* \xi$, a tangent vector at `m`."""
        if self.image is None:
            return p.get_adjoint_linearized_operator(self.m, self.n, xi)
        return p.get_adjoint_linearized_operator(self.m, self.image, carry(p.N, self.n, self.image, xi))

    def push(self, p: Any, u: Any) -> Any:
        r"""Return $P_{\Lambda(m) \to n}\,D\Lambda(m)[u]$, a tangent vector at `n`."""
        moved = p.get_linearized_forward_operator(self.m, u)
        return moved if self.image is None else carry(p.N, self.image, self.n, moved)

    def linearized_image(self, p: Any, x: Any) -> Any:
        r"""Return $a(x) = \log_n \Lambda(m) + P_{\Lambda(m) \to n}\,D\Lambda(m)[\log_m x]$."""
        moved = self.push(p, towards(p.M, self.m, x))
        return moved if self.offset is None else map_leaves(torch.add, self.offset, moved)

    def exact_image(self, p: Any, x: Any) -> Any:
        r"""Return $a(x) = \log_n \Lambda(x)$."""
        return towards(p.N, self.n, p.get_forward_operator(x))


class Lengths(NamedTuple):
    """What proximal steps depend on, numbers or one for each problem."""

    lane: Any
    tau: Any
    sigma: Any
    theta: Any = None  # relaxation
    method: str | None = None  # name of the retraction

    def dual_step(self, p: Any, b: Bases, image: Any) -> tuple[Any, Any]:
        r"""Return $z = \xi + \sigma\, a$ for an image $a$, and $\operatorname{prox}_{\sigma G_n^*}(z)$."""
        z = self.lane.axpy(b.xi, self.sigma, image)
        return z, p.get_dual_prox(b.n, _parameter(self.lane, z, self.sigma), z)

    def primal_step(self, p: Any, b: Bases, x: Any, pulled: Any) -> tuple[Any, Any]:
        r"""Return $q = \exp_x(-\tau P_{m \to x} A^* \xi)$ for a given $A^* \xi$, and the proximal map of $F$ there."""
        q = move(p.M, x, carry(p.M, b.m, x, pulled), -self.tau, self.method)
        return q, p.get_primal_prox(_parameter(self.lane, x, self.tau), q)

    def primal_residual(self, p: Any, b: Bases, q: Any, y: Any, pulled: Any) -> Any:
        r"""Return the length of $\tfrac1\tau \log_y q + P_{m \to y} A^* \xi$, with a subgradient of $F$ at `y`."""
        rest = self.lane.axpy(carry(p.M, b.m, y, pulled), self.lane.div(1.0, self.tau), towards(p.M, y, q))
        return self.lane.scalar(p.M.norm(y, rest))

    def dual_residual(self, p: Any, b: Bases, z: Any, xi: Any, image: Any) -> Any:
        r"""Return the length of $\tfrac1\sigma (z - \xi) - a$, with a subgradient of $G_n^*$ at the new $\xi$."""
        lane = self.lane
        rest = lane.axpy(map_leaves(torch.neg, image), lane.div(1.0, self.sigma), map_leaves(torch.sub, z, xi))
        return lane.scalar(p.N.norm(b.n, rest))


def primal_relaxed_step(p: Any, b: Bases, s: Lengths, image: Any, x: Any, x_bar: Any) -> dict[str, Any]:
    """Step in the dual variable from the relaxed point, then in the primal one, which is relaxed.

    Args:
        p: the problem.
        b: base points and dual variable.
        s: step sizes and relaxation.
        image: `image(p, x)`, the image of a point.
        x: the point.
        x_bar: the relaxed point.

    Returns:
        The new state by name.
    """
    z, xi = s.dual_step(p, b, image(p, x_bar))
    pulled = b.pull(p, xi)
    q, y = s.primal_step(p, b, x, pulled)
    return {
        "x": y,
        "dual": xi,
        "primal_bar": move(p.M, y, towards(p.M, y, x), -s.theta, s.method),
        "primal_residual": s.primal_residual(p, b, q, y, pulled),
        "dual_residual": s.dual_residual(p, b, z, xi, image(p, y)),
    }


def dual_relaxed_step(p: Any, b: Bases, s: Lengths, image: Any, x: Any, pulled: Any, pulled_bar: Any) -> dict[str, Any]:
    r"""Step in the primal variable with the relaxed dual one, then in the dual one, which is relaxed.

    The adjoint is linear: relaxed as the dual variable is, it need not be applied to that.

    Args:
        p: the problem.
        b: base points and dual variable.
        s: step sizes and relaxation.
        image: `image(p, x)`, the image of a point.
        x: the point.
        pulled: $A^*$ of the dual variable.
        pulled_bar: $A^*$ of the relaxed one.

    Returns:
        The new state by name.
    """
    q, y = s.primal_step(p, b, x, pulled_bar)
    at = image(p, y)
    z, xi = s.dual_step(p, b, at)
    new = b.pull(p, xi)
    return {
        "x": y,
        "dual": xi,
        "dual_bar": s.lane.axpy(xi, s.theta, map_leaves(torch.sub, xi, b.xi)),
        "pulled": new,
        "pulled_bar": s.lane.axpy(new, s.theta, map_leaves(torch.sub, new, pulled)),
        "primal_residual": s.primal_residual(p, b, q, y, new),
        "dual_residual": s.dual_residual(p, b, z, xi, at),
    }


def fixed_point_residual(p: Any, b: Bases, s: Lengths, x: Any) -> dict[str, Any]:
    """Return where both proximal maps lead from a point and a dual variable, and how far, in units of the steps.

    A saddle point is where they lead nowhere; images are linearised.

    Args:
        p: the problem.
        b: base points and dual variable.
        s: step sizes.
        x: the point.

    Returns:
        What was evaluated, by name.
    """
    pulled = b.pull(p, b.xi)
    q, y = s.primal_step(p, b, x, pulled)
    z, xi = s.dual_step(p, b, b.linearized_image(p, x))
    scalar, div = s.lane.scalar, s.lane.div
    return {
        "pulled": pulled,
        "prox_argument": q,
        "prox_value": y,
        "dual_argument": z,
        "dual_value": xi,
        "primal_residual": div(scalar(p.M.dist(x, y)), s.tau),
        "dual_residual": div(scalar(p.N.norm(b.n, map_leaves(torch.sub, xi, b.xi))), s.sigma),
    }


def _parameter(lane: Any, x: Any, s: Any) -> Any:
    """Return a step size as proximal maps get it: a number, or one for each problem in the precision of the point."""
    return s if lane.lone else s.to(first_leaf(x).real.dtype)
