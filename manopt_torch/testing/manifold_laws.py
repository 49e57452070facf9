"""The laws that every manifold keeps, as numbers; `check_manifold` runs them and judges.

A law yields `Finding`s: residuals that rounding alone explains, or slopes of an error against the step length, which
must be at least the order claimed. Laws read no value on the host.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.bases import gram_matrix
from manopt_torch.manifolds.points import leaves, map_leaves, map_shaped, scale, to_vector
from manopt_torch.testing.manifold_sample import Sample, derivatives


@dataclass(frozen=True)
class Finding:
    """One number per problem: a residual to be near zero, or a slope to be at least `order`."""

    law: str
    value: torch.Tensor  # shape: (*batch,)
    order: float | None = None


def point_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Random points lie on the manifold, and projection leaves them there."""
    yield Finding("random points lie on the manifold", M.off_manifold(s.x))
    yield Finding("projected arrays lie on the manifold", M.off_manifold(M.project_point(s.z)))
    yield Finding("projection keeps points", point_gap(M, s.x, M.project_point(s.x)))
    yield Finding("a retracted point lies on the manifold", M.off_manifold(M.retract(s.x, s.u)))


def tangent_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Random tangents are tangent and of unit length; the projector is one."""
    p, q = M.project_tangent(s.x, s.z), M.project_tangent(s.x, s.w)
    length = M.norm(s.x, p) + 1
    yield Finding("random tangents are tangent", M.off_tangent(s.x, s.u))
    yield Finding("random tangents have length one", (M.norm(s.x, s.u) - 1).abs())
    yield Finding("projected arrays are tangent", M.off_tangent(s.x, p) / length)
    yield Finding("the projector is idempotent", tangent_gap(M, s.x, p, M.project_tangent(s.x, p)) / length)
    skew = M.inner(s.x, p, s.w) - M.inner(s.x, s.z, q)
    yield Finding("the projector is self-adjoint", skew.abs() / (length * (M.norm(s.x, s.w) + 1)))


def metric_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """The inner product is symmetric, bilinear and positive, and norm follows from it."""
    x, u, v = s.x, s.u, s.v
    uv = M.inner(x, u, v)
    combined = M.inner(x, combination(2.0, u, -3.0, v), v)
    yield Finding("inner is symmetric", (uv - M.inner(x, v, u)).abs())
    with torch.no_grad():  # as solvers ask for it
        at = M.inner_at(x)
        missed = (at(u, v) - uv).abs() + (at(u, u) - M.inner(x, u, u)).abs()
    yield Finding("inner_at is inner", missed)
    yield Finding("inner is bilinear", (combined - 2 * uv + 3 * M.inner(x, v, v)).abs())
    yield Finding("inner is positive", (M.inner(x, u, u) <= 0).to(uv.dtype))
    yield Finding("norm is the root of inner", (M.norm(x, u).square() - M.inner(x, u, u)).abs())
    yield Finding("the zero tangent has length zero", M.norm(x, M.zero_tangent(x)))


def coordinate_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """The basis is orthonormal, of `dim` tangent vectors, and coordinates refer to it."""
    basis, c = M.basis(s.x), M.to_coordinates(s.x, s.u)
    gram = gram_matrix(M, s.x, basis)
    error = (gram - torch.eye(M.dim, dtype=gram.dtype, device=gram.device)).abs().amax((-2, -1))
    combined = map_shaped(lambda ndim, b: (b * c[(..., *(None,) * ndim)]).sum(-1 - ndim), M.point_shape, basis)
    expanded = map_shaped(lambda ndim, a: a.unsqueeze(-1 - ndim), M.point_shape, s.x)
    yield Finding("the basis is orthonormal", error)
    yield Finding("the basis is tangent", M.off_tangent(expanded, basis).amax(-1))
    yield Finding("coordinates refer to the basis", tangent_gap(M, s.x, combined, s.u))
    yield Finding("coordinates invert", tangent_gap(M, s.x, M.from_coordinates(s.x, c), s.u))
    yield Finding("coordinates keep lengths", (torch.linalg.vector_norm(c, dim=-1) - 1).abs())


def exp_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Exp starts at the point, stays on the manifold and takes tensor steps like float steps."""
    if not M.has_exp:
        return
    step = map_shaped(lambda ndim, a: scale(a, s.radius, ndim), M.point_shape, s.u)
    y = M.exp(s.x, s.u, s.radius)
    yield Finding("exp of zero is the point", point_gap(M, s.x, M.exp(s.x, M.zero_tangent(s.x))))
    yield Finding("exp stays on the manifold", M.off_manifold(y))
    yield Finding("exp(x, u, t) is exp(x, t u)", point_gap(M, y, M.exp(s.x, step)))
    half = torch.full(M.batch_shape(s.x), 0.5, dtype=s.radius.dtype, device=s.radius.device)
    yield Finding("a float step and a tensor step agree", point_gap(M, M.exp(s.x, step, 0.5), M.exp(s.x, step, half)))


