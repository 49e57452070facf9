"""Ways on a manifold: along geodesics where it has them, else by retractions and transports in their place."""

from typing import Any

from manopt_torch.manifolds.base import Manifold


def towards(M: Manifold, x: Any, y: Any) -> Any:
    """Return the tangent vector at `x` that leads to `y`."""
    return M.log(x, y) if M.has_log else M.inverse_retract(x, y)


def move(M: Manifold, x: Any, u: Any, t: Any = None, method: str | None = None) -> Any:
    """Follow a tangent vector: along the geodesic, unless a retraction is named or there is none."""
    if method is None and M.has_exp:
        return M.exp(x, u, t)
    return M.retract(x, u, t, method)


def carry(M: Manifold, x: Any, y: Any, u: Any) -> Any:
    """Carry a tangent vector from `x` to `y`, in parallel where that is known: its length and its derivatives stay."""
    if x is y:
        return u
    return M.parallel_transport(x, y, u) if M.has_parallel_transport else M.transport(x, y, u)
