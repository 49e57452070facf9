"""The length of a direction, for stepsizes that know nothing else about it."""

from typing import Any

from manopt_torch.errors import OptionsError

TYPES = ("relative", "absolute")


def squared_length(p: Any, o: Any, lane: Any, eta: Any = None) -> Any:
    """Return the squared length of the direction: of `eta`, else of the gradient or subgradient at the iterate."""
    u = direction_of(p, o) if eta is None else eta
    return lane.scalar(p.M.inner(o.x, u, u))


def direction_of(p: Any, o: Any) -> Any:
    """Return what the solver descends by: the gradient or subgradient it holds, else one evaluated now."""
    for name in ("gradient", "subgradient"):
        held = getattr(o, name, None)
        if held is not None:
            return held
    return p.get_gradient(o.x) if "gradient" in o.needs else p.get_subgradient(o.x)


def absolute(p: Any, o: Any, lane: Any, length: Any, eta: Any = None) -> Any:
    """Return the step size that moves by `length`, or `length` itself where the direction is zero."""
    norm = lane.sqrt(squared_length(p, o, lane, eta))
    return lane.where(norm > 0.0, lane.div(length, norm), length)


def check_type(owner: Any, kind: str) -> str:
    """Return the kind of a length, or raise an OptionsError."""
    if kind not in TYPES:
        raise OptionsError(f"{type(owner).__name__}: type must be one of {', '.join(TYPES)}, got {kind!r}")
    return kind
