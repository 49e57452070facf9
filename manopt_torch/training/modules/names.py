"""The names of torchzero: each makes a rule, a search or a provider of this package."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from manopt_torch.directions.average import AverageGradientRule, CoordinateMomentumRule
from manopt_torch.directions.base import DirectionRule
from manopt_torch.directions.chain import Chain, LambdaRule, ScaleRule
from manopt_torch.directions.clip import ClipNormRule, ClipValueRule, NormalizeRule, SignRule
from manopt_torch.directions.mask import CautiousRule, DropoutRule
from manopt_torch.directions.moments import AdamRule
from manopt_torch.directions.momentum import HeavyBallRule, NesterovRule
from manopt_torch.directions.perturb import NoiseRule, WeightDecayRule
from manopt_torch.directions.precondition import LaplacianSmoothingRule
from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.training.modules.base import OwnRateRule
from manopt_torch.training.modules.line_searches import GridLinesearch, QuadraticLinesearch, ScalarLinesearch
from manopt_torch.training.modules.searches import LossIncreaseRule, RandomSearch
from manopt_torch.training.modules.wrap import MakeClosure, Wrap


# ---- scale and entries ----------------------------------------------------------------------------------
def LR(lr: float = 1e-3) -> ScaleRule:
    """Scale by `lr`; the last one in a chain is the setting "lr" of the parameter groups. See `ScaleRule`."""
    return ScaleRule(lr)


def Lambda(f: Callable[[torch.Tensor], torch.Tensor]) -> LambdaRule:
    """Apply `f` to each tensor of the direction. See `LambdaRule`."""
    if not callable(f):
        raise OptionsError(f"Lambda: f must be callable, got {f!r}")
    return LambdaRule(lambda u: map_leaves(f, u))


def Reciprocal() -> LambdaRule:
    """Take reciprocals entry by entry. See `LambdaRule`."""
    return Lambda(torch.reciprocal)


def NanToNum(nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> LambdaRule:
    """Replace entries that are not finite. See `LambdaRule`."""
    return Lambda(lambda t: torch.nan_to_num(t, nan, posinf, neginf))


def Sign() -> SignRule:
    """Keep the signs only. See `SignRule`."""
    return SignRule()


def ClipValue(value: float = 1.0) -> ClipValueRule:
    """Cut off entries beyond `value`. See `ClipValueRule`."""
    return ClipValueRule(value)


def ClipNorm(max_norm: float = 1.0, ord: float = 2, *, scope: str = "global") -> ClipNormRule:
    """Shorten to `max_norm`: all parameters together, or each (`scope="factor"`). See `ClipNormRule`."""
    return ClipNormRule(max_norm, scope, order=ord)


def Normalize(norm_value: float = 1.0, ord: float = 2, min: float = 0.0, *, scope: str = "global") -> NormalizeRule:
    """Give the length `norm_value`: all parameters together, or each (`scope="factor"`). See `NormalizeRule`."""
    return NormalizeRule(norm_value, min, scope, order=ord)


# ---- momentum -------------------------------------------------------------------------------------------
def PolyakMomentum(momentum: float = 0.9, dampening: float = 0.0) -> HeavyBallRule:
    """Add a velocity, as `torch.optim.SGD(momentum=)`. See `HeavyBallRule`."""
    return HeavyBallRule(momentum, dampening)


def NesterovMomentum(decay: float = 0.9, dampening: float = 0.0) -> NesterovRule:
    """Add a velocity and look ahead, as `torch.optim.SGD(nesterov=True)`. See `NesterovRule`."""
    return NesterovRule(decay, dampening)


def GradientAveraging(dampening: float = 0.0) -> AverageGradientRule:
    r"""Add the direction before, $d_i = u_i + (1 - \tau) u_{i-1}$. See `AverageGradientRule`, which averages more."""
    return AverageGradientRule(2, weights=(1.0, 1.0 - dampening))


def RandomCoordinateMomentum(p: float = 0.1, decay: float = 0.99, dampening: float = 0.0) -> CoordinateMomentumRule:
    """Momentum that takes up random entries. See `CoordinateMomentumRule`."""
    return CoordinateMomentumRule(p, decay, dampening)


def RandomCoordinateNesterovMomentum(
    p: float = 0.1, decay: float = 0.99, dampening: float = 0.0
) -> CoordinateMomentumRule:
    """Momentum that takes up random entries, renewed before its use. See `CoordinateMomentumRule`."""
    return CoordinateMomentumRule(p, decay, dampening, nesterov=True)


# ---- whole methods --------------------------------------------------------------------------------------
def SGD(
    lr: float | None = None,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Chain:
    """Make the steps of `torch.optim.SGD`.

    Args:
        lr: the learning rate; None is 1e-3, and 1 where the chain has an `LR` or a line search.
        momentum: of `PolyakMomentum`, or of `NesterovMomentum` if `nesterov`.
        dampening: likewise.
        weight_decay: of `WeightDecay`, before the momentum.
        nesterov: which momentum.
    """
    rules: list[DirectionRule] = [WeightDecayRule(weight_decay)] if weight_decay else []
    if momentum:
        rules.append((NesterovRule if nesterov else HeavyBallRule)(momentum, dampening))
    return Chain([*rules, _rate(lr)])


def Adam(lr: float | None = None, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Chain:
    """Make the steps of `torch.optim.Adam`. See `AdamRule`.

    Args:
        lr: the learning rate; None is 1e-3, and 1 where the chain has an `LR` or a line search.
        beta1: decay of the mean.
        beta2: decay of the mean of squares.
        eps: added to the root.
    """
    return Chain([AdamRule(beta1, beta2, eps), _rate(lr)])


def _rate(lr: float | None) -> DirectionRule:
    return OwnRateRule() if lr is None else ScaleRule(lr)


# ---- masks, noise, decay, smoothing ---------------------------------------------------------------------
def Cautious(scale: str = "none", eps: float = 1e-3) -> CautiousRule:
    """Leave out the entries in which the direction would make the loss grow. See `CautiousRule`."""
    return CautiousRule(scale, eps)


def Dropout(p: float = 0.5, *, rescale: bool = False, seed: int = 0) -> DropoutRule:
    """Leave out each entry with probability `p`. See `DropoutRule`."""
    return DropoutRule(p, rescale, seed)


def LRDropout(p: float = 0.5, *, seed: int = 0) -> DropoutRule:
    """Learning rate dropout: to be put last, it freezes each entry with probability `p`. See `DropoutRule`."""
    return DropoutRule(p, seed=seed)


def AddNoise(alpha: float = 1e-2, distribution: str = "normal", *, seed: int = 0) -> NoiseRule:
    """Add noise of standard deviation `alpha`. See `NoiseRule`."""
    return NoiseRule(alpha, seed, distribution=distribution)


def WeightDecay(alpha: float = 1e-2, ord: int = 2, *, make_closure: bool = False) -> Any:
    """Pull towards the origin, by the weights or their signs. See `WeightDecayRule`.

    Args:
        alpha: how much.
        ord: 2 or 1.
        make_closure: whether to act on every gradient that is evaluated, see `MakeClosure`.
    """
    rule = WeightDecayRule(alpha, ord)
    return MakeClosure(rule) if make_closure else rule


def LaplacianSmoothing(sigma: float = 1.0, layerwise: bool = True, *, make_closure: bool = False) -> Any:
    """Smooth the direction along the entries of each tensor. See `LaplacianSmoothingRule`.

    Args:
        sigma: how much.
        layerwise: whether each tensor is smoothed by itself.
        make_closure: whether to act on every gradient that is evaluated, see `MakeClosure`.
    """
    rule = LaplacianSmoothingRule(sigma, layerwise)
    return MakeClosure(rule) if make_closure else rule


def NegateOnLossIncrease() -> LossIncreaseRule:
    """Turn around where the step would make the loss grow. See `LossIncreaseRule`."""
    return LossIncreaseRule("negate")


def ZeroOnLossIncrease() -> LossIncreaseRule:
    """Make no step where it would make the loss grow. See `LossIncreaseRule`."""
    return LossIncreaseRule("zero")


def CyclicRS(low: float = -10.0, high: float = 10.0, *, seed: int = 0) -> RandomSearch:
    """Random search in one coordinate after the other. See `RandomSearch`."""
    return RandomSearch(low, high, cyclic=True, seed=seed)


# ---- line searches --------------------------------------------------------------------------------------
def GridLS(
    lrs: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    stop_on_improvement: bool = False,
    stop_on_worsened: bool = False,
) -> GridLinesearch:
    """Try a list of steps. See `GridLinesearch`."""
    return GridLinesearch(lrs, stop_on_improvement=stop_on_improvement, stop_on_worsened=stop_on_worsened)


def BacktrackingLS(init: float = 1.0, mul: float = 0.5, num: int = 10) -> GridLinesearch:
    """Shrink the step until the loss is less than at the start. See `GridLinesearch`; `ArmijoLinesearch` asks more."""
    return GridLinesearch([init * mul**k for k in range(num)], stop_on_improvement=True)


def MultiplicativeLS(init: float = 1e-3, mul: float = 2.0, num: int = 10) -> GridLinesearch:
    """Grow the step as long as the loss falls. See `GridLinesearch`."""
    return GridLinesearch([init * mul**k for k in range(num)], stop_on_worsened=True)


def LinspaceLS(start: float = 0.1, end: float = 2.0, steps: int = 20) -> GridLinesearch:
    """Try evenly spaced steps from `start` to `end`. See `GridLinesearch`."""
    return GridLinesearch(torch.linspace(start, end, steps, dtype=torch.float64).tolist())


def ArangeLS(start: float = 0.1, end: float = 2.0, step: float = 0.1) -> GridLinesearch:
    """Try the steps from `start` to `end`, without it, by `step`. See `GridLinesearch`."""
    if not (step and (end - start) / step > 0):
        raise OptionsError(f"ArangeLS: step must lead from start to end, got {start!r}, {end!r} and {step!r}")
    return GridLinesearch(torch.arange(start, end, step, dtype=torch.float64).tolist())


def MinimizeQuadraticLS(lr: float = 1e-2, max_dist: float = 1e4, validate_step: bool = True) -> QuadraticLinesearch:
    """Step to the vertex of a parabola through two values and the slope. See `QuadraticLinesearch`."""
    return QuadraticLinesearch(lr, points=2, max_dist=max_dist, validate_step=validate_step)


def MinimizeQuadratic3PointsLS(
    lr: float = 1e-2, max_dist: float = 1e4, validate_step: bool = True
) -> QuadraticLinesearch:
    """Step to the vertex of a parabola through three values. See `QuadraticLinesearch`."""
    return QuadraticLinesearch(lr, points=3, max_dist=max_dist, validate_step=validate_step)


QuadraticInterpolation2Point = MinimizeQuadraticLS


def ScipyMinimizeScalarLS(
    method: str = "brent",
    maxiter: int | None = None,
    bracket: Sequence[float] | None = None,
    bounds: tuple[float, float] | None = None,
) -> ScalarLinesearch:
    """Search by `scipy.optimize.minimize_scalar`. See `ScalarLinesearch`."""
    return ScalarLinesearch(method, maxiter, bracket, bounds)


def get_line_search(name: str) -> Any:
    """Return a line search by name: backtracking, multiplicative, brent (8 iterations), brent-exact, quadratic, ...

    Raises:
        OptionsError: if there is none of this name.
    """
    known: dict[str, Callable[[], Any]] = {
        "backtracking": BacktrackingLS,
        "multiplicative": MultiplicativeLS,
        "brent": lambda: ScipyMinimizeScalarLS(maxiter=8),
        "brent-exact": ScipyMinimizeScalarLS,
        "brent-norm": lambda: [Normalize(), ScipyMinimizeScalarLS(maxiter=8)],
        "quadratic": MinimizeQuadraticLS,
        "quadratic-3": MinimizeQuadratic3PointsLS,
        "linspace": LinspaceLS,
        "arange": ArangeLS,
    }
    if name not in known:
        raise OptionsError(f"get_line_search: name must be one of {', '.join(known)}, got {name!r}")
    return known[name]()


# ---- wrappers -------------------------------------------------------------------------------------------
def OptimizerWrapper(make: Callable[..., torch.optim.Optimizer], **settings: Any) -> Wrap:
    """Let an optimizer of torch make the step. See `Wrap`."""
    return Wrap(make, **settings)


ClosureOptimizerWrapper = UninitializedClosureOptimizerWrapper = OptimizerWrapper
MakeClosureFromModules = MakeClosure
