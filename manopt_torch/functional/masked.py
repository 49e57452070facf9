"""Lanes: where a lone problem (Python numbers) and a batch (tensors) part, and where loops find their host reads.

Step code is written once against a lane: it takes scalars through `lane.scalar` and combines them with
`+ - * < & |` and the functions below. In a lone CPU run these are Python floats, which halves the cost of a small
step; in a batch they are float64 tensors of shape `(*batch,)`, whatever the dtype of the points.

Why square roots are torch's in both lanes: `math.sqrt` and `torch.sqrt` round differently in about one of a hundred
values, and a lone run is meant to agree with its batch in bits.
"""

import cmath
import math
from typing import Any

import torch
from torch import Tensor

from manopt_torch._host import entries_of, largest_entry
from manopt_torch._host import host_read as host_read
from manopt_torch.functional.reads import any_active as any_active
from manopt_torch.functional.reads import count_active as count_active
from manopt_torch.functional.reads import note_read
from manopt_torch.functional.reads import reads as reads
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import axpy, expand_right, first_leaf, leaves, map_leaves, scale

_CPU = torch.device("cpu")  # whatever torch's default device is
# so few entries are looked at one by one in less time than a torch call takes
_FEW = 32
# so many entries are more than the cache of a core holds
_LARGE = 200_000


class Lone:
    """The lane of one problem without batch axes on the CPU: scalars are Python floats, masks Python bools."""

    # Python finds what belongs to the object faster than what belongs to the class, ordinary methods than static ones
    __slots__ = ("lone", "shape")

    def __init__(self) -> None:
        self.lone: bool = True
        self.shape: tuple[int, ...] = ()

    def scalar(self, value: Any) -> Any:
        """Turn a `()` tensor into a number."""
        if type(value) is float:
            return value
        try:
            return value.item()  # what is asked nearly always
        except AttributeError:
            return value

    answer = scalar  # of what a functor has answered, a number or a tensor

    def trial_cost(self, value: Tensor) -> float:
        """Turn the cost of a trial into a number: infinity, which no test accepts, if it is not finite."""
        number = value.item()
        return number if math.isfinite(number) else math.inf

    def full(self, value: Any) -> Any:
        """Return a scalar that is `value` for every problem."""
        return value

    def any(self, mask: bool) -> bool:
        """Tell whether the mask holds for any problem."""
        return mask

    def any_of(self, *masks: bool) -> tuple[bool, ...]:
        """Tell of each mask whether it holds for any problem."""
        return masks

    def not_(self, mask: bool) -> bool:
        """Negate a mask (`~True` is -2 in Python)."""
        return not mask

    def without(self, a: bool, b: bool) -> bool:
        """Tell where `a` holds and `b` does not."""
        return a and not b

    def where(self, mask: bool, a: Any, b: Any) -> Any:
        """Choose scalars or masks."""
        return a if mask else b

    pick = where  # points and tangents too

    def isfinite(self, value: float) -> bool:
        """Tell whether a scalar is neither NaN nor infinite."""
        return math.isfinite(value)

    def finite_or_zero(self, value: float) -> float:
        """Return the number, zero instead of one that is not finite."""
        return value if math.isfinite(value) else 0.0

    def sqrt(self, value: float) -> float:
        """Return the square root, rounded as torch rounds it; NaN for negative numbers."""
        return torch.scalar_tensor(value, dtype=torch.float64, device=_CPU).sqrt_().item()

    def div(self, a: float, b: float) -> float:
        """Divide as IEEE 754 does, also by zero."""
        if b:
            return a / b
        return math.nan if a == 0 or a != a else math.copysign(math.inf, a) * math.copysign(1.0, b)

    def min(self, a: float, b: float) -> float:
        """Return the smaller one; NaN wins."""
        return a if a != a or a < b else b

    def max(self, a: float, b: float) -> float:
        """Return the larger one; NaN wins."""
        return a if a != a or a > b else b

    def axpy(self, x: Any, s: float, u: Any) -> Any:
        """Return `x + s * u` for points or tangents."""
        if isinstance(x, Tensor):
            try:  # at once what succeeds nearly always
                return torch.add(x, u, alpha=s)
            except RuntimeError:
                return axpy(x, u, s, 0)
        return map_leaves(lambda a, b: axpy(a, b, s, 0), x, u)

    def scale(self, s: float, u: Any) -> Any:
        """Return `s * u` for points or tangents."""
        return u * s if isinstance(u, Tensor) else map_leaves(lambda a: scale(a, s, 0), u)

    def scaled_minus(self, s: Any, u: Any, v: Any) -> Any:
        """Return `s * u - v` for points or tangents."""
        return map_leaves(Tensor.sub_, self.scale(s, u), v)

    def size(self, u: Any) -> float:
        """Return the largest absolute entry of a point or tangent; NaN if there is one."""
        if isinstance(u, Tensor):
            return largest_entry(u)
        sizes = [largest_entry(leaf) for leaf in leaves(u)]
        return sizes[0] if len(sizes) == 1 else math.nan if any(s != s for s in sizes) else max(sizes)

    def finite(self, u: Any) -> bool:
        """Tell whether every entry of a point, tangent or scalar is finite."""
        if isinstance(u, Tensor) and u.dim() < 2 and u.numel() <= _FEW:
            return all(map(cmath.isfinite, entries_of(u))) if u.dim() else cmath.isfinite(u.item())
        return math.isfinite(self.size(u))


