"""The functions of the package torchimize, by their names and arguments, on top of the solvers of this package.

Code written for it runs with another import:

```python
from manopt_torch.compat.torchimize import lsq_gna, lsq_lma, lsq_lma_parallel
```

Signatures are the same, results are better: each problem of a batch has its own damping, step and end; a start is not
written into; a problem that fails leaves the others alone. Functions ending in `_parallel` take a batch of B problems
with parameters `(B, P)`, residuals `(B, C, N)` and Jacobians `(B, C, N, P)`; the C groups of residuals of a problem are
weighted by `wvec`. The others take one problem, `(P,)`, `(N,)`, `(N, P)`.
"""

from collections.abc import Callable
from typing import Any

import torch

from manopt_torch.compat.torchimize_runs import FirstStep, ThresholdDamping, Tolerances, check_shapes, fit, fit_batch
from manopt_torch.damping.nielsen import NielsenDamping
from manopt_torch.errors import OptionsError, ShapeError
from manopt_torch.solvers.gauss_newton import GaussNewtonOptions
from manopt_torch.solvers.levenberg_marquardt import LevenbergMarquardtOptions

Function = Callable[..., torch.Tensor]

_TAU = 1e-3  # initial damping by default


# ---- one problem ----------------------------------------------------------------------------------------------------


def lsq_gna(
    p: torch.Tensor,  # shape: (P,)
    function: Function,
    jac_function: Function | None = None,
    args: tuple[Any, ...] = (),
    ftol: float = 1e-8,
    ptol: float = 1e-8,
    gtol: float = 1e-8,
    l: float = 1.0,  # noqa: E741
    max_iter: int = 100,
) -> list[torch.Tensor]:
    """Fit one problem by Gauss-Newton steps with a line search.

    Args:
        p: the start.
        function: `function(p, *args)`, the residuals, shape `(N,)`.
        jac_function: `jac_function(p, *args)`, shape `(N, P)`; None is autograd.
        args: further arguments of both functions.
        ftol: relative change of the residuals to stop at.
        ptol: relative change of the parameters to stop at.
        gtol: largest entry of the gradient to stop at.
        l: length of the first step tried, in Gauss-Newton steps; later searches begin with the whole step.
        max_iter: bound on the iterations.

    Returns:
        The parameters after each iteration, the start in front.

    Examples:
        >>> import torch
        >>> t = torch.linspace(0, 1, 5, dtype=torch.float64)
        >>> y = 2 * torch.exp(-3 * t)
        >>> start = torch.ones(2, dtype=torch.float64)
        >>> path = lsq_gna(start, lambda p, t, y: p[0] * torch.exp(-p[1] * t) - y, args=(t, y))
        >>> path[0] is not start, path[-1].round(decimals=6)
        (True, tensor([2., 3.], dtype=torch.float64))
    """
    return fit(_newton(l), p, function, jac_function, args, Tolerances(ftol, ptol, gtol), max_iter)


gradient_descent = lsq_gna
"""The same as `lsq_gna`: in that package, too, the function of this name takes Gauss-Newton steps."""


def lsq_lma(
    p: torch.Tensor,  # shape: (P,)
    function: Function,
    jac_function: Function | None = None,
    args: tuple[Any, ...] = (),
    ftol: float = 1e-8,
    ptol: float = 1e-8,
    gtol: float = 1e-8,
    tau: float = 1e-3,
    meth: str = "lev",
    rho1: float = 0.25,
    rho2: float = 0.75,
    bet: float = 2.0,
    gam: float = 3.0,
    max_iter: int = 100,
) -> list[torch.Tensor]:
    """Fit one problem by Levenberg-Marquardt.

    Args:
        p: the start.
        function: `function(p, *args)`, the residuals, shape `(N,)`.
        jac_function: `jac_function(p, *args)`, shape `(N, P)`; None is autograd.
        args: further arguments of both functions.
        ftol: relative change of the residuals to stop at.
        ptol: relative change of the parameters to stop at.
        gtol: largest entry of the gradient to stop at.
        tau: damping of the first step.
        meth: "lev", Nielsen's rule, or "marq", factors `bet` and `gam` with Marquardt's scaling.
        rho1: gain ratio below which "marq" raises the damping.
        rho2: gain ratio above which "marq" lowers the damping.
        bet: factor by which it does.
        gam: divisor by which it does.
        max_iter: bound on the iterations.

    Returns:
        The parameters after each iteration, the start in front.

    Raises:
        OptionsError: if `meth` is none of the two.
    """
    options = _damped(tau, meth, rho1, rho2, bet, gam)
    return fit(options, p, function, jac_function, args, Tolerances(ftol, ptol, gtol), max_iter)


# ---- a batch --------------------------------------------------------------------------------------------------------


