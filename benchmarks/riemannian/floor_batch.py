"""The floor for many small problems: masked steepest descent and trust regions over one leading axis.

As in `floor`, with a step, radius and inner mask for each problem. Steps of descent are those of Barzilai and Borwein,
tested by Armijo's rule; finished problems stay in the batch.
"""

import math
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.riemannian.floor import Outcome

Tensor = torch.Tensor


class AutoBatch:
    """A cost of a batch whose derivatives come from autograd."""

    def __init__(self, cost: Callable[[Tensor], Tensor]) -> None:
        self.cost, self.evaluations = cost, 0

    def both(self, x: Tensor, graph: bool = False) -> tuple[Tensor, Tensor, Any]:
        """Return values, Euclidean gradients, and the graph of the latter."""
        self.evaluations += 1
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            value = self.cost(leaf)
            g = torch.autograd.grad(value.sum(), leaf, create_graph=graph)[0]
        return value.detach(), g.detach(), (leaf, g)

    def product(self, graph: Any, v: Tensor) -> Tensor:
        """Return the Euclidean Hessians times `v`."""
        return torch.autograd.grad(graph[1], graph[0], v, retain_graph=True)[0]


class GivenBatch:
    """A cost of a batch with derivatives by hand."""

    def __init__(self, both: Callable[..., Any], hessian: Any = None) -> None:
        self.by_hand, self.hessian, self.evaluations = both, hessian, 0

    def both(self, x: Tensor, graph: bool = False) -> tuple[Tensor, Tensor, Any]:
        """Return values, Euclidean gradients, and the points."""
        self.evaluations += 1
        return (*self.by_hand(x), x)

    def product(self, x: Tensor, v: Tensor) -> Tensor:
        """Return the Euclidean Hessians times `v`."""
        return self.hessian(x, v)


class Spheres:
    """Unit spheres."""

    def __init__(self, n: int) -> None:
        self.dim, self.typical = n - 1, math.pi

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        return (u * v).sum(-1)

    def project(self, x: Tensor, u: Tensor) -> Tensor:
        return u - (x * u).sum(-1, True) * x

    gradient = project

    def retract(self, x: Tensor, v: Tensor) -> Tensor:
        return torch.nn.functional.normalize(x + v, dim=-1, eps=0.0)

    def hessian(self, x: Tensor, g: Tensor, h: Tensor, u: Tensor) -> Tensor:
        h = h - (x * g).sum(-1, True) * u
        return h - (x * h).sum(-1, True) * x


class SPDs:
    """Positive definite matrices, affine-invariant."""

    def __init__(self, n: int) -> None:
        self.dim = n * (n + 1) // 2
        self.typical = math.sqrt(self.dim)

    def inner(self, x: Tensor, u: Tensor, v: Tensor) -> Tensor:
        factor = torch.linalg.cholesky_ex(x).L
        a = torch.cholesky_solve(u, factor)
        b = a if v is u else torch.cholesky_solve(v, factor)
        return (a * b.mT).sum((-1, -2))

    def project(self, x: Tensor, u: Tensor) -> Tensor:
        return (u + u.mT) * 0.5

    def retract(self, x: Tensor, v: Tensor) -> Tensor:
        z = x + v + 0.5 * (v @ torch.cholesky_solve(v, torch.linalg.cholesky_ex(x).L))
        return (z + z.mT) * 0.5

    def gradient(self, x: Tensor, g: Tensor) -> Tensor:
        z = x @ g @ x
        return (z + z.mT) * 0.5

    def hessian(self, x: Tensor, g: Tensor, h: Tensor, u: Tensor) -> Tensor:
        h, g = (h + h.mT) * 0.5, (g + g.mT) * 0.5
        z = u @ g @ x
        return x @ h @ x + (z + z.mT) * 0.5


def per_point(s: Tensor, x: Tensor) -> Tensor:
    """Give a number for each problem the axes of a point."""
    return s.reshape(s.shape + (1,) * (x.ndim - 1))


