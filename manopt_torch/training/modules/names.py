"""The names of torchzero: each makes a rule, a search or a provider of this package."""

from collections.abc import Callable
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
from manopt_torch.plans.options import strict_keywords
from manopt_torch.training.modules.base import OwnRateRule
from manopt_torch.training.modules.searches import LossIncreaseRule, RandomSearch
from manopt_torch.training.modules.wrap import MakeClosure, Wrap


# ---- scale and entries ----------------------------------------------------------------------------------
@strict_keywords
def LR(lr: float = 1e-3) -> ScaleRule:
    """Scale by `lr`; the last one in a chain is the setting "lr" of the parameter groups. See `ScaleRule`."""
    return ScaleRule(lr)


@strict_keywords
def Lambda(f: Callable[[torch.Tensor], torch.Tensor]) -> LambdaRule:
    """Apply `f` to each tensor of the direction. See `LambdaRule`."""
    if not callable(f):
        raise OptionsError(f"Lambda: f must be callable, got {f!r}")
    return LambdaRule(lambda u: map_leaves(f, u))


@strict_keywords
def Reciprocal() -> LambdaRule:
    """Take reciprocals entry by entry. See `LambdaRule`."""
    return Lambda(torch.reciprocal)


@strict_keywords
def NanToNum(nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> LambdaRule:
    """Replace entries that are not finite. See `LambdaRule`."""
    return Lambda(lambda t: torch.nan_to_num(t, nan, posinf, neginf))


@strict_keywords
def Sign() -> SignRule:
    """Keep the signs only. See `SignRule`."""
    return SignRule()


@strict_keywords
def ClipValue(value: float = 1.0) -> ClipValueRule:
    """Cut off entries beyond `value`. See `ClipValueRule`."""
    return ClipValueRule(value)


@strict_keywords
def ClipNorm(max_norm: float = 1.0, ord: float = 2, *, scope: str = "global") -> ClipNormRule:
    """Shorten to `max_norm`: all parameters together, or each (`scope="factor"`). See `ClipNormRule`."""
    return ClipNormRule(max_norm, scope, order=ord)


@strict_keywords
def Normalize(norm_value: float = 1.0, ord: float = 2, min: float = 0.0, *, scope: str = "global") -> NormalizeRule:
    """Give the length `norm_value`: all parameters together, or each (`scope="factor"`). See `NormalizeRule`."""
    return NormalizeRule(norm_value, min, scope, order=ord)


# ---- momentum -------------------------------------------------------------------------------------------
@strict_keywords
def PolyakMomentum(momentum: float = 0.9, dampening: float = 0.0) -> HeavyBallRule:
    r"""Add a velocity: $d = u + (1 - \tau) v$, then $v \leftarrow \mu (v + u)$. See `HeavyBallRule`.

    Args:
        momentum: $\mu$; without dampening this is `torch.optim.SGD(momentum=)`.
        dampening: $\tau$, by which the velocity counts for less; that of `SGD` lessens the gradient, as in torch.
    """
    return HeavyBallRule(momentum, dampening, damped="velocity")


@strict_keywords
def NesterovMomentum(decay: float = 0.9, dampening: float = 0.0) -> NesterovRule:
    r"""Add a velocity and look ahead: $v \leftarrow \mu (v + u)$, then $d = u + (1 - \tau) v$. See `NesterovRule`.

    Args:
        decay: $\mu$; without dampening this is `torch.optim.SGD(nesterov=True)`.
        dampening: $\tau$, by which the velocity counts for less; that of `SGD` lessens the gradient, as in torch.
    """
    return NesterovRule(decay, dampening, damped="velocity")


@strict_keywords
def GradientAveraging(dampening: float = 0.0) -> AverageGradientRule:
    r"""Add the direction before, $d_i = u_i + (1 - \tau) u_{i-1}$. See `AverageGradientRule`, which averages more."""
    return AverageGradientRule(2, weights=(1.0, 1.0 - dampening))


@strict_keywords
def RandomCoordinateMomentum(p: float = 0.1, decay: float = 0.99, dampening: float = 0.0) -> CoordinateMomentumRule:
    """Momentum that takes up random entries. See `CoordinateMomentumRule`."""
    return CoordinateMomentumRule(p, decay, dampening)


@strict_keywords
def RandomCoordinateNesterovMomentum(
    p: float = 0.1, decay: float = 0.99, dampening: float = 0.0
) -> CoordinateMomentumRule:
    """Momentum that takes up random entries, renewed before its use. See `CoordinateMomentumRule`."""
    return CoordinateMomentumRule(p, decay, dampening, nesterov=True)


# ---- whole methods --------------------------------------------------------------------------------------
@strict_keywords
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
        momentum: of the velocity, see `HeavyBallRule`, or `NesterovRule` if `nesterov`.
        dampening: by which a gradient counts for less in the velocity.
        weight_decay: of `WeightDecay`, before the momentum.
        nesterov: which momentum.
    """
    rules: list[DirectionRule] = [WeightDecayRule(weight_decay)] if weight_decay else []
    if momentum:
        rules.append((NesterovRule if nesterov else HeavyBallRule)(momentum, dampening))
    return Chain([*rules, _rate(lr)])


@strict_keywords
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
@strict_keywords
def Cautious(scale: str = "none", eps: float = 1e-3) -> CautiousRule:
    """Leave out the entries in which the direction would make the loss grow. See `CautiousRule`."""
    return CautiousRule(scale, eps)


@strict_keywords
def Dropout(p: float = 0.5, *, rescale: bool = False, seed: int = 0) -> DropoutRule:
    """Leave out each entry with probability `p`. See `DropoutRule`."""
    return DropoutRule(p, rescale, seed)


@strict_keywords
def LRDropout(p: float = 0.5, *, seed: int = 0) -> DropoutRule:
    """Learning rate dropout: to be put last, it freezes each entry with probability `p`. See `DropoutRule`."""
    return DropoutRule(p, seed=seed)


@strict_keywords
def AddNoise(alpha: float = 1e-2, distribution: str = "normal", *, seed: int = 0) -> NoiseRule:
    """Add noise of standard deviation `alpha`. See `NoiseRule`."""
    return NoiseRule(alpha, seed, distribution=distribution)


@strict_keywords
def WeightDecay(alpha: float = 1e-2, ord: int = 2, make_closure: bool = False) -> Any:
    """Pull towards the origin, by the weights or their signs. See `WeightDecayRule`.

    Args:
        alpha: how much.
        ord: 2 or 1.
        make_closure: whether to act on every gradient that is evaluated, see `MakeClosure`.
    """
    rule = WeightDecayRule(alpha, ord)
    return MakeClosure(rule) if make_closure else rule


@strict_keywords
def LaplacianSmoothing(
    sigma: float = 1.0, layerwise: bool = True, min_numel: int = 4, make_closure: bool = False
) -> Any:
    """Smooth the direction along the entries of each tensor. See `LaplacianSmoothingRule`.

    Args:
        sigma: how much.
        layerwise: whether each tensor is smoothed by itself.
        min_numel: how many entries a tensor must have to be smoothed by itself.
        make_closure: whether to act on every gradient that is evaluated, see `MakeClosure`.
    """
    rule = LaplacianSmoothingRule(sigma, layerwise, min_numel=min_numel)
    return MakeClosure(rule) if make_closure else rule


@strict_keywords
def NegateOnLossIncrease() -> LossIncreaseRule:
    """Turn around where the step would make the loss grow. See `LossIncreaseRule`."""
    return LossIncreaseRule("negate")


@strict_keywords
def ZeroOnLossIncrease() -> LossIncreaseRule:
    """Make no step where it would make the loss grow. See `LossIncreaseRule`."""
    return LossIncreaseRule("zero")


@strict_keywords
def CyclicRS(low: float = -10.0, high: float = 10.0, *, seed: int = 0) -> RandomSearch:
    """Random search in one coordinate after the other. See `RandomSearch`."""
    return RandomSearch(low, high, cyclic=True, seed=seed)


# ---- wrappers -------------------------------------------------------------------------------------------
@strict_keywords
def OptimizerWrapper(make: Callable[..., torch.optim.Optimizer], *args: Any, **settings: Any) -> Wrap:
    """Let an optimizer of torch make the step. See `Wrap`."""
    return Wrap(make, *args, **settings)


ClosureOptimizerWrapper = UninitializedClosureOptimizerWrapper = OptimizerWrapper
MakeClosureFromModules = MakeClosure
