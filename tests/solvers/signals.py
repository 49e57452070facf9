"""Denoising by total variation, posed for primal-dual solvers, and its solution by SciPy."""

import math

import numpy as np
import torch
from scipy.optimize import lsq_linear

from manopt_torch import (
    Euclidean,
    StopAfterIteration,
    StopWhenPrimalDualResidualLess,
    TangentBundle,
    adjoint_differential_forward_logs,
    cost_l2_tv,
    forward_logs,
    prox_collaborative_tv,
    prox_distance,
)
from manopt_torch.functions.grid import by_direction, in_direction, scaled
from manopt_torch.manifolds.points import map_leaves

D = torch.float64
FOLLOW = {"update_primal_base": lambda p, o, i: o.x}


def seeded(n=0):
    return torch.Generator().manual_seed(n)


def converged(n, eps=1e-10):
    return StopAfterIteration(n) | StopWhenPrimalDualResidualLess(eps)


def denoising(M, alpha):
    """Half the squared distance to the data and alpha times the total variation of a signal, for vectors at points."""
    N = TangentBundle(M)

    def forward(x, f):
        return x, in_direction(M, forward_logs(M, x), 0)

    def adjoint(m, n, xi, f):
        across, along = N.split(n, xi)
        return map_leaves(torch.add, across, adjoint_differential_forward_logs(M, m, by_direction(M, [along])))

    def prox_g_dual(n, lam, xi, f):
        across, along = N.split(n, xi)
        z = by_direction(M, [map_leaves(torch.add, along, scaled(M, lam, n[1]))])
        kept = prox_collaborative_tv(M, lam, n[0], z, math.inf, math.inf, alpha)
        return N.join(n, map_leaves(torch.zeros_like, across), in_direction(M, kept, 0))

    return {
        "M": M,
        "N": N,
        "cost": lambda x, f: cost_l2_tv(M, f, alpha, x),
        "prox_f": lambda lam, x, f: prox_distance(M, lam, f, x),
        "prox_g_dual": prox_g_dual,
        "forward_operator": forward,
        "adjoint_linearized_operator": adjoint,
    }


def denoise(solver, M, f, alpha, x=None, xi=None, m=None, n=None, **keywords):
    start = f if x is None else x
    return solver(**denoising(M, alpha), x=start, xi=xi, m=m, n=n, data=(f,), return_options=True, **keywords)


def scipy_tv(f, alpha):
    """Total variation denoising on the line: the dual problem is one of least squares in a box."""
    d = np.diff(np.eye(f.shape[-1]), axis=0)
    rows = [lsq_linear(d.T, row, (-alpha, alpha), method="bvls", tol=1e-15) for row in f.numpy()]
    return f - torch.from_numpy(np.stack([d.T @ row.x for row in rows]))


def line_tv(alpha, f, **more):
    n = f.shape[-1]
    given = {
        "prox_f": lambda lam, x, f: (x + lam[..., None] * f) / (1 + lam[..., None]),
        "prox_g_dual": lambda n, lam, xi, f: (xi + lam[..., None] * n).clamp(-alpha, alpha),
        "forward_operator": lambda x, f: x.diff(),
        "return_options": True,
        "data": (f,),
    }
    cost = lambda x, f: 0.5 * (x - f).square().sum(-1) + alpha * x.diff().abs().sum(-1)  # noqa: E731
    return (Euclidean(n), Euclidean(n - 1), cost), given | more
