r"""Cost, gradient and $J'J$ of a batch by one compiled function, in which the Jacobian is never stored.

Every entry of $J'J$ is a sum over the residuals of a product of two columns; the compiler fuses these sums with the
residuals and their derivatives into one loop. Its innermost index is the problem: data and parameters are laid out
with the problems last, so that neighbouring numbers belong to neighbouring problems, and each processor instruction
works on several of them. It is compiled once for any number of problems.
"""

import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.fx import GraphModule

from manopt_torch.linear_solvers.base import Normal
from manopt_torch.linear_solvers.cholesky import CholeskySolver
from manopt_torch.linear_solvers.recording import by_reciprocals, compiled, fingerprint, recorded, recorded_for_any_size
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.residual_jacobian import restricted
from manopt_torch.problems.weighting import corrected, total

# so many problems lie side by side, each number of one next to that of another: two registers of a wide processor
_BLOCK = 16
# the compiler is shown so many: what pays for a few does not for many
_EXAMPLE = 1000
# one loop for everything: nothing but results is stored
_COMPILER: dict[str, Any] = {
    "realize_reads_threshold": 1 << 10,
    "realize_opcount_threshold": 1 << 12,
    "realize_acc_reads_threshold": 1 << 10,
    "max_fusion_size": 1 << 12,
    "cpp.max_horizontal_fusion_size": 1 << 12,
    # a residual that reads data in the order of its memory would be stored in a loop of its own
    "pick_loop_orders": False,
}
# sums for this many parameters at most: beyond, a loop over all products would do more than a matrix product
_MOST_PARAMETERS = 16
# compiled functions that are kept: a run is often followed by another with other data
_KEPT = 32
_kernels: OrderedDict[Any, "Kernel | None"] = OrderedDict()


class Kernel:
    """A compiled function of one family of problems.

    Args:
        p: a batch of the family, with one batch axis.
        x: its points, shape `(problems, *point_shape)`.
        constants: what must not be forgotten as long as the function is kept.

    Attributes:
        seconds: how long the compiler took.
    """

    def __init__(self, p: Any, x: torch.Tensor, constants: Sequence[torch.Tensor]) -> None:
        began = time.perf_counter()
        self.constants = constants
        self._laid_out: WeakKeyDictionary[Any, tuple[Any, ...]] = WeakKeyDictionary()
        self.block: int | None = _BLOCK
        try:
            graph = self._graph(p, arguments := self._arguments(p, x, 1))
        except (RuntimeError, ValueError):  # there is no rule for blocks of some operation
            self.block = None
            self._laid_out.clear()
            graph = self._graph(p, arguments := self._arguments(p, x, 1))
        self._fn = compiled(graph, **_COMPILER)
        self._fn(*arguments)
        self.seconds: float = time.perf_counter() - began

    def _graph(self, p: Any, arguments: tuple[torch.Tensor, ...]) -> GraphModule:
        """Return the function to compile, for blocks or for a single one of any size, as a graph."""
        count = 1 + len(self._own(p))
        if self.block is None:
            axes = [-1 if k < count else None for k in range(len(arguments))]
            one = normal_equations(p, [t[0] for t in arguments[:count]])

            def everything(*arguments: torch.Tensor) -> torch.Tensor:
                return torch.stack(one(*(t[0] if k < count else t for k, t in enumerate(arguments)))).unsqueeze(0)

            return by_reciprocals(recorded_for_any_size(everything, arguments, axes))
        axes = [0 if k < count else None for k in range(len(arguments))]
        block = [t[0] if k < count else t for k, t in enumerate(arguments)]
        graph = by_reciprocals(recorded(normal_equations(p, block), block))

        def blocks(*arguments: torch.Tensor) -> torch.Tensor:
            # next to each other in memory, or the compiler would take two axes for one in some of the sums
            return torch.stack(torch.func.vmap(graph, in_dims=tuple(axes))(*arguments), 1)

        return recorded_for_any_size(blocks, arguments, axes)

    def __call__(self, p: Any, x: torch.Tensor, batch: tuple[int, ...]) -> torch.Tensor:
        """Return what `normal_from` takes apart, shape `(*batch, 1 + n + n * (n + 1) / 2)`."""
        rows = self._fn(*self._arguments(bare_problem(p), x, len(batch)))
        for kind in ("cost", "residuals", "gradient", "jacobian"):
            setattr(p.counts, kind, getattr(p.counts, kind) + 1)
        return rows.movedim(1, 0).flatten(1)[:, : torch.Size(batch).numel()].mT.unflatten(0, batch)

    def _arguments(self, p: Any, x: torch.Tensor, axes: int) -> tuple[torch.Tensor, ...]:
        """Return the arguments of a call: coordinates, data and weights, in blocks of problems, which come last."""
        tensors = self._own(p)
        versions = [t._version for t in tensors]
        known = self._laid_out.get(p)
        if known is None or known[0] != versions:
            laid_out = [_in_blocks(t.flatten(0, axes - 1), self.block) for t in tensors]
            known = self._laid_out[p] = versions, laid_out
        shared = (p.weights,) if p.weights is not None and p.weights.dim() == 1 else ()
        return (_in_blocks(x.reshape(-1, p.M.dim), self.block), *known[1], *shared)

    @staticmethod
    def _own(p: Any) -> tuple[torch.Tensor, ...]:
        """Return the tensors that each problem has its own part of."""
        return (*p.data, p.weights) if p.weights is not None and p.weights.dim() > 1 else p.data


