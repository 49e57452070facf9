"""Newton's equation in coordinates: solvers, what is done where they fail, and a look at the cost after the step."""

import math
from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.points import map_leaves
from manopt_torch.plans.options import check_range

SOLVERS = ("cholesky", "lu", "cholesky_lu", "lstsq")
FALLBACKS = ("lstsq", "safe_diag", "gd")


def solved(rule: Any, p: Any, o: Any, H: torch.Tensor, u: Any) -> Any:
    """Return the solution of `(H + tikhonov I) d = u`, by the fallbacks of the rule where that is none."""
    M, lane = p.M, o.lane
    c, own = M.to_coordinates(o.x, u), H.dtype
    wide = torch.promote_types(own, torch.float32)  # there are no factorisations of half precision
    H, c = ((H + H.mT) / 2).to(wide), c.to(wide)
    if rule.tikhonov:
        H = H + rule.tikhonov * torch.eye(M.dim, dtype=H.dtype, device=H.device)
    if rule.diag:
        d = c / H.diagonal(dim1=-2, dim2=-1)
        ok = torch.isfinite(d).all(-1)
    else:
        d, ok = _by_factors(rule.solver, H, c)
    if lane.any(lane.not_(_mask(lane, ok))):
        d = torch.where(ok[..., None], d, _fallback(rule, H, c))
    d = torch.where(torch.isfinite(d).all(-1, keepdim=True), d, _descent(rule, c))
    step = M.from_coordinates(o.x, d.to(own))
    if not rule.validate:
        return step
    cost = lane.scalar(o.cost)
    after = lane.trial_cost(p.get_cost(M.retract(o.x, map_leaves(torch.neg, step))))
    fine = after - cost <= rule.tol * abs(cost)
    return lane.pick(fine, step, M.from_coordinates(o.x, _descent(rule, c).to(own)))


def _by_factors(solver: str, H: torch.Tensor, c: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve by factorisations, and tell for which problems it went well."""
    if solver == "lstsq":
        d = _least_squares(H, c)
        return d, torch.isfinite(d).all(-1)
    d, ok = torch.zeros_like(c), torch.zeros(c.shape[:-1], dtype=torch.bool, device=c.device)
    if solver != "lu":
        L, info = torch.linalg.cholesky_ex(H)
        d = torch.cholesky_solve(c[..., None], L)[..., 0]
        ok = (info == 0) & torch.isfinite(d).all(-1)
    if solver != "cholesky":
        e, info = torch.linalg.solve_ex(H, c)
        d = torch.where(ok[..., None], d, e)
        ok = ok | ((info == 0) & torch.isfinite(d).all(-1))
    return d, ok


def _fallback(rule: Any, H: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    if rule.fallback == "gd":
        return _descent(rule, c)
    if rule.fallback == "lstsq" and not rule.diag:
        return _least_squares(H, c)
    size = H.diagonal(dim1=-2, dim2=-1).abs()
    least = torch.finfo(size.dtype).eps * size.amax(-1, keepdim=True)
    return torch.where(size > least, c / size, c)


def _least_squares(H: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """Return the solution of least norm; zero where the matrix is not finite, which LAPACK does not take."""
    finite = torch.isfinite(H).all(-1).all(-1)[..., None, None]
    found = torch.linalg.pinv(torch.where(finite, H, 0.0), hermitian=True) @ c[..., None]
    return torch.where(finite, found, math.nan)[..., 0]


def _descent(rule: Any, c: torch.Tensor) -> torch.Tensor:
    length = torch.linalg.vector_norm(c, dim=-1, keepdim=True)
    return torch.where(length > 0, c * (rule.gd_lr / length), torch.zeros_like(c))


def _mask(lane: Any, mask: torch.Tensor) -> Any:
    return bool(mask) if lane.lone else mask


def check_solver(rule: Any) -> None:
    """Raise an OptionsError unless what the solution depends on is in range."""
    check_range(rule, "tikhonov", 0.0, math.inf, open_low=False)
    check_range(rule, "tol", 0.0, math.inf, open_low=False)
    check_range(rule, "gd_lr", 0.0, math.inf)
    for name, known in (("solver", SOLVERS), ("fallback", FALLBACKS)):
        if getattr(rule, name) not in known:
            raise OptionsError(
                f"{type(rule).__name__}: {name} must be one of {', '.join(known)}, got {getattr(rule, name)!r}"
            )
