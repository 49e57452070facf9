"""Random elements of a manifold, and a smooth cost with its derivatives, to try the laws of a manifold on."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from manopt_torch.manifolds import Manifold
from manopt_torch.manifolds.points import first_leaf, leaves, map_leaves, to_vector


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Random elements that the laws are tried on: points within the injectivity radius, tangents of length one."""

    x: Any
    y: Any
    u: Any
    v: Any
    z: Any  # ambient arrays
    w: Any
    radius: Any  # 0.9 injectivity radii, at most two
    cost: Callable[[Any], torch.Tensor]


def draw(
    M: Manifold, batch: tuple[int, ...], dtype: torch.dtype, generator: torch.Generator | None, device: Any = None
) -> Sample:
    """Draw a sample; the same generator state gives the same sample."""
    x = M.random_point(*batch, generator=generator, dtype=dtype, device=device)
    u, v = M.random_tangent(x, generator), M.random_tangent(x, generator)
    radius = 0.9 * torch.as_tensor(M.injectivity_radius(x), dtype=dtype.to_real(), device=device).clamp(max=2 / 0.9)
    far = M.exp(x, v, 0.7 * radius) if M.has_exp else M.retract(x, v, 0.3 * radius)
    z, w = _gaussian(x, generator), _gaussian(x, generator)
    return Sample(x=x, y=far, u=u, v=v, z=z, w=w, radius=radius, cost=_smooth_cost(M, x, generator))


def derivatives(cost: Callable[[Any], torch.Tensor], x: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the Euclidean gradient of a cost and the function that applies its Euclidean Hessian."""
    with torch.enable_grad():
        point = map_leaves(lambda a: a.detach().clone().requires_grad_(), x)
        gradient = torch.autograd.grad(cost(point).sum(), leaves(point), create_graph=True)

    def hessian_vector(u: Any) -> Any:
        product = torch.autograd.grad(gradient, leaves(point), grad_outputs=leaves(u), retain_graph=True)
        parts = iter(product)
        return map_leaves(lambda _: next(parts), x)

    parts = iter([g.detach() for g in gradient])
    return map_leaves(lambda _: next(parts), x), hessian_vector


def _gaussian(x: Any, generator: torch.Generator | None) -> Any:
    return map_leaves(lambda a: torch.randn(a.shape, generator=generator, dtype=a.dtype, device=a.device), x)


def _smooth_cost(M: Manifold, x: Any, generator: torch.Generator | None) -> Callable[[Any], torch.Tensor]:
    shape = to_vector(x, M.point_shape).shape
    n, ref = shape[-1], first_leaf(x)
    a, b = (torch.randn(shape, generator=generator, dtype=ref.dtype.to_real(), device=ref.device) for _ in range(2))

    def cost(p: Any) -> torch.Tensor:
        p = to_vector(p, M.point_shape)
        # no polynomial, a Hessian of rank above one, and periodic, since angles may be wrapped
        return (a * torch.sin(p + b)).sum(-1) + (b * torch.cos(p + a)).sum(-1).square() / n

    return cost
