r"""Check a Hessian against the cost and the gradient it belongs to."""

from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.errors import ManoptError, OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.problems import HessianProblem, get_gradient, get_hessian
from manopt_torch.problems.counted import bare_problem
from manopt_torch.testing.derivatives import (
    SLOPE_TOLERANCE,
    model_errors,
    off_tangent,
    start_and_direction,
    sum_up,
    table,
)
from manopt_torch.testing.slopes import Order, describe

_ORDER = 3
# factors of the linear combination that linearity is tried on: no round numbers
_ALPHA, _BETA = 0.7, -1.3


@dataclass(frozen=True, eq=False)
class HessianReport:
    r"""The outcome of `check_hessian`; it is true if the check passed, and prints as a table.

    Args:
        step_sizes: the step sizes $t$, shape `(points,)`.
        errors: errors of the second-order model, shape `(points, *batch)`.
        slope: their order, shape `(*batch,)`; NaN where they are all at rounding level.
        window: the step sizes between which it was found, shape `(2, *batch)`.
        exact: whether no error exceeds rounding: the cost is quadratic there, and the Hessian right.
        nonlinear: relative difference of $H[au + bv]$ and $aH[u] + bH[v]$, shape `(*batch,)`.
        asymmetric: relative difference of $\langle H[u], v\rangle$ and $\langle u, H[v]\rangle$, shape `(*batch,)`.
        off_tangent: how far $H[u]$ is off the tangent space, relative to its length, shape `(*batch,)`.
        passed_each: whether the check passed, shape `(*batch,)`.
        failures: what failed, empty if nothing did.
        cure: how to hand over the Hessian instead, where it passes as the Euclidean one; empty elsewhere.
    """

    step_sizes: torch.Tensor
    errors: torch.Tensor
    slope: torch.Tensor
    window: torch.Tensor
    exact: torch.Tensor
    nonlinear: torch.Tensor
    asymmetric: torch.Tensor
    off_tangent: torch.Tensor
    passed_each: torch.Tensor
    failures: tuple[str, ...]
    cure: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check passed for every problem."""
        return not self.failures

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        order = Order(self.slope, self.window, self.exact, self.passed_each)
        rows = describe(order, _ORDER, SLOPE_TOLERANCE)
        rows.append(("linear", f"off by {self.nonlinear.max():.1e}"))
        rows.append(("symmetric", f"off by {self.asymmetric.max():.1e}"))
        rows.append(("tangent", f"off by {self.off_tangent.max():.1e}"))
        return table("check_hessian", self.passed, rows, self.failures) + (self.cure and f"\n  cure      {self.cure}")


def check_hessian(
    p: Any,
    x: Any = None,
    u: Any = None,
    *,
    points: int = 101,
    tolerance: float | None = None,
    generator: torch.Generator | None = None,
    raise_on_failure: bool = False,
) -> HessianReport:
    r"""Check that the Hessian of a problem is the Hessian of its cost, linear and symmetric.

    The error of the second-order model along a geodesic (or a retraction of second order),
    $E(t) = |f(\exp_x(tu)) - f(x) - t\langle \operatorname{grad} f, u\rangle - \tfrac{t^2}{2}\langle H[u], u\rangle|$,
    must fall like $t^3$; with a wrong Hessian it falls like $t^2$, with a wrong gradient like $t$. That sees only the
    symmetric part of $H$ in one direction, so linearity, symmetry and tangency are checked besides. Check the gradient
    first. Where a given Hessian fails but would pass as `euclidean_hessian=`, the outcome says so.

    Args:
        p: a problem with a Hessian.
        x: where, shape `(*batch, *point_shape)`; None is a random point. Problems with `data=` need it.
        u: the direction, a tangent vector at `x`; None is a random one.
        points: number of step sizes between 1e-8 and 1.
        tolerance: relative error allowed to linearity, symmetry and tangency; None is rounding to the power 2/3.
            Finite differences need a larger one.
        generator: where random numbers come from.
        raise_on_failure: whether to raise instead of returning a failed check.

    Returns:
        The outcome, which is true if the check passed for every problem of the batch.

    Raises:
        ManoptError: if the check fails and `raise_on_failure`; the message is the printed outcome.
        MissingDerivativeError: if the problem has no Hessian.
        NotOnManifoldError: if `x` is off the manifold or `u` is not tangent.
        OptionsError: if `x` is not of float64, or missing although the problem has data, or if the manifold has
            neither an exponential map nor a retraction of second order.

    References:
        [Boumal:2023], section 6.8.

    Examples:
        >>> import torch
        >>> from manopt_torch import HessianProblem, Sphere
        >>> a = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
        >>> f = lambda x: (x * (x @ a)).sum(-1)
        >>> g = torch.Generator().manual_seed(1)
        >>> check_hessian(HessianProblem(Sphere(3), f), generator=g).passed
        True
        >>> forgot_the_curvature = lambda x, u: Sphere(3).project_tangent(x, 2 * u @ a)
        >>> print(check_hessian(HessianProblem(Sphere(3), f, hessian=forgot_the_curvature), generator=g).failures[0])
        the Hessian is not that of the cost
    """
    x, u = start_and_direction(p, x, u, points, generator)
    with torch.no_grad():
        g, h = get_gradient(p, x), get_hessian(p, x, u)
        if not p.M.has_exp and p.M.retraction_order < 2:
            raise OptionsError(
                f"{p.M!r} has neither an exponential map nor a retraction of second order, along which to see a Hessian"
            )
        t, errors, order = model_errors(p, x, u, (p.M.inner(x, g, u), 0.5 * p.M.inner(x, h, u)), points)
        nonlinear, asymmetric = _linear_and_symmetric(p, x, u, h, generator)
        off = off_tangent(p.M, x, h)
    limit = torch.finfo(torch.float64).eps ** (2 / 3) if tolerance is None else tolerance
    findings = (
        ("the Hessian is not tangent", off <= limit),
        ("the Hessian is not linear", nonlinear <= limit),
        ("the Hessian is not symmetric", asymmetric <= limit),
        ("the Hessian is not that of the cost", order.as_wanted),
    )
    passed, failures = sum_up(findings)
    cure = "" if not failures else _cure(p, x, u, points, tolerance, generator)
    report = HessianReport(
        t, errors, order.slope, order.window, order.exact, nonlinear, asymmetric, off, passed, failures, cure
    )
    if raise_on_failure and not report:
        raise ManoptError(str(report))
    return report


def _cure(p: Any, x: Any, u: Any, points: int, tolerance: float | None, generator: torch.Generator | None) -> str:
    """Return what to do about a given Hessian that fails, if it passes as the Euclidean one; else nothing."""
    bare = bare_problem(p)
    if not isinstance(bare, HessianProblem) or bare.hessian is None:
        return ""
    given = {"euclidean_hessian": bare.hessian, "data": bare.data}
    as_it_is = {"gradient": bare.gradient, "euclidean_gradient": bare.euclidean_gradient}
    tries = [("the Hessian given is the Euclidean one: pass it as euclidean_hessian=", as_it_is)]
    if bare.gradient is not None:  # tried first: on some manifolds a Euclidean gradient does no harm to this check
        both = "gradient and Hessian given are the Euclidean ones: pass them as euclidean_gradient=, euclidean_hessian="
        tries.insert(0, (both, {"euclidean_gradient": bare.gradient}))
    for cure, gradients in tries:
        converted = HessianProblem(bare.M, bare.cost, **gradients, **given)
        if check_hessian(converted, x, u, points=points, tolerance=tolerance, generator=generator):
            return cure
    return ""


def _linear_and_symmetric(
    p: Any, x: Any, u: Any, h: Any, generator: torch.Generator | None
) -> tuple[torch.Tensor, torch.Tensor]:
    M = p.M
    v = M.random_tangent(x, generator=generator)
    k = get_hessian(p, x, v)

    def combine(a: Any, b: Any) -> Any:
        return map_leaves(lambda first, second: _ALPHA * first + _BETA * second, a, b)

    size = M.norm(x, h) + M.norm(x, k)
    gap = map_leaves(torch.sub, get_hessian(p, x, combine(u, v)), combine(h, k))
    nonlinear = M.norm(x, gap) / torch.where(size > 0, size, 1.0)
    reach = M.norm(x, h) * M.norm(x, v) + M.norm(x, u) * M.norm(x, k)
    asymmetric = (M.inner(x, h, v) - M.inner(x, u, k)).abs() / torch.where(reach > 0, reach, 1.0)
    return nonlinear.cpu(), asymmetric.cpu()
