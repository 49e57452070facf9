"""The nonmonotone line search with first trials of Barzilai and Borwein."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.functional.barzilai_borwein import STRATEGIES, barzilai_borwein
from manopt_torch.functional.linesearch import ArmijoRule, Found, Trial, armijo
from manopt_torch.functional.masked import lane_for
from manopt_torch.functional.ray import Ray
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import first_leaf
from manopt_torch.plans.options import check_count, check_range, lane_of, memory_of
from manopt_torch.problems.base import check_cost
from manopt_torch.problems.gradient import GradientProblem
from manopt_torch.stepsizes.base import told, trial_gradient
from manopt_torch.stepsizes.ray_linesearch import ray_from
from manopt_torch.stepsizes.two_faced import TwoFacedLinesearch, note_stagnation


@dataclass(eq=False, repr=False)
class NonmonotoneLinesearch(TwoFacedLinesearch):
    r"""Try the step of Barzilai and Borwein, and shrink it until the cost is low compared with the last few.

    With the last step $t_i = s_{i-1} T\eta_{i-1}$ and the change of the gradient $v_i = \operatorname{grad} f(x_i) -
    T \operatorname{grad} f(x_{i-1})$, both transported to $x_i$, the first trial is

    $$\frac{\langle t_i, t_i\rangle}{\langle t_i, v_i\rangle} \text{ (direct)} \quad\text{or}\quad
    \frac{\langle t_i, v_i\rangle}{\langle v_i, v_i\rangle} \text{ (inverse)},$$

    kept between two bounds, or the upper bound if $\langle t_i, v_i\rangle \le 0$. It shrinks by $\sigma$ until
    $f(x_{i+1}) \le \max_{j < m} f(x_{i-j}) + c s \langle\operatorname{grad} f(x_i), \eta_i\rangle$. The cost may rise
    for some steps, and that is what makes these steps fast: on smooth costs they need far fewer evaluations than a
    monotone search, mostly one a step.

    A trial whose cost is not finite is a rejection.

    Args:
        strategy: "direct", "inverse", or "alternating" between the two.
        memory_size: $m$, how many costs are compared; 1 is a monotone search.
        bb_min_stepsize: lower bound of first trials. It is a step, not a ratio: where the Hessian exceeds its inverse,
            1000, every search begins with too long a step; give less there.
        bb_max_stepsize: upper bound.
        sufficient_decrease: $c \in (0, 1)$.
        stepsize_reduction: $\sigma \in (0, 1)$.
        initial_stepsize: first trial of a run.
        max_stepsize: longest first trial $s\lVert\eta\rVert$ of a search; None is the injectivity radius.
        max_decreases: bound on the shrinking rounds of one search.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the rule.
        retraction_method: retraction for calls without options; in a run the options' own is used.

    Shapes:
        returned step: a number, or `(*batch,)`; every problem has its own number of trials.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [BarzilaiBorwein:1988]; [GrippoLamparielloLucidi:1986]; [IannazzoPorcelli:2018]. Numbers as in Manopt.jl
        [Bergmann:2022], where the direct quotient is another one than documented.

    Examples:
        >>> import torch
        >>> from manopt_torch import GradientProblem, NonmonotoneLinesearch, Sphere, steepest_descent
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> x = steepest_descent(Sphere(3), lambda x: x[..., 2], x, stepsize=NonmonotoneLinesearch())
        >>> round(float(x[2]), 6)
        -1.0
    """

    strategy: str = "direct"
    _: KW_ONLY
    memory_size: int = 10
    bb_min_stepsize: float = 1e-3
    bb_max_stepsize: float = 1e3
    sufficient_decrease: float = 1e-4
    stepsize_reduction: float = 0.5
    initial_stepsize: float = 1.0
    max_stepsize: float | None = None
    max_decreases: int = 1000
    cost_resolution: float = 0.5
    retraction_method: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.strategy not in STRATEGIES:
            raise OptionsError(
                f"NonmonotoneLinesearch: strategy must be one of {', '.join(STRATEGIES)}, got {self.strategy!r}"
            )
        check_count(self, "memory_size", 1)
        check_range(self, "bb_min_stepsize", 0.0, float("inf"))
        check_range(self, "bb_max_stepsize", self.bb_min_stepsize, float("inf"))
        for name in ("sufficient_decrease", "stepsize_reduction"):
            check_range(self, name, 0.0, 1.0)
        check_range(self, "initial_stepsize", 0.0, float("inf"))
        if self.max_stepsize is not None:
            check_range(self, "max_stepsize", 0.0, float("inf"), open_high=False)
        check_count(self, "max_decreases", 1)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Remember no cost, and begin with the initial step size."""
        lane = lane_of(p, o)
        ref = o.cost if isinstance(o.cost, torch.Tensor) else first_leaf(o.x).real
        costs = ref.new_full((*lane.shape, self.memory_size), -float("inf"))
        return {"next": lane.full(float(self.initial_stepsize)), "costs": costs}

    def _search_in_run(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        cost, gradient = o.cost, o.gradient
        if cost is None or gradient is None:  # called by hand before the run was initialised
            cost, gradient = p.get_cost_and_gradient(o.x)
        active = lane.full(True) if o.active is None else o.active
        costs = torch.cat([memory["costs"][..., 1:], cost.unsqueeze(-1)], -1)
        costs = memory["costs"] = lane.pick(active, costs, memory["costs"])
        ray = ray_from(lane, p, o.x, cost, gradient, eta, o.retraction_method, self.max_stepsize, self.cost_resolution)
        found = self._search(ray, memory["next"], active, lane.scalar(costs.amax(-1)))
        at = found.trial
        trial = Trial(at.x, at.cost, None, trial_gradient(p, at))  # whose graph is spent
        signed = -found.step if eta is None else found.step
        inverse = self.strategy == "inverse" or (self.strategy == "alternating" and i % 2 == 1)
        ratio, curvature = barzilai_borwein(
            lane, p.M, o.x, ray.direction, signed, gradient, trial.x, trial.gradient, inverse=inverse
        )
        sensible = (curvature > 0.0) & (ratio < float("inf"))
        ratio = lane.min(lane.max(ratio, self.bb_min_stepsize), self.bb_max_stepsize)
        following = lane.where(sensible, ratio, self.bb_max_stepsize)
        memory["next"] = lane.where(active & lane.not_(found.failed), following, memory["next"])
        o.trial = trial
        note_stagnation(o, i, ray.direction, found)
        return found.step

    def _search_alone(self, M: Manifold, x: Any, F: Any, gradient: Any, eta: Any = None) -> Any:
        lane, p, cost = lane_for(M, x), GradientProblem(M, F), F(x)
        check_cost(cost, lane.shape)
        here = gradient(x) if callable(gradient) else gradient
        ray = ray_from(
            lane, p, x, cost.detach(), here, eta, self.retraction_method, self.max_stepsize, self.cost_resolution
        )
        step = lane.full(float(self.initial_stepsize))
        return self._search(ray, step, lane.full(True), ray.start.value).step

    def _search(self, ray: Ray, step: Any, active: Any, reference: Any) -> Found:
        """Shrink the step until the cost is low compared with the reference."""
        eps = torch.finfo(ray.start.trial.cost.dtype).eps
        rule = ArmijoRule(
            self.stepsize_reduction, self.sufficient_decrease, 0, self.max_decreases, self.cost_resolution * eps
        )
        step = ray.lane.min(step, ray.longest)
        return armijo(ray.lane, ray.probe, reference, ray.start.slope, step, active, rule, ray.smallest)

    def __repr__(self) -> str:
        return told(self)
