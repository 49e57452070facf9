"""Stopping criteria: functors that decide per problem whether it is finished."""

from manopt_torch.plans.stopping.base import StoppingCriterion as StoppingCriterion
from manopt_torch.plans.stopping.budget import StopAfter as StopAfter
from manopt_torch.plans.stopping.budget import StopAfterIteration as StopAfterIteration
from manopt_torch.plans.stopping.bundle import StopWhenLagrangeMultiplierLess as StopWhenLagrangeMultiplierLess
from manopt_torch.plans.stopping.change import StopWhenChangeLess as StopWhenChangeLess
from manopt_torch.plans.stopping.change import StopWhenStepsizeLess as StopWhenStepsizeLess
from manopt_torch.plans.stopping.combine import StopWhenAll as StopWhenAll
from manopt_torch.plans.stopping.combine import StopWhenAny as StopWhenAny
from manopt_torch.plans.stopping.combine import StopWhenRepeated as StopWhenRepeated
from manopt_torch.plans.stopping.cost import StopWhenCostLess as StopWhenCostLess
from manopt_torch.plans.stopping.differences import StopWhenCostChangeLess as StopWhenCostChangeLess
from manopt_torch.plans.stopping.differences import StopWhenEntryChangeLess as StopWhenEntryChangeLess
from manopt_torch.plans.stopping.differences import StopWhenGradientChangeLess as StopWhenGradientChangeLess
from manopt_torch.plans.stopping.differences import (
    StopWhenRelativeAPosterioriCostChangeLessOrEqual as StopWhenRelativeAPosterioriCostChangeLessOrEqual,
)
from manopt_torch.plans.stopping.entry import StopWhenSmallerOrEqual as StopWhenSmallerOrEqual
from manopt_torch.plans.stopping.evolution import (
    StopWhenBestCostInGenerationConstant as StopWhenBestCostInGenerationConstant,
)
from manopt_torch.plans.stopping.evolution import StopWhenCovarianceIllConditioned as StopWhenCovarianceIllConditioned
from manopt_torch.plans.stopping.evolution import StopWhenEvolutionStagnates as StopWhenEvolutionStagnates
from manopt_torch.plans.stopping.evolution import (
    StopWhenPopulationCostConcentrated as StopWhenPopulationCostConcentrated,
)
from manopt_torch.plans.stopping.evolution import StopWhenPopulationDiverges as StopWhenPopulationDiverges
from manopt_torch.plans.stopping.evolution import (
    StopWhenPopulationStronglyConcentrated as StopWhenPopulationStronglyConcentrated,
)
from manopt_torch.plans.stopping.gradient_norm import StopWhenGradientNormLess as StopWhenGradientNormLess
from manopt_torch.plans.stopping.gradient_norm import (
    StopWhenRelativeGradientNormLess as StopWhenRelativeGradientNormLess,
)
from manopt_torch.plans.stopping.gradient_norm import StopWhenSubgradientNormLess as StopWhenSubgradientNormLess
from manopt_torch.plans.stopping.inner import StopWhenAllLanczosVectorsUsed as StopWhenAllLanczosVectorsUsed
from manopt_torch.plans.stopping.inner import StopWhenCurvatureIsNegative as StopWhenCurvatureIsNegative
from manopt_torch.plans.stopping.inner import StopWhenModelIncreased as StopWhenModelIncreased
from manopt_torch.plans.stopping.inner import (
    StopWhenResidualIsReducedByFactorOrPower as StopWhenResidualIsReducedByFactorOrPower,
)
from manopt_torch.plans.stopping.inner import StopWhenTrustRegionIsExceeded as StopWhenTrustRegionIsExceeded
from manopt_torch.plans.stopping.iteration_condition import (
    StopWhenCriterionWithIterationCondition as StopWhenCriterionWithIterationCondition,
)
from manopt_torch.plans.stopping.kkt import StopAtRestUnsolved as StopAtRestUnsolved
from manopt_torch.plans.stopping.kkt import StopWhenKKTResidualLess as StopWhenKKTResidualLess
from manopt_torch.plans.stopping.least_squares import StopWhenCosineLess as StopWhenCosineLess
from manopt_torch.plans.stopping.least_squares import StopWhenReductionLess as StopWhenReductionLess
from manopt_torch.plans.stopping.least_squares import StopWhenRelativeStepLess as StopWhenRelativeStepLess
from manopt_torch.plans.stopping.mesh import StopWhenPollSizeLess as StopWhenPollSizeLess
from manopt_torch.plans.stopping.nonfinite import StopWhenNonFinite as StopWhenNonFinite
from manopt_torch.plans.stopping.population import (
    StopWhenPopulationConcentrated as StopWhenPopulationConcentrated,
)
from manopt_torch.plans.stopping.population import StopWhenSwarmVelocityLess as StopWhenSwarmVelocityLess
from manopt_torch.plans.stopping.primal_dual import StopWhenPrimalDualResidualLess as StopWhenPrimalDualResidualLess
from manopt_torch.plans.stopping.stationarity import StopWhenGapLess as StopWhenGapLess
from manopt_torch.plans.stopping.stationarity import StopWhenGradientMappingNormLess as StopWhenGradientMappingNormLess
from manopt_torch.plans.stopping.stationarity import StopWhenStationarityLess as StopWhenStationarityLess
