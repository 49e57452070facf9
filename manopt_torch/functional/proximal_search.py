"""A backtracking search for proximal gradient steps, as a pure function of a lane and a probe."""

from collections.abc import Callable
from typing import NamedTuple

from manopt_torch._typing import Mask, Scalar
from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.functional.masked import Lane

# after so many shrinking rounds it is worth asking for the smallest step that still moves the point
_ROUNDS_BEFORE_FLOOR = 16


class ProximalProbe(NamedTuple):
    """A proximal gradient step that has been tried."""

    trial: Trial
    excess: Scalar  # how far the smooth part lies above its quadratic model
    length: Scalar  # of the step


def proximal_search(
    lane: Lane,
    probe: Callable[[Scalar], ProximalProbe],
    step: Scalar,
    active: Mask,
    contraction_factor: float,
    max_decreases: int,
    slack: Scalar,
    smallest: Callable[[], Scalar],
) -> tuple[Found, Scalar]:
    r"""Shrink the step until the smooth part lies below its model, and return the length of the move as well.

    $g(y) \le g(a) + \langle \operatorname{grad} g(a), v\rangle + \frac{1}{2 s} \lVert v\rVert^2$ for the move $v$ from
    $a$ to $y$; that holds for all $s \le 1 / L$ where the gradient is Lipschitz with constant $L$. A non-finite cost is
    a rejection. A problem that is done is evaluated again at the same step, which gives the same bits.

    Args:
        lane: the lane of the run.
        probe: evaluates the step `s`.
        step: first step.
        active: problems that search; the others keep their step.
        contraction_factor: ratio of two trials.
        max_decreases: bound of the loop.
        slack: rounding error of the smooth part.
        smallest: returns the smallest step worth trying, asked for only in long searches.

    References:
        [BeckTeboulle:2009], section 4.
    """

    def refuses(found: ProximalProbe) -> Mask:
        finite = lane.trial_cost(found.trial.cost) < float("inf")
        return lane.not_((found.excess <= slack) & finite)

    floor, rounds = lane.full(0.0), 0
    found = probe(step)
    refused = active & refuses(found)
    while rounds < max_decreases and lane.any(refused & (step > floor)):
        rounds += 1
        step = lane.where(refused & (step > floor), step * contraction_factor, step)
        found = probe(step)
        refused = refused & refuses(found)
        if rounds == _ROUNDS_BEFORE_FLOOR:
            floor = smallest()
    return Found(step, found.trial, refused), found.length
