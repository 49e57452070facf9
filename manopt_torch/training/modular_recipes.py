"""Modular optimizers under one name, as torchzero has them ready-made."""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.plans.options import strict_keywords
from manopt_torch.training.modular import ModularOptimizer
from manopt_torch.training.modules.differences import FDM, RandomizedFDM
from manopt_torch.training.modules.names import LR
from manopt_torch.training.modules.names_of_searches import BacktrackingLS, MultiplicativeLS
from manopt_torch.training.modules.newton import NewtonFDM, NewtonGradFDM
from manopt_torch.training.modules.projections import ProjAscentRay, ProjGradRay, ProjNormalize, ProjRandom
from manopt_torch.training.modules.quasi_newton import QuasiNewton
from manopt_torch.training.modules.subspace import Subspace
from manopt_torch.training.modules.wrap import Wrap


@strict_keywords
def SPSA(params: Any, lr: float = 1e-3, eps: float = 1e-2, n_samples: int = 1, *, seed: int = 0) -> ModularOptimizer:
    """Descend along central differences in random directions of signs, see `RandomizedFDM`."""
    return ModularOptimizer(params, [RandomizedFDM(eps, "central", n_samples, "rademacher", seed=seed), LR(lr)])


@strict_keywords
def RandomGaussianSmoothing(
    params: Any, lr: float = 1e-2, eps: float = 1e-2, n_samples: int = 10, *, seed: int = 0
) -> ModularOptimizer:
    """Descend along forward differences in normal directions, see `RandomizedFDM`."""
    return ModularOptimizer(params, [RandomizedFDM(eps, "forward", n_samples, "normal", seed=seed), LR(lr)])


@strict_keywords
def FDMWrapper(
    params: Any, make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD, eps: float = 1e-5, **settings: Any
) -> ModularOptimizer:
    """Let an optimizer of torch descend along finite differences, see `FDM` and `Wrap`."""
    return ModularOptimizer(params, [FDM(eps), Wrap(make, **settings)])


@strict_keywords
def RandomizedFDMWrapper(
    params: Any, make: Callable[..., torch.optim.Optimizer] = torch.optim.SGD, eps: float = 1e-5, **settings: Any
) -> ModularOptimizer:
    """Let an optimizer of torch descend along random differences, see `RandomizedFDM` and `Wrap`."""
    return ModularOptimizer(params, [RandomizedFDM(eps), Wrap(make, **settings)])


@strict_keywords
def RandomSubspaceNewtonFDM(
    params: Any, subspace_ndim: int = 3, eps: float = 1e-3, *, seed: int = 0
) -> ModularOptimizer:
    """Newton's method by finite differences in random directions, see `Subspace` and `NewtonFDM`."""
    return ModularOptimizer(params, [Subspace(ProjRandom(subspace_ndim, seed)), NewtonFDM(eps)])


@strict_keywords
def NewtonFDMRaySearch(params: Any, n: int = 1, eps: float = 1e-2, ray: float = 0.1) -> ModularOptimizer:
    """Newton's method by finite differences among rays near the gradient, see `ProjGradRay`."""
    rays = ProjNormalize(ProjGradRay(ray, n))
    return ModularOptimizer(params, [Subspace(rays), NewtonFDM(eps), BacktrackingLS()])


@strict_keywords
def NewtonGradFDMRaySearch(params: Any, n: int = 1, eps: float = 1e-2, ray: float = 0.1) -> ModularOptimizer:
    """Divide by differences of gradients among rays near the gradient, see `NewtonGradFDM`."""
    rays = ProjNormalize(ProjGradRay(ray, n))
    return ModularOptimizer(params, [Subspace(rays), NewtonGradFDM(eps), BacktrackingLS()])


@strict_keywords
def LBFGSRaySearch(params: Any, n: int = 1, memory_size: int = 10, ray: float = 0.1) -> ModularOptimizer:
    """Search along rays near the limited-memory BFGS direction, see `QuasiNewton` and `ProjAscentRay`."""
    rays = ProjNormalize(ProjAscentRay(ray, n))
    return ModularOptimizer(params, [QuasiNewton(memory_size), Subspace(rays), MultiplicativeLS()])