def lsq_gna_parallel(
    p: torch.Tensor,  # shape: (B, P)
    function: Function,
    jac_function: Function | None = None,
    args: tuple[Any, ...] = (),
    wvec: torch.Tensor | None = None,
    ftol: float = 1e-8,
    ptol: float = 1e-8,
    gtol: float = 1e-8,
    l: float = 1.0,  # noqa: E741
    max_iter: int = 100,
) -> list[torch.Tensor]:
    """Fit a batch of problems by Gauss-Newton steps, each with a line search of its own.

    Args:
        p: the starts.
        function: `function(p, *args)`, the residuals, shape `(B, C, N)`.
        jac_function: `jac_function(p, *args)`, shape `(B, C, N, P)`; None is autograd.
        args: further arguments of both functions.
        wvec: weights of the C groups of residuals, shape `(C,)`, or `(B, C)`; None is one for all.
        ftol: relative change of the residuals to stop at.
        ptol: relative change of the parameters to stop at.
        gtol: largest entry of the gradient to stop at.
        l: length of the first step tried; later searches begin with the whole step.
        max_iter: bound on the iterations.

    Returns:
        The parameters after each iteration, each of shape `(B, P)`; a problem that is finished stays where it is.
    """
    return fit_batch(_newton(l), p, function, jac_function, args, wvec, Tolerances(ftol, ptol, gtol), max_iter)


def lsq_gna_parallel_plain(
    p: torch.Tensor,  # shape: (B, P)
    function: Function,
    jac_function: Function | None = None,
    wvec: torch.Tensor | None = None,
    l: float = 1.0,  # noqa: E741
    max_iter: int = 100,
) -> torch.Tensor:
    """Return parameters, shape `(B, P)`, after `max_iter` Gauss-Newton steps without tests; see `lsq_gna_parallel`."""
    return fit_batch(_newton(l), p, function, jac_function, (), wvec, None, max_iter)[-1]


gradient_descent_parallel = lsq_gna_parallel
"""The same as `lsq_gna_parallel`."""

gradient_descent_parallel_plain = lsq_gna_parallel_plain
"""The same as `lsq_gna_parallel_plain`."""


def lsq_lma_parallel(
    p: torch.Tensor,  # shape: (B, P)
    function: Function,
    jac_function: Function | None = None,
    args: tuple[Any, ...] = (),
    wvec: torch.Tensor | None = None,
    ftol: float = 1e-8,
    ptol: float = 1e-8,
    gtol: float = 1e-8,
    tau: float = 1e-3,
    meth: str = "lev",
    rho1: float = 0.25,
    rho2: float = 0.75,
    beta: float = 2.0,
    gama: float = 3.0,
    max_iter: int = 100,
) -> list[torch.Tensor]:
    """Fit a batch of problems by Levenberg-Marquardt, each with a damping of its own.

    Args:
        p: the starts.
        function: see `lsq_gna_parallel`, as for `jac_function`, `args` and `wvec`.
        jac_function: the Jacobian.
        args: further arguments of both functions.
        wvec: weights of the groups of residuals.
        ftol: see `lsq_lma`, as for the following.
        ptol: of the parameters.
        gtol: of the gradient.
        tau: damping of the first step.
        meth: "lev" or "marq".
        rho1: lower gain ratio.
        rho2: upper gain ratio.
        beta: `bet` there.
        gama: `gam` there.
        max_iter: bound on the iterations.

    Returns:
        The parameters after each iteration, each of shape `(B, P)`; a problem that is finished stays where it is.
    """
    options = _damped(tau, meth, rho1, rho2, beta, gama)
    return fit_batch(options, p, function, jac_function, args, wvec, Tolerances(ftol, ptol, gtol), max_iter)


# ---- parts ----------------------------------------------------------------------------------------------------------


def newton_step_parallel(
    p: torch.Tensor,  # shape: (B, P)
    function: Function,
    jac_function: Function,
    wvec: torch.Tensor,  # shape: (C,)
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Return `(p, f, g, H)`: residuals, $g = \sum_c w_c J_c^\top f_c$ and $H = \sum_c w_c J_c^\top J_c$.

    Shapes:
        f: `(B, C, N)`, g: `(B, P)`, H: `(B, P, P)`.
    """
    f, J = function(p), jac_function(p)
    rows, weighted = J.flatten(-3, -2), (J * wvec[..., None, None]).flatten(-3, -2)
    return p, f, (f.flatten(-2).unsqueeze(-2) @ weighted).squeeze(-2), rows.mT @ weighted


def test_fun_dims_parallel(
    p: torch.Tensor,
    function: Function,
    jac_function: Function | None = None,
    args: tuple[Any, ...] = (),
    wvec: torch.Tensor | None = None,
) -> bool:
    """Return True if parameters, residuals, Jacobian and weights have the shapes of a batch.

    Raises:
        AssertionError: if one has not.
    """
    try:
        check_shapes(p, function, jac_function, args, wvec)
    except (OptionsError, ShapeError) as error:
        raise AssertionError(str(error)) from None
    return True


def _newton(first: float) -> Callable[..., Any]:
    """Return how Gauss-Newton options are made."""
    return lambda x, **k: GaussNewtonOptions(x, stepsize=FirstStep(first), **k)


def _damped(tau: float, meth: str, rho1: float, rho2: float, increase: float, decrease: float) -> Callable[..., Any]:
    """Return how Levenberg-Marquardt options are made."""
    if meth not in ("lev", "marq"):
        raise OptionsError(f"meth must be 'lev' or 'marq', got {meth!r}")
    # the scalings differ: the default there is the default here
    nielsen = NielsenDamping(NielsenDamping().initial * tau / _TAU)
    damping = nielsen if meth == "lev" else ThresholdDamping(tau, rho1, rho2, increase, decrease)
    return lambda x, **k: LevenbergMarquardtOptions(x, damping=damping, **k)
