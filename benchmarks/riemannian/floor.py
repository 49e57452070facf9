"""The floor: steepest descent, conjugate gradients and trust regions with no avoidable work, one problem at a time.

They mirror pymanopt's algorithms step for step (line searches, coefficient, truncated CG, radius) on plain tensors: the
graph of the accepted trial is kept, so that the gradient costs one backward pass, and a Hessian product is one backward
pass through a gradient graph made once an outer iteration. What a careful package can reach in eager torch.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

Tensor = torch.Tensor


class Outcome(NamedTuple):
    """What a run has come to, whoever ran it."""

    x: Any
    cost: float
    gradient_norm: float
    iterations: int
    evaluations: int = 0  # of the cost
    products: int = 0  # with the Hessian


# ---- objectives -----------------------------------------------------------------------------------------------------


class Auto:
    """A cost whose derivatives come from autograd."""

    def __init__(self, cost: Callable[[Tensor], Tensor]) -> None:
        self.cost, self.evaluations = cost, 0

    def value(self, x: Tensor) -> tuple[float, Any]:
        """Return the cost and its graph."""
        self.evaluations += 1
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            value = self.cost(leaf)
        return value.item(), (leaf, value)

    def gradient(self, context: Any, second: bool = False) -> tuple[Tensor, Any]:
        """Return the Euclidean gradient, and its graph if products are to follow."""
        leaf, value = context
        if not second:
            return torch.autograd.grad(value, leaf)[0], None
        with torch.enable_grad():
            g = torch.autograd.grad(value, leaf, create_graph=True)[0]
        return g.detach(), (leaf, g)

    def product(self, graph: Any, v: Tensor) -> Tensor:
        """Return the Euclidean Hessian times `v`."""
        return torch.autograd.grad(graph[1], graph[0], v, retain_graph=True)[0]


class Given:
    """A cost with derivatives by hand: `cost(x)` returns the value and what `gradient(x, rest)` can use again."""

    def __init__(self, cost: Callable[..., Any], gradient: Callable[..., Any], hessian: Any = None) -> None:
        self.cost, self.by_hand, self.hessian, self.evaluations = cost, gradient, hessian, 0

    def value(self, x: Any) -> tuple[float, Any]:
        """Return the cost and what the derivatives can use."""
        self.evaluations += 1
        value, rest = self.cost(x)
        return value.item(), (x, rest)

    def gradient(self, context: Any, second: bool = False) -> tuple[Any, Any]:
        """Return the Euclidean gradient."""
        return self.by_hand(*context), context

    def product(self, context: Any, v: Any) -> Any:
        """Return the Euclidean Hessian times `v`."""
        return self.hessian(*context, v)


# ---- manifolds ------------------------------------------------------------------------------------------------------


class BareSphere:
    """The unit sphere."""

    def __init__(self, n: int) -> None:
        self.dim, self.typical = n - 1, math.pi

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return torch.dot(u, v)

    def project(self, x: Tensor, u: Tensor) -> Tensor:
        return u - torch.dot(x, u) * x

    def retract(self, x: Tensor, v: Tensor) -> Tensor:
        y = x + v
        return y / torch.linalg.vector_norm(y)

    def gradient(self, x: Tensor, g: Tensor) -> Tensor:
        return g - torch.dot(x, g) * x

    def hessian(self, x: Tensor, g: Tensor, h: Tensor, u: Tensor) -> Tensor:
        h = h - torch.dot(x, g) * u
        return h - torch.dot(x, h) * x

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        return u - torch.dot(y, u) * y


class BareGrassmann:
    """Subspaces, with the polar retraction."""

    def __init__(self, n: int, p: int) -> None:
        self.dim, self.typical = n * p - p * p, math.sqrt(p)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return torch.dot(u.reshape(-1), v.reshape(-1))

    def project(self, x: Tensor, u: Tensor) -> Tensor:
        return torch.addmm(u, x, x.mT @ u, alpha=-1)

    gradient = project

    def retract(self, x: Tensor, v: Tensor) -> Tensor:
        left, _, right = torch.linalg.svd(x + v, full_matrices=False)
        return left @ right

    def hessian(self, x: Tensor, g: Tensor, h: Tensor, u: Tensor) -> Tensor:
        return torch.addmm(self.project(x, h), u, x.mT @ g, alpha=-1)

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        return self.project(y, u)


class BareStiefel(BareGrassmann):
    """Orthonormal frames, with the retraction by QR."""

    def __init__(self, n: int, p: int) -> None:
        self.dim, self.typical = n * p - p * (p + 1) // 2, math.sqrt(p)

    def project(self, x: Tensor, u: Tensor) -> Tensor:
        s = x.mT @ u
        return torch.addmm(u, x, s + s.mT, alpha=-0.5)

    gradient = project

    def retract(self, x: Tensor, v: Tensor) -> Tensor:
        q, r = torch.linalg.qr(x + v)
        return q * torch.sgn(torch.diagonal(r))

    def hessian(self, x: Tensor, g: Tensor, h: Tensor, u: Tensor) -> Tensor:
        s = x.mT @ g
        return self.project(x, torch.addmm(h, u, s + s.mT, alpha=-0.5))


class BareSPD:
    """Positive definite matrices, affine-invariant, with the retraction of second order."""

    def __init__(self, n: int) -> None:
        self.dim = n * (n + 1) // 2
        self.typical = math.sqrt(self.dim)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        factor = torch.linalg.cholesky(x)
        a = torch.cholesky_solve(u, factor)
        b = a if v is u else torch.cholesky_solve(v, factor)
        return torch.sum(a * b.mT)

    def project(self, x: Tensor, u: Tensor) -> Tensor:
        return (u + u.mT) * 0.5

    def retract(self, x: Tensor, v: Tensor) -> Tensor:
        z = x + v + 0.5 * (v @ torch.linalg.solve(x, v))
        return (z + z.mT) * 0.5

    def gradient(self, x: Tensor, g: Tensor) -> Tensor:
        z = x @ g @ x
        return (z + z.mT) * 0.5

    def hessian(self, x: Tensor, g: Tensor, h: Tensor, u: Tensor) -> Tensor:
        h, g = (h + h.mT) * 0.5, (g + g.mT) * 0.5
        z = u @ g @ x
        return x @ h @ x + (z + z.mT) * 0.5

    def transport(self, x: Tensor, y: Tensor, u: Tensor) -> Tensor:
        return u


# ---- solvers --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def descend(M: Any, objective: Any, x: Any, tolerance: float, bound: int = 20000) -> Outcome:
    """Run steepest descent with pymanopt's backtracking."""
    former, (f, context), i, norm = None, objective.value(x), 0, math.inf
    while i < bound:
        i += 1
        g = M.gradient(x, objective.gradient(context)[0])
        squared = M.inner(x, g, g).item()
        norm = math.sqrt(max(squared, 0.0))
        if norm < tolerance:
            break
        s = 1 / norm if former is None else 4 * (former - f) / squared
        for _ in range(26):
            y = M.retract(x, -s * g)
            value, graph = objective.value(y)
            if value <= f - 1e-4 * s * squared:
                break
            s *= 0.5
        former = f
        if value > f:
            break
        x, f, context = y, value, graph
        if s * norm < 1e-10:
            break
    return Outcome(x, f, norm, i, objective.evaluations)


