r"""Minimise a cubic with a tridiagonal quadratic part: the problem that Lanczos vectors leave of a cubic model.

$$\min_{y \in \mathbb R^k} \; \gamma y_1 + \tfrac12 y^\top T y + \tfrac\sigma3\lVert y\rVert^3$$

is solved by $(T + \lambda I) y = -\gamma e_1$ with $\lambda = \sigma\lVert y\rVert$ and $T + \lambda I$ positive: a
root of one variable. Entries of $T$ are scalars of a lane, so a lone problem is solved in Python numbers. References:
[CartisGouldToint:2011]; [ConnGouldToint:2000], section 7.3.
"""

from typing import Any, NamedTuple

from manopt_torch._typing import Mask, Scalar

# Newton's method needs about five rounds; bisection, where it leaves the bracket, halves the error until the two ends
# are neighbours among the numbers
_MOST_ROUNDS = 100
_TOLERANCE = 1e-13  # relative, of the square of lambda


class CubicSolution(NamedTuple):
    """The minimiser, and the multiplier there."""

    lam: Scalar
    y: list[Scalar]
    squared: Scalar  # |y|^2


class _Solved(NamedTuple):
    """What one value of lambda gives."""

    y: list[Scalar]
    squared: Scalar  # |y|^2
    slope: Scalar  # y' (T + lambda)^-1 y
    positive: Mask  # of T + lambda


def minimize_tridiagonal_cubic(
    lane: Any,
    diagonal: list[Scalar],
    beside: list[Scalar],
    gamma: Scalar,
    sigma: Scalar,
    run: Mask,
    guess: Scalar | None = None,
) -> CubicSolution:
    r"""Find the global minimiser for each problem by safeguarded Newton steps, bounded and masked.

    Args:
        lane: the lane of the run.
        diagonal: the diagonal of $T$.
        beside: the entries beside it, one fewer.
        gamma: positive.
        sigma: positive.
        run: the problems to solve; values of others mean nothing.
        guess: a value of $\lambda$ to start from.
    """
    low, high = _bracket(lane, diagonal, beside, gamma, sigma)
    lam = high if guess is None else lane.where((guess > low) & (guess < high), guess, high)
    rounds, here = 0, _solve(lane, diagonal, beside, gamma, lam)
    while True:
        wanted = sigma * sigma * here.squared  # lambda^2 at the solution
        small = here.positive & (abs(lam * lam - wanted) <= _TOLERANCE * lam * lam)
        run = run & lane.not_(small)
        rounds += 1
        if rounds > _MOST_ROUNDS or not lane.any(run):
            return CubicSolution(lam, here.y, here.squared)
        below = lane.not_(here.positive) | (lam * lam < wanted)
        low, high = lane.where(below, lane.max(low, lam), low), lane.where(below, high, lane.min(high, lam))
        # Newton's method for 1 / |y|^2 - sigma^2 / lambda^2, which needs no root
        residual = lane.div(1.0, here.squared) - lane.div(sigma * sigma, lam * lam)
        slope = lane.div(2.0 * here.slope, here.squared * here.squared)
        slope = slope + lane.div(2.0 * sigma * sigma, lam * lam * lam)
        step = lam - lane.div(residual, slope)
        good = here.positive & (step > low) & (step < high)
        former, lam = lam, lane.where(run, lane.where(good, step, 0.5 * (low + high)), lam)
        run = run & (abs(lam - former) > 0.0)  # else no number is left in the bracket, or none came
        here = _solve(lane, diagonal, beside, gamma, lam)


def _bracket(
    lane: Any, diagonal: list[Scalar], beside: list[Scalar], gamma: Scalar, sigma: Scalar
) -> tuple[Scalar, Scalar]:
    """Return bounds of lambda: its square is below that for the least eigenvalue, which Gershgorin's circles bound."""
    least: Any = None
    edge: Any = None
    for i, a in enumerate(diagonal):
        reach = abs(beside[i - 1]) if i else 0.0
        left = a - reach - (abs(beside[i]) if i < len(beside) else 0.0)
        least = a if least is None else lane.min(least, a)
        edge = left if edge is None else lane.min(edge, left)
    root = lane.sqrt(edge * edge + 4.0 * sigma * gamma)
    # the positive root of lambda (lambda + edge) = sigma gamma, without cancellation for either sign
    high = lane.where(edge > 0, lane.div(2.0 * sigma * gamma, edge + root), 0.5 * (root - edge))
    return lane.max(-1.0 * least, 0.0), high * (1.0 + 1e-12)


def _solve(lane: Any, diagonal: list[Scalar], beside: list[Scalar], gamma: Scalar, lam: Scalar) -> _Solved:
    """Solve (T + lambda) y = -gamma e_1 by the factorisation L D L'."""
    pivots, factors, z = [diagonal[0] + lam], [], [-1.0 * gamma]
    positive = pivots[0] > 0
    for a, b in zip(diagonal[1:], beside, strict=True):
        factor = lane.div(b, pivots[-1])
        factors.append(factor)
        pivots.append(a + lam - b * factor)
        z.append(-1.0 * factor * z[-1])
        positive = positive & (pivots[-1] > 0)
    y = [lane.div(c, d) for c, d in zip(z, pivots, strict=True)]
    for i in range(len(factors) - 1, -1, -1):
        y[i] = y[i] - factors[i] * y[i + 1]
    squared, t = y[0] * y[0], y[0]
    slope = lane.div(t * t, pivots[0])
    for i, factor in enumerate(factors, 1):
        squared = squared + y[i] * y[i]
        t = y[i] - factor * t
        slope = slope + lane.div(t * t, pivots[i])
    return _Solved(y, squared, slope, positive)
