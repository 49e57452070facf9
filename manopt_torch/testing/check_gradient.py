r"""Check a gradient against the cost it belongs to."""

from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.errors import ManoptError
from manopt_torch.problems import GradientProblem, HessianProblem, get_gradient
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

_ORDER = 2
# how many roundings (as the manifold counts them) a gradient may be off the tangent space: conversions cancel digits
_TANGENT_ROUNDINGS = 100.0


@dataclass(frozen=True, eq=False)
class GradientReport:
    """The outcome of `check_gradient`; it is true if the check passed, and prints as a table.

    Args:
        step_sizes: the step sizes $t$, shape `(points,)`.
        errors: $|f(x_t) - f(x) - t g|$ for each of them, shape `(points, *batch)`.
        slope: the order of the errors, shape `(*batch,)`; NaN where they are all at rounding level.
        window: the step sizes between which it was found, shape `(2, *batch)`.
        exact: whether no error exceeds rounding: the cost is linear there, and the gradient right.
        off_tangent: how far the gradient is off the tangent space, relative to its length, shape `(*batch,)`.
        passed_each: whether the check passed, shape `(*batch,)`.
        failures: what failed, empty if nothing did.
        cure: how to hand over the gradient instead, where it passes as the Euclidean one; empty elsewhere.
    """

    step_sizes: torch.Tensor
    errors: torch.Tensor
    slope: torch.Tensor
    window: torch.Tensor
    exact: torch.Tensor
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
        rows.append(("tangent", f"off by {self.off_tangent.max():.1e}"))
        return table("check_gradient", self.passed, rows, self.failures) + (self.cure and f"\n  cure      {self.cure}")


def check_gradient(
    p: Any,
    x: Any = None,
    u: Any = None,
    *,
    points: int = 101,
    generator: torch.Generator | None = None,
    raise_on_failure: bool = False,
) -> GradientReport:
    r"""Check that the gradient of a problem is the gradient of its cost.

    The error of the first-order model along a geodesic (or the default retraction),
    $E(t) = |f(\exp_x(tu)) - f(x) - t \langle \operatorname{grad} f(x), u\rangle_x|$, must fall like $t^2$; with a wrong
    gradient it falls like $t$. Passes if the slope of $\log E$ over $\log t$ is 2 (or more) on a window of step sizes
    that reaches down to rounding, or if no error exceeds rounding: the cost is linear there. Also checks that the
    gradient is a tangent vector. Use it once for each gradient written by hand, before the first solve. Where a given
    gradient fails but would pass as `euclidean_gradient=`, the outcome says so.

    Args:
        p: a problem with a gradient.
        x: where, shape `(*batch, *point_shape)`; None is a random point. Problems with `data=` need it.
        u: the direction, a tangent vector at `x`; None is a random one.
        points: number of step sizes between 1e-8 and 1.
        generator: where random numbers come from.
        raise_on_failure: whether to raise instead of returning a failed check.

    Returns:
        The outcome, which is true if the check passed for every problem of the batch.

    Raises:
        ManoptError: if the check fails and `raise_on_failure`; the message is the printed outcome.
        MissingDerivativeError: if the problem has no gradient.
        NotOnManifoldError: if `x` is off the manifold or `u` is not tangent.
        OptionsError: if `x` is not of float64, or missing although the problem has data, or if `points` is too small.

    References:
        [Boumal:2023], section 4.8.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientProblem, Sphere
        >>> a = torch.diag(torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
        >>> f = lambda x: (x * (x @ a)).sum(-1)
        >>> g = torch.Generator().manual_seed(1)
        >>> check_gradient(GradientProblem(Sphere(3), f), generator=g).passed
        True
        >>> forgot_to_project = GradientProblem(Sphere(3), f, lambda x: 2 * x @ a)
        >>> report = check_gradient(forgot_to_project, generator=g)
        >>> print(report.failures[0])
        the gradient is not tangent
        >>> print(report.cure)
        the gradient given is the Euclidean one: pass it as euclidean_gradient=
    """
    x, u = start_and_direction(p, x, u, points, generator)
    with torch.no_grad():
        g = get_gradient(p, x)
        t, errors, order = model_errors(p, x, u, (p.M.inner(x, g, u),), points)
        off = off_tangent(p.M, x, g)
    tangent = off <= _TANGENT_ROUNDINGS * p.M.tolerance(torch.float64)
    findings = (("the gradient is not tangent", tangent), ("the gradient is not that of the cost", order.as_wanted))
    passed, failures = sum_up(findings)
    cure = "" if not failures else _cure(p, x, u, points)
    report = GradientReport(t, errors, order.slope, order.window, order.exact, off, passed, failures, cure)
    if raise_on_failure and not report:
        raise ManoptError(str(report))
    return report


def _cure(p: Any, x: Any, u: Any, points: int) -> str:
    """Return what to do about a given gradient that fails, if it passes as the Euclidean one; else nothing."""
    bare = bare_problem(p)
    if not isinstance(bare, (GradientProblem, HessianProblem)) or bare.gradient is None:
        return ""
    converted = GradientProblem(bare.M, bare.cost, euclidean_gradient=bare.gradient, data=bare.data)
    if not check_gradient(converted, x, u, points=points):
        return ""
    return "the gradient given is the Euclidean one: pass it as euclidean_gradient="
