"""Parameters of modules that live on a manifold."""

from typing import Any

import torch

from manopt_torch.errors import OptionsError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import is_nested


class ManifoldParameter(torch.nn.Parameter):
    r"""A parameter of a `torch.nn.Module` that is a point, or a batch of points, of a manifold.

    The values are checked once, when the parameter is made; `manifold` says to an optimizer how to move it. In all else
    it is a `torch.nn.Parameter`: modules register it, `.to()` and `.double()` convert it, `state_dict` holds its plain
    tensor and `load_state_dict` fills it again, copies and pickles keep the manifold. Like any parameter it shares the
    memory of `data`.

    An optimizer that knows no manifolds moves it off; `project_` brings it back, as it does after a change of dtype or
    a load that rounds. Points of `Product` and `TangentBundle` are tuples: give each part a parameter of its own.

    Args:
        data: the point, a tensor of floating or complex numbers.
        M: its manifold.
        requires_grad: whether it is to be trained.

    Shapes:
        data: `(*batch, *M.point_shape)`.

    Raises:
        OptionsError: if `M` is no manifold or has tuples as points, or `data` is no tensor of such numbers.
        ShapeError: if the trailing axes are not `M.point_shape`.
        NotOnManifoldError: if `data` is off the manifold.

    Examples:
        >>> from manopt_torch.manifolds import Stiefel
        >>> class Frame(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.weight = ManifoldParameter(torch.eye(4, 2), Stiefel(4, 2))
        ...
        ...     def forward(self, x):
        ...         return x @ self.weight
        >>> frame = Frame().double()
        >>> frame.weight.manifold, frame.weight.dtype, list(frame.state_dict())
        (Stiefel(4, 2), torch.float64, ['weight'])
    """

    manifold: Manifold

    def __new__(cls, data: torch.Tensor, M: Manifold, requires_grad: bool = True) -> "ManifoldParameter":
        """Check the point, then make the parameter."""
        if not isinstance(M, Manifold):
            raise OptionsError(f"ManifoldParameter(data, {M!r}): the second argument is a manifold")
        if is_nested(M.point_shape):
            raise OptionsError(f"points of {M!r} are tuples: make a ManifoldParameter of each part")
        if not isinstance(data, torch.Tensor) or not (data.is_floating_point() or data.is_complex()):
            got = str(data.dtype) if isinstance(data, torch.Tensor) else type(data).__name__
            raise OptionsError(f"ManifoldParameter: data is a tensor of floating or complex numbers, got {got}")
        with torch.no_grad():
            M.check_point(data)
        return _bound(data.detach(), M, requires_grad)

    def __init__(self, data: torch.Tensor, M: Manifold, requires_grad: bool = True) -> None:
        self.manifold = M

    @torch.no_grad()
    def project_(self) -> "ManifoldParameter":
        """Replace the values by those of the nearest point, in place."""
        self.copy_(self.manifold.project_point(self.detach()))
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "ManifoldParameter":
        """Copy the values; the manifold, which never changes, is shared."""
        if id(self) not in memo:
            copy = self.data.clone(memory_format=torch.preserve_format)
            memo[id(self)] = _bound(copy, self.manifold, self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Pickle values, manifold and flag; a point that has moved off meanwhile is restored as it is."""
        return _bound, (self.data, self.manifold, self.requires_grad)

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"ManifoldParameter on {self.manifold!r} containing:\n{self.data!r}"


def _bound(data: torch.Tensor, M: Manifold, requires_grad: bool) -> ManifoldParameter:
    """Make the parameter without a check."""
    parameter = torch.Tensor._make_subclass(ManifoldParameter, data, requires_grad)
    parameter.manifold = M
    return parameter