def log_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Log inverts exp within the injectivity radius; distances are lengths of logarithms, geodesics run evenly."""
    if not (M.has_exp and M.has_log):
        return
    step = map_shaped(lambda ndim, a: scale(a, s.radius, ndim), M.point_shape, s.u)
    y = M.exp(s.x, s.u, s.radius)
    d, mid = M.dist(s.x, s.y), M.mid_point(s.x, s.y)
    quarter = M.geodesic(s.x, s.y, 0.25)
    yield Finding("log is tangent", M.off_tangent(s.x, M.log(s.x, s.y)))
    yield Finding("log inverts exp", tangent_gap(M, s.x, M.log(s.x, y), step))
    yield Finding("exp inverts log", point_gap(M, s.y, M.exp(s.x, M.log(s.x, s.y))))
    yield Finding("log is defined there", (~M.log_defined(s.x, y)).to(d.dtype))
    yield Finding("dist is the length of log", (d - M.norm(s.x, M.log(s.x, s.y))).abs())
    yield Finding("dist is symmetric", (d - M.dist(s.y, s.x)).abs())
    yield Finding("dist to itself is zero", M.dist(s.x, s.x))
    yield Finding("squared_dist is the square of dist", (M.squared_dist(s.x, s.y) - d * d).abs())
    yield Finding("geodesics have constant speed", (M.dist(quarter, s.y) - 0.75 * d).abs())
    yield Finding("the mid point is half way", (M.dist(s.x, mid) - 0.5 * d).abs())


def retraction_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Retractions start at the point; inverse retractions of the same name invert them."""
    for name in M.retractions:
        start = M.retract(s.x, M.zero_tangent(s.x), method=name)
        yield Finding(f"retraction {name!r} of zero is the point", point_gap(M, s.x, start))
    step = map_shaped(lambda ndim, a: scale(a, s.radius.clamp(max=0.2), ndim), M.point_shape, s.u)
    for name in M.inverse_retractions:
        if name in M.retractions and (M.has_log or M.inverse_retractions[name] != "log"):
            back = M.inverse_retract(s.x, M.retract(s.x, step, method=name), method=name)
            yield Finding(f"inverse retraction {name!r} inverts", tangent_gap(M, s.x, back, step))


def transport_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Transports lead to tangents; parallel transport keeps inner products, inverts, and carries geodesics along."""
    carried = M.transport(s.x, s.y, s.u)
    yield Finding("transported vectors are tangent", M.off_tangent(s.y, carried))
    if M.transport_is_isometric:
        yield Finding("transport keeps lengths", (M.norm(s.y, carried) - M.norm(s.x, s.u)).abs())
    if not M.has_parallel_transport:
        return
    pu, pv = M.parallel_transport(s.x, s.y, s.u), M.parallel_transport(s.x, s.y, s.v)
    yield Finding("parallel vectors are tangent", M.off_tangent(s.y, pu))
    change = M.inner(s.y, pu, pv) - M.inner(s.x, s.u, s.v)
    yield Finding("parallel transport keeps inner products", change.abs())
    yield Finding("parallel transport inverts", tangent_gap(M, s.x, M.parallel_transport(s.y, s.x, pu), s.u))
    if M.has_log:
        ahead = M.parallel_transport(s.x, s.y, M.log(s.x, s.y))
        yield Finding(
            "parallel transport carries geodesics", M.norm(s.y, combination(1.0, ahead, 1.0, M.log(s.y, s.x)))
        )


def derivative_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """The gradient represents the differential; the Hessian is linear, symmetric and tangent."""
    x, u, v = s.x, s.u, s.v
    g, hessian_vector = derivatives(s.cost, x)
    gradient = M.egrad2rgrad(x, g)
    hu, hv = (M.ehess2rhess(x, g, hessian_vector(d), d) for d in (u, v))
    both = combination(2.0, u, -3.0, v)
    hboth = M.ehess2rhess(x, g, hessian_vector(both), both)
    size, h_size = M.norm(x, gradient) + 1, M.norm(x, hu) + M.norm(x, hv) + 1
    differential = (to_vector(g, M.point_shape) * to_vector(u, M.point_shape)).sum(-1)
    yield Finding("the gradient is tangent", M.off_tangent(x, gradient) / size)
    yield Finding("the gradient represents the differential", (M.inner(x, gradient, u) - differential).abs() / size)
    yield Finding("the Hessian is tangent", M.off_tangent(x, hu) / h_size)
    yield Finding("the Hessian is linear", tangent_gap(M, x, combination(2.0, hu, -3.0, hv), hboth) / h_size)
    yield Finding("the Hessian is symmetric", (M.inner(x, hu, v) - M.inner(x, u, hv)).abs() / h_size)


def slope_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Errors shrink with the step at the orders claimed: judged in float64 only."""
    if M.has_exp:
        for name in (None, *M.retractions):
            error = [point_gap(M, M.exp(s.x, s.u, t), M.retract(s.x, s.u, t, name)) for t in _STEPS]
            order = M.retraction_order + 1 if name is None else 2
            label = "the default retraction" if name is None else f"retraction {name!r}"
            yield Finding(f"{label} follows exp", slope(torch.stack(error), 1.0), order)
    first_order, second_order = _model_errors(M, s)
    size = s.cost(s.x).abs() + 1
    yield Finding("the cost follows its gradient", slope(first_order, size), 2)
    if M.has_exp or M.retraction_order > 1:
        yield Finding("the cost follows its Hessian", slope(second_order, size), 3)


