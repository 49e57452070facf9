"""Problems that couple two manifolds, for primal-dual solvers."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch

from manopt_torch.errors import MissingDerivativeError, OptionsError, ShapeError
from manopt_torch.manifolds.base import Manifold
from manopt_torch.manifolds.points import leaves, map_leaves
from manopt_torch.problems.autodiff import backward, grad_mode, tracked
from manopt_torch.problems.base import Problem, map_over_batch


class PrimalDualProblem(Problem):
    r"""Minimise $f(x) = F(x) + G(\Lambda(x))$ with $\Lambda\colon \mathcal M \to \mathcal N$, by two proximal maps.

    One is that of $F$, the other that of the Fenchel dual of $G$ at a point $n$,

    $$G_n^*(\xi) = \sup_{X \in T_n\mathcal N} \langle \xi, X\rangle_n - G(\exp_n X), \qquad
    \operatorname{prox}_{\sigma G_n^*}(\xi) = \arg\min_{\eta \in T_n\mathcal N} \tfrac12 \lVert \eta - \xi\rVert_n^2 +
    \sigma\, G_n^*(\eta),$$

    where dual variables are tangent vectors, by the metric. $\Lambda$ enters by its values, by its differential
    $D\Lambda(m)$ at a point $m$ of $\mathcal M$, and by the adjoint of that. The arguments of the callables stand in
    the order of Manopt.jl, less the manifolds; `lam` is a number, or one for each problem, of shape `(*batch,)`.

    Args:
        M: the manifold of the unknown.
        N: the manifold in which $\Lambda$ has its values.
        cost: $f$, `cost(x, *data)`, returns shape `(*batch,)`.
        prox_f: `prox_f(lam, x, *data) -> y`.
        prox_g_dual: `prox_g_dual(n, lam, xi, *data)`, returns a tangent vector at `n`.
        forward_operator: $\Lambda$, `forward_operator(x, *data)`, returns a point of `N`.
        linearized_forward_operator: $D\Lambda(m)[u]$, `linearized_forward_operator(m, u, *data)`, returns a tangent
            vector at $\Lambda(m)$; None is autograd through `forward_operator`.
        adjoint_linearized_operator: $D\Lambda(m)^*[\xi]$, `adjoint_linearized_operator(m, n, xi, *data)` for `xi`
            tangent at $n = \Lambda(m)$, returns a tangent vector at `m`; None is autograd.
        diff_prox_f: $D \operatorname{prox}_{\lambda F}(x)[u]$ or, where the map has a kink, one of its generalised
            derivatives in the sense of Clarke, `diff_prox_f(lam, x, u, *data)`, returns a tangent vector at the value
            of the map; None is autograd. Semismooth Newton methods need it.
        diff_prox_g_dual: likewise for the dual map, `diff_prox_g_dual(n, lam, xi, eta, *data)`, a tangent vector at
            `n`.
        data: tensors with the batch axes in front, handed to the callables last.
        vectorized: False if the callables are written for one point.

    Raises:
        OptionsError: if an argument has the wrong kind, or there is neither $\Lambda$ nor both its derivatives.

    References:
        [BergmannHerzogEtAl:2021]; [DiepeveenLellmann:2021].

    Examples:
        Total variation of a signal of three numbers; autograd finds the transposed differences:

        >>> import torch
        >>> from manopt_torch import Euclidean, PrimalDualProblem
        >>> f = torch.tensor([0.0, 3.0, 3.0])
        >>> p = PrimalDualProblem(
        ...     Euclidean(3),
        ...     Euclidean(2),
        ...     lambda x: 0.5 * (x - f).square().sum(-1) + x.diff().abs().sum(-1),
        ...     prox_f=lambda lam, x: (x + lam * f) / (1 + lam),
        ...     prox_g_dual=lambda n, lam, xi: (xi + lam * n).clamp(-1, 1),
        ...     forward_operator=lambda x: x.diff(),
        ... )
        >>> p.get_adjoint_linearized_operator(f, torch.zeros(2), torch.tensor([1.0, 2.0]))
        tensor([-1., -1.,  2.])
    """

    provides: ClassVar[frozenset[str]] = frozenset({"cost", "proximal_map", "dual_proximal_map"})

    def __init__(
        self,
        M: Manifold,
        N: Manifold,
        cost: Callable[..., Any],
        prox_f: Callable[..., Any],
        prox_g_dual: Callable[..., Any],
        *,
        forward_operator: Callable[..., Any] | None = None,
        linearized_forward_operator: Callable[..., Any] | None = None,
        adjoint_linearized_operator: Callable[..., Any] | None = None,
        diff_prox_f: Callable[..., Any] | None = None,
        diff_prox_g_dual: Callable[..., Any] | None = None,
        data: tuple[Any, ...] = (),
        vectorized: bool = True,
    ) -> None:
        Problem.__init__(self, M, cost, data=data, vectorized=vectorized)
        if not isinstance(N, Manifold):
            raise OptionsError(f"PrimalDualProblem: N must be a Manifold, got {type(N).__name__}")
        if forward_operator is None and None in (linearized_forward_operator, adjoint_linearized_operator):
            raise OptionsError(
                "PrimalDualProblem: pass forward_operator, or else both linearized_forward_operator and "
                "adjoint_linearized_operator"
            )
        if prox_f is None or prox_g_dual is None:
            raise OptionsError("PrimalDualProblem: prox_f and prox_g_dual must be callable, got None")
        self.N = N
        self.prox_f: Any = self._callable("prox_f", prox_f, vectorized, lead=1)
        self.diff_prox_f: Any = self._callable("diff_prox_f", diff_prox_f, vectorized, lead=1)
        self.prox_g_dual: Any = self._dual_callable("prox_g_dual", prox_g_dual, vectorized)
        self.diff_prox_g_dual: Any = self._dual_callable("diff_prox_g_dual", diff_prox_g_dual, vectorized)
        self.forward_operator: Any = self._callable("forward_operator", forward_operator, vectorized)
        self.linearized_forward_operator: Any = self._callable(
            "linearized_forward_operator", linearized_forward_operator, vectorized
        )
        self.adjoint_linearized_operator: Any = self._callable(
            "adjoint_linearized_operator", adjoint_linearized_operator, vectorized
        )
        self._last: Any = None  # the graph of the operator at the last base point

    def _dual_callable(self, name: str, fn: Any, vectorized: bool) -> Any:
        """Check a callable of the dual side, which takes its parameter second."""
        self._callable(name, fn, True)
        if fn is None or vectorized:
            return fn
        mapped = map_over_batch(lambda lam, n, *rest: fn(n, lam, *rest), self.N, 1)
        return lambda n, lam, *rest: mapped(lam, n, *rest)

    def _like_dual(self, value: Any, name: str) -> Any:
        """Return what a callable has returned; raise a ShapeError unless it has the shape of points of N."""
        try:
            self.N.batch_shape(value)
        except ShapeError as error:
            raise ShapeError(f"the result of {name} must have the shape of a point of N: {error}") from None
        return value

    # ---- proximal maps ----------------------------------------------------------------------------------------------
    def get_primal_prox(self, lam: Any, x: Any) -> Any:
        r"""Return $\operatorname{prox}_{\lambda F}(x)$."""
        self.counts.proximal_map += 1
        return self.checked_like(x, self.prox_f(lam, x, *self.data), "result of prox_f")

    def get_dual_prox(self, n: Any, lam: Any, xi: Any) -> Any:
        r"""Return $\operatorname{prox}_{\lambda G_n^*}(\xi)$, a tangent vector at `n`."""
        self.counts.proximal_map += 1
        return self._like_dual(self.prox_g_dual(n, lam, xi, *self.data), "prox_g_dual")

    def get_proximal_map(self, lam: Any, x: Any, i: int) -> Any:
        """Return the proximal map of the first part with parameter `lam` at `x`; there is one, `i` is 0."""
        if i != 0:
            raise OptionsError(f"there is one proximal map on M, counted from 0; got i={i}")
        return self.get_primal_prox(lam, x)

    def get_differential_primal_prox(self, lam: Any, x: Any, u: Any, y: Any) -> Any:
        r"""Return a generalised derivative of $\operatorname{prox}_{\lambda F}$ at `x` along `u`; `y` is the value."""
        if self.diff_prox_f is not None:
            return self.diff_prox_f(lam, x, u, *self.data)
        return self.M.project_tangent(y, _pushed(lambda z: self.prox_f(lam, z, *self.data), x, u)[1])

    def get_differential_dual_prox(self, n: Any, lam: Any, xi: Any, eta: Any) -> Any:
        r"""Return a generalised derivative of $\operatorname{prox}_{\lambda G_n^*}$ at `xi` along `eta`."""
        if self.diff_prox_g_dual is not None:
            return self.diff_prox_g_dual(n, lam, xi, eta, *self.data)
        return _pushed(lambda z: self.prox_g_dual(n, lam, z, *self.data), xi, eta)[1]

    # ---- the operator -----------------------------------------------------------------------------------------------
    def get_forward_operator(self, x: Any) -> Any:
        r"""Return $\Lambda(x)$.

        Raises:
            MissingDerivativeError: if only the derivatives of $\Lambda$ are known.
        """
        if self.forward_operator is None:
            raise MissingDerivativeError(
                "PrimalDualProblem has no forward_operator, which the exact variant and base points that move need: "
                "pass it, or choose variant='linearized' with fixed base points"
            )
        return self._like_dual(self.forward_operator(x, *self.data), "forward_operator")

    def get_linearized_forward_operator(self, m: Any, u: Any) -> Any:
        r"""Return $D\Lambda(m)[u]$, a tangent vector at $\Lambda(m)$."""
        if self.linearized_forward_operator is not None:
            return self.linearized_forward_operator(m, u, *self.data)
        image, moved = _pushed(self.get_forward_operator, m, u)
        return self.N.project_tangent(image, moved)

    def get_adjoint_linearized_operator(self, m: Any, n: Any, xi: Any) -> Any:
        r"""Return $D\Lambda(m)^*[\xi]$ for a tangent vector `xi` at $n = \Lambda(m)$: a tangent vector at `m`.

        By autograd, the graph of $\Lambda$ at `m` (the same object) is kept for the next call.
        """
        if self.adjoint_linearized_operator is not None:
            return self.adjoint_linearized_operator(m, n, xi, *self.data)
        leaf, image = self._graph_at(m)
        with grad_mode(True):  # in the metric of N, the array of the image stands for its velocity
            value = self.N.inner(map_leaves(torch.Tensor.detach, image), xi, image)
        return self.M.egrad2rgrad(m, backward(value, leaf, keep_graph=True))

    def _graph_at(self, m: Any) -> tuple[Any, Any]:
        versions, last = [leaf._version for leaf in leaves(m)], self._last  # read once, as another thread may write
        if last is None or last[0] is not m or last[1] != versions:
            self._last = last = None  # the former graph makes room for the new one
            with grad_mode(True):
                leaf = tracked(m)
                self._last = last = (m, versions, leaf, self.get_forward_operator(leaf))
        return last[2:]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the graph of the last base point behind in copies: it is another batch's, and cannot be pickled."""
        return {**self.__dict__, "_last": None}


def _pushed(fn: Callable[[Any], Any], x: Any, u: Any) -> tuple[Any, Any]:
    """Return value and derivative of `fn` at `x` along `u`; forward mode refuses tensors that are expanded."""
    at, along = (map_leaves(torch.Tensor.contiguous, tree) for tree in (x, u))
    value, derivative, *_ = torch.func.jvp(fn, (at,), (along,))
    return value, derivative
