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

from manopt_torch.linear_solvers.base import Normal
from manopt_torch.linear_solvers.cholesky import CholeskySolver
from manopt_torch.linear_solvers.recording import by_reciprocals, fingerprint, recorded_for_any_size
from manopt_torch.manifolds.euclidean import Euclidean
from manopt_torch.problems.counted import bare_problem
from manopt_torch.problems.residual_jacobian import restricted
from manopt_torch.problems.weighting import corrected, total

# one call evaluates as many problems as have data of so many bytes: on a CPU they stay in its cache
_BYTES_CPU, _BYTES_ELSEWHERE = 1 << 21, 1 << 28
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
        self._laid_out: WeakKeyDictionary[Any, tuple] = WeakKeyDictionary()
        arguments = self._arguments(p, x, 1)[0]
        count = 1 + len(self._own(p))
        axes = [-1 if k < count else None for k in range(len(arguments))]
        graph = by_reciprocals(recorded_for_any_size(normal_equations(p, arguments), arguments, axes))
        self._fn = torch.compile(graph, fullgraph=True, options=_COMPILER)
        for t in arguments[:count]:
            torch._dynamo.mark_dynamic(t, t.dim() - 1)
        self._fn(*arguments)
        self.seconds = time.perf_counter() - began

    def __call__(self, p: Any, x: torch.Tensor, batch: tuple[int, ...]) -> torch.Tensor:
        """Return cost, $J' r$ and $J' J$ at `x` in one row, shape `(*batch, 1 + n + n * n)`."""
        found = [self._fn(*arguments) for arguments in self._arguments(bare_problem(p), x, len(batch))]
        rows = (found[0] if len(found) == 1 else torch.cat(found, 1))[:, : torch.Size(batch).numel()]
        for kind in ("cost", "residuals", "gradient", "jacobian"):
            setattr(p.counts, kind, getattr(p.counts, kind) + 1)
        return rows.mT.unflatten(0, batch)

    def _arguments(self, p: Any, x: torch.Tensor, axes: int) -> list[tuple[torch.Tensor, ...]]:
        """Return the arguments of each call: coordinates, data and weights, laid out with the problems last."""
        tensors = self._own(p)
        versions = [t._version for t in tensors]
        known = self._laid_out.get(p)
        if known is None or known[0] != versions:
            flat = [t.flatten(0, axes - 1) for t in tensors]
            room = _BYTES_CPU if x.device.type == "cpu" else _BYTES_ELSEWHERE
            count = -(-sum(t.numel() * t.element_size() for t in flat) // room)
            known = self._laid_out[p] = versions, list(zip(*(_pieces(t, count) for t in flat), strict=True))
        shared = (p.weights,) if p.weights is not None and p.weights.dim() == 1 else ()
        points = _pieces(x.reshape(-1, p.M.dim), len(known[1]))
        return [(point, *own, *shared) for point, own in zip(points, known[1], strict=True)]

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


def normal_equations(p: Any, arguments: Sequence[torch.Tensor]) -> Callable[..., torch.Tensor]:
    """Return the function to compile: cost, $J' r$ and $J' J$, each number a row of its result.

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

    def jacobian(parts: tuple, r: torch.Tensor) -> list[torch.Tensor]:
        if p.jacobian is None:
            return [_derivative(model, parts, j) for j in range(n)]
        x = _point(p, parts[:n])
        return list(restricted(p.M, x, p.jacobian(x, *(t.movedim(-1, 0) for t in parts[n:])), r).unbind(-1))

    def function(x: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        parts = (*x.unbind(0), *others[:count])
        weights = None if p.weights is None else others[-1] if p.weights.dim() == 1 else others[-1].movedim(-1, 0)
        raw = model(*parts)
        r = corrected(raw, raw.unsqueeze(-1), weights, loss)[0]
        J = [corrected(raw, c.unsqueeze(-1), weights, loss)[1].squeeze(-1) for c in jacobian(parts, raw)]
        products = {(i, j): (J[i] * J[j]).sum(-1) for i in range(n) for j in range(i + 1)}
        system = [products[max(i, j), min(i, j)] for i in range(n) for j in range(n)]
        return torch.stack([total(raw, weights, loss), *((c * r).sum(-1) for c in J), *system])

    return function


def _derivative(fn: Callable[..., torch.Tensor], arguments: tuple, j: int) -> torch.Tensor:
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


def _pieces(t: torch.Tensor, count: int) -> list[torch.Tensor]:
    """Return pieces with the problems last; of two problems at least, since compilers take one for a special case."""
    t = torch.cat([t, t]) if t.shape[0] == 1 else t
    return [part.movedim(0, -1).contiguous() for part in t.tensor_split(min(count, t.shape[0] // 2))]


def normal_from(
    rows: torch.Tensor,  # shape: (*batch, 1 + n + n * n)
    n: int,
) -> tuple[torch.Tensor, Normal]:
    """Return cost and normal equations from what a compiled function returned."""
    system = rows[..., 1 + n :].unflatten(-1, (n, n))
    return rows[..., 0], Normal(rows[..., 1 : 1 + n], system.diagonal(dim1=-2, dim2=-1), (system,))


def warn_of_no_effect(why: str) -> None:
    """Warn that there is no compiled function."""
    warnings.warn(f"compile=True has no effect: {why}", RuntimeWarning, stacklevel=2)