def _model_errors(M: Manifold, s: Sample) -> tuple[torch.Tensor, torch.Tensor]:
    g, hessian_vector = derivatives(s.cost, s.x)
    first = M.inner(s.x, M.egrad2rgrad(s.x, g), s.u)
    second = M.inner(s.x, M.ehess2rhess(s.x, g, hessian_vector(s.u), s.u), s.u)
    start, move = s.cost(s.x), M.exp if M.has_exp else M.retract
    rows = []
    for t in _STEPS:
        # forth and back: the next order cancels, which would bend the slope where the leading one happens to be small
        error = [s.cost(move(s.x, s.u, r)) - start - r * first for r in (t, -t)]
        rows.append((sum(e.abs() for e in error), sum((e - 0.5 * t * t * second).abs() for e in error)))
    return torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows])


def batch_laws(M: Manifold, s: Sample) -> Iterator[Finding]:
    """Each problem of a batch gets what it would get alone."""
    batch = M.batch_shape(s.x)
    if not batch:
        return
    last = tuple(n - 1 for n in batch)
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("inner", (s.x, s.u, s.v)),
        ("project_point", (s.z,)),
        ("retract", (s.x, s.u)),
    ]
    calls += [("project_tangent", (s.x, s.z)), ("egrad2rgrad", (s.x, s.z)), ("ehess2rhess", (s.x, s.z, s.w, s.u))]
    calls += [("transport", (s.x, s.y, s.u)), ("basis", (s.x,)), ("to_coordinates", (s.x, s.u))]
    calls += [("exp", (s.x, s.u, s.radius.expand(batch)))] if M.has_exp else []
    calls += [("log", (s.x, s.y)), ("dist", (s.x, s.y)), ("squared_dist", (s.x, s.y))] if M.has_log else []
    calls += [("parallel_transport", (s.x, s.y, s.u))] if M.has_parallel_transport else []
    for name, arguments in calls:
        method = getattr(M, name)
        alone = method(*map_leaves(lambda a: a[last], arguments))
        together = map_leaves(lambda a: _take(a, batch, last), method(*arguments))
        gaps = map_leaves(lambda a, b: ((a - b).abs() / (1 + b.abs())).amax(), alone, together)
        yield Finding(f"{name} of a batch is that of its problems", torch.stack(leaves(gaps)).amax())


LAWS = (
    point_laws,
    tangent_laws,
    metric_laws,
    coordinate_laws,
    exp_laws,
    log_laws,
    retraction_laws,
    transport_laws,
    derivative_laws,
    batch_laws,
)

_STEPS = tuple(10 ** (-1 - 0.25 * k) for k in range(11))


def _take(a: torch.Tensor, batch: tuple[int, ...], index: tuple[int, ...]) -> torch.Tensor:
    # a result that lost the batch axes fails the law, rather than the run
    return a[index] if a.shape[: len(batch)] == batch else torch.full_like(a, torch.nan).amax()


def point_gap(M: Manifold, x: Any, y: Any) -> torch.Tensor:
    """Return how far two points are apart: by `dist` where there is one, else in the ambient space."""
    if M.has_log:
        return M.dist(x, y)
    return torch.linalg.vector_norm(to_vector(x, M.point_shape) - to_vector(y, M.point_shape), dim=-1)


def tangent_gap(M: Manifold, x: Any, u: Any, v: Any) -> torch.Tensor:
    """Return the length of the difference of two tangent vectors."""
    return M.norm(x, map_leaves(torch.sub, u, v))


def combination(a: float, u: Any, b: float, v: Any) -> Any:
    """Return `a * u + b * v`."""
    return map_leaves(lambda p, q: a * p + b * q, u, v)


def slope(
    errors: torch.Tensor,  # shape: (steps, *batch)
    size: torch.Tensor | float,  # shape: (*batch,)
) -> torch.Tensor:
    """Return the median slope of `log(error)` against `log(step)`; infinity where all errors are rounding."""
    errors = errors.abs()
    ratio = torch.log10(errors[:-1] / errors[1:]) / 0.25
    # two digits above rounding, an error tells its slope to a hundredth
    above = errors[1:] > 1e3 * torch.finfo(errors.dtype).eps * size
    median = torch.where(above, ratio, torch.nan).nanmedian(0).values
    return torch.where(above.any(0), median, torch.inf)