class Batch:
    """The lane of many problems, or of one on another device: scalars and masks are `(*batch,)` tensors."""

    lone = False

    def __init__(self, shape: tuple[int, ...], ref: Tensor) -> None:
        self.shape: tuple[int, ...] = tuple(shape)
        self._device = ref.device
        # mps knows no float64
        self._dtype = ref.dtype.to_real() if ref.device.type == "mps" else torch.float64

    def scalar(self, value: Any) -> Any:
        """Return a scalar in the lane's precision; Python numbers pass through."""
        if not isinstance(value, Tensor) or value.dtype is self._dtype:
            return value
        return value.to(self._dtype)

    def trial_cost(self, value: Tensor) -> Tensor:
        """Return the costs of trials in the lane's precision: infinity, which no test accepts, if not finite."""
        return torch.nan_to_num(self.scalar(value), nan=math.inf, posinf=math.inf, neginf=math.inf)

    def full(self, value: Any) -> Tensor:
        """Return a scalar (bool, int or float by the kind of `value`) that is `value` for every problem."""
        if isinstance(value, Tensor):
            return self.scalar(value).expand(self.shape)
        kind = {bool: torch.bool, int: torch.int64}.get(type(value), self._dtype)
        return torch.full(self.shape, value, dtype=kind, device=self._device)

    def answer(self, value: Any) -> Tensor:
        """Return what a functor has answered, a number or a tensor, as a scalar."""
        return self.scalar(value) if isinstance(value, Tensor) else self.full(value)

    @staticmethod
    def any(mask: Tensor | bool) -> bool:
        """Tell whether the mask holds for any problem: one host read."""
        return any_active(mask)

    @staticmethod
    def any_of(*masks: Tensor) -> tuple[bool, ...]:
        """Tell of each mask whether it holds for any problem: one host read for all of them."""
        if masks[0].is_meta:
            return (any_active(masks[0]),) * len(masks)
        note_read()
        with host_read():
            if masks[0].is_cpu and masks[0].dim() == 1 and len(masks[0]) <= _FEW:
                return tuple([True in mask.tolist() for mask in masks])
            return tuple(torch.stack(masks).view(len(masks), -1).any(-1).tolist())

    @staticmethod
    def not_(mask: Tensor) -> Tensor:
        """Negate a mask."""
        return torch.logical_not(mask)

    @staticmethod
    def without(a: Tensor, b: Tensor) -> Tensor:
        """Tell where `a` holds and `b` does not."""
        return torch.gt(a, b)  # of bools, in one operation

    @staticmethod
    def where(mask: Tensor, a: Any, b: Any) -> Tensor:
        """Choose scalars or masks per problem."""
        return torch.where(mask, a, b)

    def pick(self, mask: Tensor, a: Any, b: Any) -> Any:
        """Choose points or tangents per problem."""
        batch = len(self.shape)
        return map_leaves(lambda p, q: torch.where(expand_right(mask, p.dim() - batch), p, q), a, b)

    @staticmethod
    def isfinite(value: Tensor) -> Tensor:
        """Tell per problem whether a scalar is neither NaN nor infinite."""
        return torch.isfinite(value)

    @staticmethod
    def finite_or_zero(value: Any) -> Any:
        """Return scalars, points or tangents with zeros instead of entries that are not finite."""
        return map_leaves(lambda leaf: torch.nan_to_num(leaf, 0.0, 0.0, 0.0), value)

    @staticmethod
    def sqrt(value: Tensor) -> Tensor:
        """Return the square root."""
        return torch.sqrt(value)

    @staticmethod
    def div(a: Any, b: Any) -> Tensor:
        """Divide as IEEE 754 does, also by zero."""
        # torch's `number / tensor` multiplies by the reciprocal, which rounds twice
        return torch.div(a if isinstance(a, Tensor) else torch.full_like(b, a), b)

    @staticmethod
    def min(a: Any, b: Any) -> Tensor:
        """Return the smaller one; NaN wins."""
        if not isinstance(a, Tensor):
            a, b = b, a
        return torch.minimum(a, b) if isinstance(b, Tensor) else a.clamp(max=b)

    @staticmethod
    def max(a: Any, b: Any) -> Tensor:
        """Return the larger one; NaN wins."""
        if not isinstance(a, Tensor):
            a, b = b, a
        return torch.maximum(a, b) if isinstance(b, Tensor) else a.clamp(min=b)

    def axpy(self, x: Any, s: Any, u: Any) -> Any:
        """Return `x + s * u` for points or tangents."""
        batch = len(self.shape)
        return map_leaves(lambda a, b: axpy(a, b, s, a.dim() - batch), x, u)

    def scale(self, s: Any, u: Any) -> Any:
        """Return `s * u` for points or tangents."""
        batch = len(self.shape)
        return map_leaves(lambda a: scale(a, s, a.dim() - batch), u)

    scaled_minus = Lone.scaled_minus

    def size(self, u: Any) -> Tensor:
        """Return the largest absolute entry of a point or tangent; NaN if there is one."""
        size: Any = None
        for leaf in leaves(u):
            axes = tuple(range(len(self.shape), leaf.dim()))
            # some rows at a time, which stay in the cache
            pieces = leaf.split(max(_LARGE * len(leaf) // leaf.numel(), 1)) if leaf.numel() > _LARGE else (leaf,)
            # the maximum norm is the same number, but its kernel takes five times as long over rows
            sizes = [piece.abs().amax(axes) if axes else piece.abs() for piece in pieces]
            part = sizes[0] if len(sizes) == 1 else torch.cat(sizes)
            size = part if size is None else torch.maximum(size, part)
        return self.scalar(size)

    def finite(self, u: Any) -> Tensor:
        """Tell per problem whether every entry of a point, tangent or scalar is finite."""
        return self.size(u) < math.inf


Lane = Lone | Batch


def lane_for(M: Manifold, x: Any) -> Lane:
    """Choose the lane of a run from its start: `Lone` without batch axes on the CPU, else `Batch`."""
    batch, ref = M.batch_shape(x), first_leaf(x)
    return Lone() if not batch and ref.is_cpu else Batch(batch, ref)