def kernel_for(
    solver: Any,
    p: Any,
    x: torch.Tensor,  # shape: (*batch, *point_shape)
    batch: tuple[int, ...],
    dtype: torch.dtype | None = None,
) -> Kernel | None:
    """Return the compiled function that evaluates a problem; None, with a warning, where there can be none.

    One that was compiled before serves again if residuals, Jacobian and loss still do the same with the same numbers.
    """
    if not torch.Size(batch).numel():
        return None  # nothing is slow about no problems
    p = bare_problem(p)
    if dtype is not None or not _covered(solver, p):
        warn_of_no_effect(
            "it covers Cholesky's solver, data, few parameters in Euclidean space, derivatives given or by autograd"
        )
        return None
    part, two = p.piece(0, 2, len(batch)), x.flatten(0, len(batch) - 1)[:2]
    own = part.weights is not None and part.weights.dim() > 1

    def meaning(x: torch.Tensor, *data: torch.Tensor) -> None:
        r = part.residuals(x, *data)
        corrected(r, r.unsqueeze(-1), None, part.loss)
        if part.jacobian is not None:
            part.jacobian(x, *data)

    try:
        lines, constants = fingerprint(meaning, (two, *part.data))
        kinds = tuple((t.shape[1:], t.dtype, t.device) for t in (two, *part.data))
        key = (lines, kinds, part.weights is not None, own, part.M.point_shape, torch.get_num_threads())
        if key not in _kernels:
            _kernels[key] = None  # where the compiler fails it is not asked again
            some = torch.arange(_EXAMPLE, device=x.device) % x.shape[: len(batch)].numel()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # those of the compiler about itself
                _kernels[key] = Kernel(p.take(some, len(batch)), x.flatten(0, len(batch) - 1)[some], constants)
    except Exception as error:  # whatever a compiler may raise: it is an accelerator, no part of the method
        warn_of_no_effect(f"the compiler failed ({type(error).__name__}: {str(error).strip().splitlines()[:1]})")
        return None
    if _kernels[key] is None:
        warn_of_no_effect("the compiler failed before")
    _kernels.move_to_end(key)
    if len(_kernels) > _KEPT:
        _kernels.popitem(last=False)
    return _kernels[key]


def _covered(solver: Any, p: Any) -> bool:
    euclidean = isinstance(p.M, Euclidean) and p.M.dim <= _MOST_PARAMETERS
    return isinstance(solver, CholeskySolver) and euclidean and bool(p.data) and p.way != "finite"


