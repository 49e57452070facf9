"""What primal-dual solvers share: their state, the start of a run, and base points that move.

Their options have the parameters `xi`, `m`, `n`, `primal_stepsize`, `dual_stepsize`, `update_primal_base` and
`update_dual_base`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from manopt_torch._host import first_failures
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.functional.primal_dual import Bases
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.geodesics import carry, towards
from manopt_torch.manifolds.points import map_shaped
from manopt_torch.plans.begin import begin, cost_at_start
from manopt_torch.plans.options import Options, check_range, state


@dataclass(eq=False)
class PrimalDualOptions(Options):
    """Base of the options of primal-dual solvers: the state that they keep besides point and cost."""

    needs: ClassVar[tuple[str, ...]] = ("cost", "proximal_map", "dual_proximal_map")

    # updated every step
    dual: Any = state()
    tau: Any = state()  # step sizes, those of the next step where they change
    sigma: Any = state()
    primal_residual: Any = state()
    dual_residual: Any = state()
    dual_change: Any = state()
    # updated where base points move, see Bases
    primal_base: Any = state()
    dual_base: Any = state()
    base_image: Any = state()
    base_offset: Any = state()


def check_primal_dual(o: Any) -> None:
    """Raise unless the parameters that primal-dual solvers share are in their ranges."""
    for name in ("primal_stepsize", "dual_stepsize"):
        if not isinstance(getattr(o, name), torch.Tensor):
            check_range(o, name, 0.0, float("inf"))
    for name in ("update_primal_base", "update_dual_base"):
        update = getattr(o, name)
        if update is not None and not callable(update):
            raise OptionsError(
                f"{type(o).__name__}: {name} must be a function such as lambda p, o, i: o.x, got {update!r}"
            )


def begin_primal_dual(p: Any, o: Any) -> None:
    """Begin a run as `begin` does, and set base points and dual variable.

    Raises:
        OptionsError: if a step size is not positive or not one for each problem.
        ShapeError: if a base point or the dual variable has the wrong shape.
        NotOnManifoldError: if a base point is off its manifold, or the dual variable is not tangent.
    """
    former = None if o.dual is None else (o.dual_base, o.dual)
    begin(p, o)
    cost_at_start(p, o)
    lane, M, N = o.lane, p.M, p.N
    o.primal_base = o.x if o.m is None else given_point(M, o.m, lane.shape)
    o.base_image = o.base_offset = None
    if o.n is None:
        o.dual_base = p.get_forward_operator(o.primal_base)
        if N.batch_shape(o.dual_base) != tuple(lane.shape):
            raise ShapeError(f"forward_operator must return a point of {N!r} for each problem, batch axes {lane.shape}")
    else:
        o.dual_base = given_point(N, o.n, lane.shape)
    if o.n is not None or o.update_dual_base is not None:
        o.base_image, o.base_offset = _image_of(p, o.primal_base, o.dual_base)
    if former is not None:  # solving again goes on with the dual variable as well
        o.dual = carry(N, former[0], o.dual_base, former[1])
    elif o.xi is None:
        o.dual = N.zero_tangent(o.dual_base)
    else:
        o.dual = _expanded(N, o.xi, lane.shape)
        N.check_tangent(o.dual_base, o.dual)


def given_point(M: Manifold, x: Any, batch: tuple[int, ...]) -> Any:
    """Return a point given by the user, which all problems may share, one for each problem."""
    M.check_point(x)
    return _expanded(M, x, batch)


def _expanded(M: Manifold, x: Any, batch: tuple[int, ...]) -> Any:
    got = M.batch_shape(x)
    if got == tuple(batch):
        return x
    if got:
        raise ShapeError(
            f"a base point or dual variable has batch axes {got}, the start has {batch}: pass one for each"
        )
    return map_shaped(lambda ndim, leaf: leaf.expand(*batch, *leaf.shape[leaf.dim() - ndim :]), M.point_shape, x)


def step_of(o: Options, name: str) -> Any:
    """Return a step size given as a number, or as a tensor with one for each problem, as a scalar of the lane.

    Raises:
        OptionsError: if it is not positive and finite, or has another shape.
    """
    value, lane = getattr(o, name), o.lane
    if not isinstance(value, torch.Tensor):
        return lane.full(float(value))
    if value.shape not in (torch.Size(lane.shape), torch.Size()):
        raise OptionsError(
            f"{type(o).__name__}: {name} must be a number or a tensor of shape {lane.shape}, got {tuple(value.shape)}"
        )
    failures = first_failures((value > 0) & torch.isfinite(value))
    if failures:
        raise OptionsError(f"{type(o).__name__}: {name} must be positive and finite, not so at {failures}")
    return lane.scalar(lane.full(value))


def moved_bases(p: Any, o: Any, i: int) -> Bases | None:
    """Return the base points that the updates ask for before step `i`, with the dual variable carried along.

    None if nothing moves: there are no updates, or it is the first step.
    """
    if i <= 1 or (o.update_primal_base is None and o.update_dual_base is None):
        return None
    m = o.primal_base if o.update_primal_base is None else o.update_primal_base(p, o, i)
    if o.n is None and o.update_dual_base is None:
        n, image, offset = p.get_forward_operator(m), None, None
    else:
        n = o.dual_base if o.update_dual_base is None else o.update_dual_base(p, o, i)
        image, offset = _image_of(p, m, n)
    return Bases(m, n, image, offset, carry(p.N, o.dual_base, n, o.dual))


def _image_of(p: Any, m: Any, n: Any) -> tuple[Any, Any]:
    """Return the operator's value at `m`, and what leads to it from `n`."""
    if p.forward_operator is None:
        return None, None
    image = p.get_forward_operator(m)
    return image, towards(p.N, n, image)


def bases_of(o: Any) -> Bases:
    """Return the base points and the dual variable as they are."""
    return Bases(o.primal_base, o.dual_base, o.base_image, o.base_offset, o.dual)


def state_of_bases(b: Bases) -> dict[str, Any]:
    """Return the base points as state fields to write, None among them left out."""
    named = {"primal_base": b.m, "dual_base": b.n, "base_image": b.image, "base_offset": b.offset}
    return {name: value for name, value in named.items() if value is not None}


def checked_cost(p: Any, o: Any, x: Any, *tangents: Any) -> torch.Tensor:
    """Return the cost at `x`, NaN where a tangent vector that belongs to it is not finite."""
    cost, ok = p.get_cost(x), True
    for u in tangents:
        ok = o.lane.finite(u) & ok
    return o.lane.pick(ok, cost, torch.full_like(cost, torch.nan))
