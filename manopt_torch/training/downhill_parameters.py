"""What is trained: the parameters of a loss, their names, and the manifold of which they are a point."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import torch

from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.manifolds.power import Power
from manopt_torch.manifolds.product import Product
from manopt_torch.training.evaluation import evaluating

Named = list[tuple[str, torch.Tensor]]


class Parameters:
    """Tensors that are moved in place, seen as one point of a product: a `ManifoldParameter` is on its manifold.

    Args:
        named: pairs of a name and a tensor.
        module: the module they were given as, if so; its buffers are kept with them.

    Raises:
        OptionsError: if there is none, one occurs twice, or one cannot be trained.
    """

    def __init__(self, named: Named, module: torch.nn.Module | None = None) -> None:
        if not named:
            raise OptionsError("there are no parameters to train: give tensors with requires_grad=True as params=")
        for name, tensor in named:
            _check_parameter(name, tensor)
        self.names: tuple[str, ...] = tuple(name for name, _ in named)
        self.tensors: tuple[torch.Tensor, ...] = tuple(tensor for _, tensor in named)
        if len({id(tensor) for tensor in self.tensors}) < len(named) or len(set(self.names)) < len(named):
            raise OptionsError(f"params: a parameter or a name occurs twice in {', '.join(self.names)}")
        self.M = Product(*map(_manifold_of, self.tensors))
        self._module = module
        self._buffers = () if module is None else tuple(module.buffers())

    def point(self) -> tuple[torch.Tensor, ...]:
        """Return a copy of the values."""
        return tuple(_by_reals(t, t.detach()).clone() for t in self.tensors)

    def tangent(self, parts: Iterable[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Return derivatives with respect to the tensors as a tangent vector."""
        return tuple(_by_reals(t, part) for t, part in zip(self.tensors, parts, strict=True))

    def weights(self, u: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """Return a tangent vector with the shapes of the tensors."""
        return tuple(_like(t, part) for t, part in zip(self.tensors, u, strict=True))

    @torch.no_grad()
    def move(self, x: Iterable[Any]) -> None:
        """Write the values of a point into the tensors."""
        for t, part in zip(self.tensors, x, strict=True):
            t.copy_(_like(t, part))

    def snapshot(self) -> tuple[Any, Any]:
        """Return copies of the values and of the buffers."""
        return self.point(), [buffer.clone() for buffer in self._buffers]

    @torch.no_grad()
    def restore(self, snapshot: tuple[Any, Any]) -> None:
        """Write a snapshot back."""
        point, buffers = snapshot
        self.move(point)
        for buffer, value in zip(self._buffers, buffers, strict=True):
            buffer.copy_(value)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the module into evaluation mode for a block, and each of its parts back into its own mode after it."""
        with nullcontext() if self._module is None else evaluating(self._module):
            yield

    @torch.no_grad()
    def set(self, values: Iterable[Any]) -> None:
        """Write given values, arrays or tensors of the same shapes, into the tensors.

        Raises:
            ShapeError: if there are more or fewer, or one has another shape.
        """
        given = [torch.as_tensor(value) for value in values]
        wanted, got = [tuple(t.shape) for t in self.tensors], [tuple(value.shape) for value in given]
        if wanted != got:
            raise ShapeError(f"the parameters {', '.join(self.names)} have shapes {wanted}, got {got}")
        for t, value in zip(self.tensors, given, strict=True):
            t.copy_(value)


def _check_parameter(name: str, tensor: Any) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise OptionsError(f"params: {name} is a {type(tensor).__name__}, not a tensor")
    if not tensor.requires_grad or not tensor.is_leaf:
        raise OptionsError(f"params: {name} must be a tensor with requires_grad=True that is no result of others")


def _manifold_of(tensor: torch.Tensor) -> Manifold:
    M = getattr(tensor, "manifold", None)
    if not isinstance(M, Manifold):
        return Euclidean(*_by_reals(tensor, tensor).shape)
    entries = M.batch_shape(tensor)
    return Power(M, *entries) if entries else M


def _by_reals(tensor: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """View values for a complex tensor as pairs of numbers; manifolds of complex numbers take them as they are."""
    return torch.view_as_real(value) if tensor.is_complex() and not hasattr(tensor, "manifold") else value


def _like(tensor: torch.Tensor, part: torch.Tensor) -> torch.Tensor:
    return torch.view_as_complex(part) if tensor.is_complex() and not part.is_complex() else part


# ---- names ----------------------------------------------------------------------------------------------------------
def named_parameters(params: Any, loss: Callable[..., Any]) -> Named:
    """Pair the parameters with names: their own, those of the variables that the loss reads, or `unnamed0`, ...

    Args:
        params: a module, a mapping or pairs from names to tensors, or tensors.
        loss: the function in whose variables names are looked for.
    """
    if isinstance(params, torch.nn.Module):
        return [(name, t) for name, t in params.named_parameters() if t.requires_grad]
    if isinstance(params, torch.Tensor):
        params = [params]
    listed: list[Any] = list(params.items() if isinstance(params, Mapping) else params)
    known = {id(tensor): name for name, tensor in _variables(loss)}
    named: Named = []
    for entry in listed:
        if isinstance(entry, tuple):
            name, tensor = entry
        else:
            unnamed = f"unnamed{sum(name.startswith('unnamed') for name, _ in named)}"
            name, tensor = known.get(id(entry), unnamed), entry
        named.append((str(name), tensor))
    return named


def parameters_of(loss: Callable[..., Any], batch: tuple[Any, ...]) -> Named:
    """Find the parameters that a loss depends on, in the order in which its graph uses them."""
    with torch.enable_grad():
        value = loss(*batch)
    return named_parameters(leaves_of(value), loss)


def leaves_of(value: Any) -> list[torch.Tensor]:
    """List the tensors at the ends of the graph of a value, in the order in which the graph uses them."""
    if isinstance(value, torch.Tensor) and value.is_leaf:
        return [value] if value.requires_grad else []
    found: dict[int, torch.Tensor] = {}
    seen: set[Any] = set()
    stack = [getattr(value, "grad_fn", None)]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[id(node.variable)] = node.variable
        stack += [follower for follower, _ in reversed(node.next_functions)]
    return list(found.values())


def _variables(loss: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors that a function, or those that it calls, read from outside, with their names there."""
    stack, seen = [loss], set()
    while stack:
        function = stack.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if isinstance(function, torch.nn.Module):
            yield from function.named_parameters()
        for name, value in _outside(function):
            if isinstance(value, torch.Tensor):
                yield name, value
            elif isinstance(value, torch.nn.Module):
                yield from ((f"{name}.{part}", t) for part, t in value.named_parameters())
            elif inspect.isfunction(value):
                stack.append(value)


def _outside(function: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and values of what a function or method reads from its object, from around it, and globally."""
    while isinstance(function, partial):
        function = function.func
    if inspect.ismethod(function):
        yield from getattr(function.__self__, "__dict__", {}).items()
        function = function.__func__
    if not inspect.isfunction(function):
        return
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # not assigned yet
            yield name, cell.cell_contents
    known = function.__globals__
    yield from ((name, known[name]) for name in function.__code__.co_names if name in known)
