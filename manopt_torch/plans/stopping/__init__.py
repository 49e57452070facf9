"""Stopping criteria: functors that decide per problem whether it is finished."""

from manopt_torch.plans.stopping.base import StoppingCriterion as StoppingCriterion
from manopt_torch.plans.stopping.budget import StopAfter as StopAfter
from manopt_torch.plans.stopping.budget import StopAfterIteration as StopAfterIteration
from manopt_torch.plans.stopping.change import StopWhenChangeLess as StopWhenChangeLess
from manopt_torch.plans.stopping.change import StopWhenStepsizeLess as StopWhenStepsizeLess
from manopt_torch.plans.stopping.combine import StopWhenAll as StopWhenAll
from manopt_torch.plans.stopping.combine import StopWhenAny as StopWhenAny
from manopt_torch.plans.stopping.combine import StopWhenRepeated as StopWhenRepeated
from manopt_torch.plans.stopping.cost import StopWhenCostLess as StopWhenCostLess
from manopt_torch.plans.stopping.gradient_norm import StopWhenGradientNormLess as StopWhenGradientNormLess
from manopt_torch.plans.stopping.nonfinite import StopWhenNonFinite as StopWhenNonFinite