@torch.no_grad()
def conjugate(M: Any, objective: Any, x: Any, tolerance: float, bound: int = 20000) -> Outcome:
    """Run conjugate gradients (Hestenes-Stiefel, not negative) with pymanopt's adaptive search."""
    f, context = objective.value(x)
    g = M.gradient(x, objective.gradient(context)[0])
    squared, d, former, i = M.inner(x, g, g).item(), -g, None, 0
    norm = math.sqrt(squared)
    while i < bound:
        i += 1
        if norm < tolerance:
            break
        slope = M.inner(x, g, d).item()
        if slope >= 0:
            d, slope = -g, -squared
        length = math.sqrt(M.inner(x, d, d).item())
        s, trials = 1 / length if former is None else former, 0
        while True:
            y = M.retract(x, s * d)
            value, graph = objective.value(y)
            trials += 1
            if value <= f + 0.5 * s * slope or trials > 10:
                break
            s *= 0.5
        if value > f:
            s, y, value, graph = 0.0, x, f, context
        former = s if trials == 2 else 2 * s
        new = M.gradient(y, objective.gradient(graph)[0])
        d = M.transport(x, y, d)
        change = new - M.transport(x, y, g)
        below = M.inner(y, change, d).item()
        beta = max(0.0, M.inner(y, new, change).item() / below) if below else 1.0
        d = beta * d - new
        x, f, context, g = y, value, graph, new
        squared = M.inner(x, g, g).item()
        norm = math.sqrt(max(squared, 0.0))
        if s * length < 1e-10:
            break
    return Outcome(x, f, norm, i, objective.evaluations)