@torch.no_grad()
def descend_batch(M: Any, objective: Any, x: Tensor, tolerance: float, bound: int = 2000) -> Outcome:
    """Run steepest descent with steps of Barzilai and Borwein, halved where Armijo's rule asks for it."""
    f, egrad, _ = objective.both(x)
    g = M.gradient(x, egrad)
    squared = M.inner(x, g, g)
    s, i = 1 / squared.sqrt(), 0
    while i < bound:
        i += 1
        going = squared >= tolerance * tolerance
        if not going.any():
            break
        s = torch.where(going, s, torch.zeros_like(s))
        for _ in range(31):
            y = M.retract(x, -per_point(s, x) * g)
            value, egrad, _ = objective.both(y)
            high = going & ~(value <= f - 1e-4 * s * squared + 1e-14 * f.abs())
            if not high.any():
                break
            s = torch.where(high, s * 0.5, s)
        new, former = M.gradient(y, egrad), M.project(y, g)
        rise = -s * (M.inner(y, former, new) - M.inner(y, former, former))
        s = torch.where(rise > 0, s * s * squared / rise, 2 * s).clamp(1e-8, 1e8)
        x, f, g = y, value, new
        squared = M.inner(x, g, g)
    return Outcome(x, f.sum().item(), squared.max().sqrt().item(), i, objective.evaluations)


@torch.no_grad()
def trust_batch(M: Any, objective: Any, x: Tensor, tolerance: float, bound: int = 100) -> Outcome:
    """Run trust regions with a radius for each problem."""
    radius = torch.full((len(x),), M.typical / 8, dtype=x.dtype)
    f, egrad, graph = objective.both(x, True)
    g = M.gradient(x, egrad)
    products, i = 0, 0
    while i < bound:
        i += 1
        squared = M.inner(x, g, g)
        going = squared >= tolerance * tolerance
        if not going.any():
            break
        step, image, on_boundary, count = truncated_batch(M, objective, x, g, egrad, graph, radius, squared, going)
        products += count
        y = M.retract(x, step)
        value, its_egrad, its_graph = objective.both(y, True)
        regular = f.abs().clamp_min(1.0) * 2.2e-13
        rho = (f - value + regular) / (-M.inner(x, g, step) - 0.5 * M.inner(x, step, image) + regular)
        grown = torch.where((rho > 0.75) & on_boundary, (2 * radius).clamp_max(M.typical), radius)
        radius = torch.where(rho >= 0.25, grown, radius / 4)
        accepted = (rho > 0.1) & going
        if bool(accepted.all()):
            x, f, egrad, graph = y, value, its_egrad, its_graph
        else:
            x = torch.where(per_point(accepted, x), y, x)
            f, egrad, graph = objective.both(x, True)
        g = M.gradient(x, egrad)
    norm = M.inner(x, g, g).max().sqrt().item()
    return Outcome(x, f.sum().item(), norm, i, objective.evaluations, products)


def truncated_batch(
    M: Any, objective: Any, x: Tensor, g: Tensor, egrad: Tensor, graph: Any, radius: Tensor, zr: Tensor, going: Tensor
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Minimise the models within the radii; return steps, their images, who ended on the boundary, and products."""
    zero, norm, r, d = torch.zeros_like(zr), zr.sqrt(), g, -g
    target = norm * norm.clamp_max(0.1)
    step, image, running = torch.zeros_like(x), torch.zeros_like(x), going
    ee, ed, dd, on_boundary = zero, zero, zr, torch.zeros_like(going)
    count = 0
    for j in range(M.dim):
        hd = M.hessian(x, egrad, objective.product(graph, d), d)
        count += 1
        curvature = M.inner(x, d, hd)
        s = zr / curvature
        ahead = ee + 2 * s * ed + s * s * dd
        out = running & ((curvature <= 0) | (ahead >= radius * radius))
        tau = (-ed + (ed * ed + dd * (radius * radius - ee)).clamp_min(0).sqrt()) / dd
        length = torch.nan_to_num(torch.where(out, tau, torch.where(running, s, zero)))
        step, image = step + per_point(length, x) * d, image + per_point(length, x) * hd
        on_boundary, running, ee = on_boundary | out, running & ~out, ahead
        r = r + per_point(torch.where(running, s, zero), x) * hd
        rr = M.inner(x, r, r)
        if j >= 1:
            running = running & (rr.sqrt() > target)
        if not running.any():
            break
        beta, zr = torch.where(running, rr / zr, zero), torch.where(running, rr, zr)
        ed = beta * (ed + s * dd)
        dd = zr + beta * beta * dd
        d = M.project(x, per_point(beta, x) * d - r)
    return step, image, on_boundary, count