def normal_equations(p: Any, arguments: Sequence[torch.Tensor]) -> Callable[..., list[torch.Tensor]]:
    """Return the function to compile: twice the cost, $J' r$ and the lower triangle of $J' J$, number by number.

    Its arguments are coordinates, shape `(n, size)`, data, and weights if there are any, with the problems last.
    """
    n, loss, count = p.M.dim, p.loss, len(p.data)

    def residuals(*columns_and_data: torch.Tensor) -> torch.Tensor:
        data = (t.movedim(-1, 0) for t in columns_and_data[n:])
        return p.residuals(_point(p, columns_and_data[:n]), *data)

    model: Callable[..., torch.Tensor] = residuals
    if p.jacobian is None:
        # without its stacks, the derivative in the direction of a coordinate touches only what depends on it
        parts = [*arguments[0].unbind(0), *arguments[1 : 1 + count]]
        model = recorded_for_any_size(residuals, parts, [-1] * len(parts))

    def jacobian(parts: tuple[Any, ...], r: torch.Tensor) -> list[torch.Tensor]:
        if p.jacobian is None:
            return [_derivative(model, parts, j) for j in range(n)]
        x = _point(p, parts[:n])
        return list(restricted(p.M, x, p.jacobian(x, *(t.movedim(-1, 0) for t in parts[n:])), r).unbind(-1))

    def function(x: torch.Tensor, *others: torch.Tensor) -> list[torch.Tensor]:
        parts = (*x.unbind(0), *others[:count])
        weights = None if p.weights is None else others[-1] if p.weights.dim() == 1 else others[-1].movedim(-1, 0)
        raw = model(*parts)
        r = corrected(raw, raw.unsqueeze(-1), weights, loss)[0]
        J = [corrected(raw, c.unsqueeze(-1), weights, loss)[1].squeeze(-1) for c in jacobian(parts, raw)]
        products = [(J[i] * J[j]).sum(-1) for i in range(n) for j in range(i + 1)]
        return [total(raw, weights, loss, 1.0), *((c * r).sum(-1) for c in J), *products]

    return function


def _derivative(fn: Callable[..., torch.Tensor], arguments: tuple[Any, ...], j: int) -> torch.Tensor:
    """Return the derivative of `fn` in the direction of its j-th argument: that of its transpose, which is linear."""
    with torch.enable_grad():
        c = arguments[j].detach().requires_grad_()
        r = fn(*arguments[:j], c, *arguments[j + 1 :])
        if not r.requires_grad:
            return torch.zeros_like(r)
        w = torch.zeros_like(r).requires_grad_()
        (back,) = torch.autograd.grad(r, c, w, create_graph=True)
        return torch.autograd.grad(back, w, torch.ones_like(back))[0]


def _point(p: Any, columns: Sequence[torch.Tensor]) -> torch.Tensor:
    """Put coordinates together to points, shape `(size, *point_shape)`."""
    x = torch.stack(list(columns), -1)
    return x if len(p.M.point_shape) == 1 else x.unflatten(-1, p.M.point_shape)


def _in_blocks(t: torch.Tensor, block: int | None) -> torch.Tensor:
    """Divide a tensor, shape `(problems, ...)`, into blocks of problems, which come last: `(blocks, ..., block)`.

    The last problem fills up what is missing. None is a single block, of two problems at least, since compilers take
    one for a special case.
    """
    missing = -t.shape[0] % block if block else max(0, 2 - t.shape[0])
    t = torch.cat([t, t[-1:].expand(missing, *t.shape[1:])]) if missing else t
    return t.unflatten(0, (-1, block or t.shape[0])).movedim(1, -1).contiguous()


def normal_from(
    rows: torch.Tensor,  # shape: (*batch, 1 + n + n * (n + 1) / 2)
    n: int,
) -> tuple[torch.Tensor, Normal]:
    """Return cost and normal equations from what a compiled function returned."""
    triangle = rows[..., 1 + n :]
    diagonal = torch.stack([triangle[..., j * (j + 3) // 2] for j in range(n)], -1)
    return 0.5 * rows[..., 0], Normal(rows[..., 1 : 1 + n], diagonal, (triangle,))


def warn_of_no_effect(why: str) -> None:
    """Warn that there is no compiled function."""
    warnings.warn(f"compile=True has no effect: {why}", RuntimeWarning, stacklevel=2)
