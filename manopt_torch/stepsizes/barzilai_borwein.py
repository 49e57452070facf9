"""Steps of Barzilai and Borwein with one evaluation an iteration."""

from dataclasses import KW_ONLY, dataclass
from typing import Any

from manopt_torch.errors import OptionsError
from manopt_torch.functional.barzilai_borwein import STRATEGIES, barzilai_borwein
from manopt_torch.functional.linesearch import Found, Trial
from manopt_torch.functional.ray import Ray
from manopt_torch.plans.options import check_range, lane_of, memory_of
from manopt_torch.stepsizes.base import Stepsize, told
from manopt_torch.stepsizes.ray_linesearch import ray_from
from manopt_torch.stepsizes.two_faced import note_stagnation

# the reference follows the cost with this weight: about the last six costs count
_FORGETTING = 0.15
# after a rejection a step grows by no more than this, else it would soon be too long again
_REGROWTH = 2.0


@dataclass(eq=False, repr=False)
class BarzilaiBorweinStepsize(Stepsize):
    r"""Take the step of Barzilai and Borwein, and take it back where the cost rises too much.

    With the last step $t_i = s_{i-1} T\eta_{i-1}$ and the change of the gradient $v_i = \operatorname{grad} f(x_i) -
    T \operatorname{grad} f(x_{i-1})$ the step size is $\langle t_i, t_i\rangle / \langle t_i, v_i\rangle$ (direct) or
    $\langle t_i, v_i\rangle / \langle v_i, v_i\rangle$ (inverse), and twice the last one where $\langle t_i,
    v_i\rangle \le 0$.

    There is no inner loop: every iteration evaluates one point for each problem. A step is taken back where $f(x_i +
    \text{step}) > r_i + c s\langle\operatorname{grad} f(x_i), \eta_i\rangle$, or is not finite: the problem stays where
    it is for this iteration, and tries a shorter step in the next. The reference $r_i$ is $\max(f(x_i), 0.85 r_{i-1} +
    0.15 f(x_i))$, so that the cost may rise for some steps. This is the fastest first-order rule for large batches of
    small problems, where a search would let all problems wait for the slowest. For few problems with dear
    evaluations `NonmonotoneLinesearch` does the same in a search.

    As an iteration may leave a problem where it is, stop by the gradient norm and not by the change of the iterate.

    Args:
        strategy: "direct", "inverse", or "alternating" between the two.
        initial_stepsize: first step; None is a move of length 1/2.
        bb_min_stepsize: lower bound of the quotients.
        bb_max_stepsize: upper bound.
        sufficient_decrease: $c \in [0, 1)$.
        stepsize_reduction: factor in $(0, 1)$ after a rejection.
        max_stepsize: longest move $s\lVert\eta\rVert$; None is the injectivity radius.
        cost_resolution: how much (in units of rounding, relative to the cost) the cost may miss the rule.

    Shapes:
        returned step: a number, or `(*batch,)`: the one tried, also where it is taken back.

    Raises:
        OptionsError: if a parameter is out of its range.

    References:
        [BarzilaiBorwein:1988]; [ZhangHager:2004]; [IannazzoPorcelli:2018].

    Examples:
        >>> import torch
        >>> from manopt_torch import BarzilaiBorweinStepsize, Sphere, steepest_descent
        >>> x = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        >>> x = steepest_descent(Sphere(3), lambda x: x[..., 2], x, stepsize=BarzilaiBorweinStepsize())
        >>> round(float(x[2]), 6)
        -1.0
    """

    strategy: str = "direct"
    _: KW_ONLY
    initial_stepsize: float | None = None
    bb_min_stepsize: float = 1e-30  # costs of any scale
    bb_max_stepsize: float = 1e30
    sufficient_decrease: float = 1e-4
    stepsize_reduction: float = 0.3
    max_stepsize: float | None = None
    cost_resolution: float = 0.5

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.strategy not in STRATEGIES:
            raise OptionsError(
                f"BarzilaiBorweinStepsize: strategy must be one of {', '.join(STRATEGIES)}, got {self.strategy!r}"
            )
        check_range(self, "bb_min_stepsize", 0.0, float("inf"))
        check_range(self, "bb_max_stepsize", self.bb_min_stepsize, float("inf"))
        check_range(self, "sufficient_decrease", 0.0, 1.0, open_low=False)
        check_range(self, "stepsize_reduction", 0.0, 1.0)
        if self.initial_stepsize is not None:
            check_range(self, "initial_stepsize", 0.0, float("inf"))
        if self.max_stepsize is not None:
            check_range(self, "max_stepsize", 0.0, float("inf"), open_high=False)
        check_range(self, "cost_resolution", 0.0, float("inf"), open_low=False)

    def init(self, p: Any, o: Any) -> Any:
        """Choose no step yet, and refer to no cost."""
        lane = lane_of(p, o)
        return {
            "next": lane.full(0.0),  # not chosen yet
            "reference": lane.full(-float("inf")),
            "rejected": lane.full(False),
        }

    def __call__(self, p: Any, o: Any, i: int, eta: Any = None) -> Any:
        """Try the step, and return it; the point to go on from is left in `o.trial`."""
        lane, memory = lane_of(p, o), memory_of(self, p, o)
        cost, gradient = o.cost, o.gradient
        if cost is None or gradient is None:  # called by hand before the run was initialised
            cost, gradient = p.get_cost_and_gradient(o.x)
        ray = ray_from(lane, p, o.x, cost, gradient, eta, o.retraction_method, self.max_stepsize, self.cost_resolution)
        step = lane.where(memory["next"] > 0.0, memory["next"], self._first(ray))
        step = lane.min(step, ray.longest)
        reference = lane.max(memory["reference"], ray.start.value)
        trial = ray.probe(step)
        value = lane.trial_cost(trial.cost)
        good = value <= reference + self.sufficient_decrease * step * ray.start.slope + ray.slack
        if lane.lone and not good:
            o.trial, ratio, curvature = ray.start.trial, step, 0.0
        else:
            trial = Trial(trial.x, trial.cost, None, p.gradient_from(trial.x, trial.context))
            signed = -step if eta is None else step
            ratio, curvature = barzilai_borwein(
                lane, p.M, o.x, ray.direction, signed, gradient, trial.x, trial.gradient, inverse=self._inverse(i)
            )
            good = good & (abs(curvature) < float("inf"))
            o.trial = _pick_trial(lane, good, trial, ray.start.trial)
        self._remember(lane, o, memory, step, value, reference, good, ratio, curvature)
        note_stagnation(o, i, ray.direction, Found(step, trial, lane.full(False)))
        return step

    def _first(self, ray: Ray) -> Any:
        """Return the first step of a run."""
        lane = ray.lane
        if self.initial_stepsize is not None:
            return lane.full(float(self.initial_stepsize))
        step = lane.div(0.5, ray.length())
        return lane.where(step < float("inf"), step, 1.0)

    def _inverse(self, i: int) -> bool:
        return self.strategy == "inverse" or (self.strategy == "alternating" and i % 2 == 1)

    def _remember(
        self,
        lane: Any,
        o: Any,
        memory: Any,
        step: Any,
        value: Any,
        reference: Any,
        good: Any,
        ratio: Any,
        curvature: Any,
    ) -> None:
        """Choose the next step, and let the reference follow the cost."""
        active = lane.full(True) if o.active is None else o.active
        ratio = lane.min(lane.max(ratio, self.bb_min_stepsize), self.bb_max_stepsize)
        sensible = (curvature > 0.0) & (ratio < float("inf"))
        ratio = lane.where(sensible, ratio, lane.min(2.0 * step, self.bb_max_stepsize))
        ratio = lane.where(memory["rejected"], lane.min(ratio, _REGROWTH * step), ratio)
        following = lane.where(good, ratio, self.stepsize_reduction * step)
        followed = lane.max(value, (1.0 - _FORGETTING) * reference + _FORGETTING * value)
        memory["next"] = lane.where(active, following, memory["next"])
        memory["reference"] = lane.where(active & good, followed, memory["reference"])
        memory["rejected"] = lane.where(active, lane.not_(good), memory["rejected"])

    def __repr__(self) -> str:
        return told(self)


def _pick_trial(lane: Any, mask: Any, new: Trial, former: Trial) -> Trial:
    """Choose trials per problem."""
    cost = lane.where(mask, new.cost, former.cost)
    return Trial(lane.pick(mask, new.x, former.x), cost, None, lane.pick(mask, new.gradient, former.gradient))
