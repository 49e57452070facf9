"""Solvers: one file each, with its options and its front function."""

from manopt_torch.solvers.adaptive_regularization_with_cubics import (
    AdaptiveRegularizationOptions as AdaptiveRegularizationOptions,
)
from manopt_torch.solvers.adaptive_regularization_with_cubics import (
    adaptive_regularization_with_cubics as adaptive_regularization_with_cubics,
)
from manopt_torch.solvers.alternating_gradient_descent import (
    AlternatingGradientDescentOptions as AlternatingGradientDescentOptions,
)
from manopt_torch.solvers.alternating_gradient_descent import (
    alternating_gradient_descent as alternating_gradient_descent,
)
from manopt_torch.solvers.augmented_lagrangian_method import AugmentedLagrangianOptions as AugmentedLagrangianOptions
from manopt_torch.solvers.augmented_lagrangian_method import augmented_lagrangian_method as augmented_lagrangian_method
from manopt_torch.solvers.cma_es import CMAESOptions as CMAESOptions
from manopt_torch.solvers.cma_es import cma_es as cma_es
from manopt_torch.solvers.conjugate_gradient import ConjugateGradientOptions as ConjugateGradientOptions
from manopt_torch.solvers.conjugate_gradient import conjugate_gradient as conjugate_gradient
from manopt_torch.solvers.covariance import Covariance as Covariance
from manopt_torch.solvers.covariance import covariance as covariance
from manopt_torch.solvers.covariance import standard_errors as standard_errors
from manopt_torch.solvers.cyclic_proximal_point import CyclicProximalPointOptions as CyclicProximalPointOptions
from manopt_torch.solvers.cyclic_proximal_point import HarmonicParameter as HarmonicParameter
from manopt_torch.solvers.cyclic_proximal_point import cyclic_proximal_point as cyclic_proximal_point
from manopt_torch.solvers.dogleg import DoglegOptions as DoglegOptions
from manopt_torch.solvers.dogleg import dogleg as dogleg
from manopt_torch.solvers.douglas_rachford import DouglasRachfordOptions as DouglasRachfordOptions
from manopt_torch.solvers.douglas_rachford import douglas_rachford as douglas_rachford
from manopt_torch.solvers.douglas_rachford import reflect as reflect
from manopt_torch.solvers.exact_penalty_method import ExactPenaltyOptions as ExactPenaltyOptions
from manopt_torch.solvers.exact_penalty_method import exact_penalty_method as exact_penalty_method
from manopt_torch.solvers.frank_wolfe import FrankWolfeOptions as FrankWolfeOptions
from manopt_torch.solvers.frank_wolfe import frank_wolfe as frank_wolfe
from manopt_torch.solvers.gauss_newton import GaussNewtonOptions as GaussNewtonOptions
from manopt_torch.solvers.gauss_newton import gauss_newton as gauss_newton
from manopt_torch.solvers.interior_point_newton import InteriorPointNewtonOptions as InteriorPointNewtonOptions
from manopt_torch.solvers.interior_point_newton import interior_point_newton as interior_point_newton
from manopt_torch.solvers.levenberg_marquardt import LevenbergMarquardtOptions as LevenbergMarquardtOptions
from manopt_torch.solvers.levenberg_marquardt import levenberg_marquardt as levenberg_marquardt
from manopt_torch.solvers.mesh_adaptive_direct_search import (
    MeshAdaptiveDirectSearchOptions as MeshAdaptiveDirectSearchOptions,
)
from manopt_torch.solvers.mesh_adaptive_direct_search import mesh_adaptive_direct_search as mesh_adaptive_direct_search
from manopt_torch.solvers.nelder_mead import NelderMeadOptions as NelderMeadOptions
from manopt_torch.solvers.nelder_mead import nelder_mead as nelder_mead
from manopt_torch.solvers.particle_swarm import ParticleSwarmOptions as ParticleSwarmOptions
from manopt_torch.solvers.particle_swarm import particle_swarm as particle_swarm
from manopt_torch.solvers.projected_gradient import ProjectedGradientOptions as ProjectedGradientOptions
from manopt_torch.solvers.projected_gradient import projected_gradient as projected_gradient
from manopt_torch.solvers.proximal_gradient import ProximalGradientOptions as ProximalGradientOptions
from manopt_torch.solvers.proximal_gradient import proximal_gradient as proximal_gradient
from manopt_torch.solvers.proximal_point import ProximalPointOptions as ProximalPointOptions
from manopt_torch.solvers.proximal_point import proximal_point as proximal_point
from manopt_torch.solvers.quasi_newton import QuasiNewtonOptions as QuasiNewtonOptions
from manopt_torch.solvers.quasi_newton import quasi_newton as quasi_newton
from manopt_torch.solvers.riemannian_newton import NewtonOptions as NewtonOptions
from manopt_torch.solvers.riemannian_newton import riemannian_newton as riemannian_newton
from manopt_torch.solvers.statistics import mean as mean
from manopt_torch.solvers.statistics import median as median
from manopt_torch.solvers.statistics import variance as variance
from manopt_torch.solvers.steepest_descent import GradientDescentOptions as GradientDescentOptions
from manopt_torch.solvers.steepest_descent import steepest_descent as steepest_descent
from manopt_torch.solvers.stochastic_gradient_descent import (
    StochasticGradientDescentOptions as StochasticGradientDescentOptions,
)
from manopt_torch.solvers.stochastic_gradient_descent import (
    stochastic_gradient_descent as stochastic_gradient_descent,
)
from manopt_torch.solvers.subgradient_method import SubGradientMethodOptions as SubGradientMethodOptions
from manopt_torch.solvers.subgradient_method import subgradient_method as subgradient_method
from manopt_torch.solvers.truncated_conjugate_gradient import (
    TruncatedConjugateGradientOptions as TruncatedConjugateGradientOptions,
)
from manopt_torch.solvers.truncated_conjugate_gradient import (
    truncated_conjugate_gradient as truncated_conjugate_gradient,
)
from manopt_torch.solvers.trust_regions import TrustRegionsOptions as TrustRegionsOptions
from manopt_torch.solvers.trust_regions import trust_regions as trust_regions