@torch.no_grad()
def trust(M: Any, objective: Any, x: Any, tolerance: float, bound: int = 1000) -> Outcome:
    """Run trust regions with pymanopt's rules."""
    largest, products, i = M.typical, 0, 0
    radius = largest / 8
    f, context = objective.value(x)
    egrad, graph = objective.gradient(context, True)
    g = M.gradient(x, egrad)
    norm = math.sqrt(max(M.inner(x, g, g).item(), 0.0))
    while i < bound:
        i += 1
        inner = truncated(M, objective, x, g, egrad, graph, radius)
        products += inner.products
        y = M.retract(x, inner.step)
        value, trial = objective.value(y)
        regular = max(1.0, abs(f)) * 2.2e-13
        model = (-M.inner(x, g, inner.step) - 0.5 * M.inner(x, inner.step, inner.image)).item() + regular
        rho = (f - value + regular) / model if model else math.nan
        if not rho >= 0.25 or model < 0:
            radius /= 4
        elif rho > 0.75 and inner.on_boundary:
            radius = min(2 * radius, largest)
        if model >= 0 and rho > 0.1:
            x, f = y, value
            egrad, graph = objective.gradient(trial, True)
            g = M.gradient(x, egrad)
        norm = math.sqrt(max(M.inner(x, g, g).item(), 0.0))
        if norm < tolerance:
            break
    return Outcome(x, f, norm, i, objective.evaluations, products)


class Inner(NamedTuple):
    """The outcome of truncated conjugate gradients."""

    step: Any
    image: Any  # of the step, under the Hessian
    on_boundary: bool
    products: int


def truncated(M: Any, objective: Any, x: Any, g: Any, egrad: Any, graph: Any, radius: float) -> Inner:
    """Minimise the model within the radius, to a residual of `norm * min(norm, 0.1)`."""
    r, zr = g, M.inner(x, g, g).item()
    target = math.sqrt(zr) * min(math.sqrt(zr), 0.1)
    d, step, image = -g, torch.zeros_like(g), torch.zeros_like(g)
    ee, ed, dd, least = 0.0, 0.0, zr, 0.0
    for j in range(M.dim):
        hd = M.hessian(x, egrad, objective.product(graph, d), d)
        curvature = M.inner(x, d, hd).item()
        s = zr / curvature if curvature else 0.0
        ahead = ee + 2 * s * ed + s * s * dd
        if curvature <= 0 or ahead >= radius * radius:
            tau = (-ed + math.sqrt(ed * ed + dd * (radius * radius - ee))) / dd
            return Inner(step + tau * d, image + tau * hd, True, j + 1)
        ee = ahead
        further, its_image = step + s * d, image + s * hd
        model = (M.inner(x, further, g) + 0.5 * M.inner(x, further, its_image)).item()
        if model >= least:
            return Inner(step, image, False, j + 1)
        step, image, least = further, its_image, model
        r = r + s * hd
        rr = M.inner(x, r, r).item()
        if j >= 1 and math.sqrt(rr) <= target:
            return Inner(step, image, False, j + 1)
        beta, zr = rr / zr, rr
        d = M.project(x, beta * d - r)
        ed = beta * (ed + s * dd)
        dd = zr + beta * beta * dd
    return Inner(step, image, False, M.dim)
