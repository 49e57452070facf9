"""The call signatures of torchimize: code written for it runs, and finds what it should."""

import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from manopt_torch import OptionsError, ShapeError
from manopt_torch.compat import torchimize
from manopt_torch.datasets import nist
from tests.together import together

D = torch.float64
X = torch.linspace(0, 5, 50, dtype=D)
B = 12

# arguments of the package, version 0.0.16
SIGNATURES = {
    "gradient_descent": "p function jac_function args ftol ptol gtol l max_iter",
    "lsq_gna": "p function jac_function args ftol ptol gtol l max_iter",
    "lsq_lma": "p function jac_function args ftol ptol gtol tau meth rho1 rho2 bet gam max_iter",
    "gradient_descent_parallel": "p function jac_function args wvec ftol ptol gtol l max_iter",
    "gradient_descent_parallel_plain": "p function jac_function wvec l max_iter",
    "lsq_gna_parallel": "p function jac_function args wvec ftol ptol gtol l max_iter",
    "lsq_gna_parallel_plain": "p function jac_function wvec l max_iter",
    "lsq_lma_parallel": "p function jac_function args wvec ftol ptol gtol tau meth rho1 rho2 beta gama max_iter",
    "newton_step_parallel": "p function jac_function wvec",
    "test_fun_dims_parallel": "p function jac_function args wvec",
}
PARALLEL = ["gradient_descent_parallel", "lsq_gna_parallel", "lsq_lma_parallel"]
PLAIN = ["gradient_descent_parallel_plain", "lsq_gna_parallel_plain"]
SINGLE = ["gradient_descent", "lsq_gna", "lsq_lma"]


def decays(count=B, noise=0.05, seed=0):
    g = torch.Generator().manual_seed(seed)
    true = torch.tensor([1.0, 0.3, 0.0], dtype=D) + torch.tensor([3.0, 1, 1], dtype=D) * torch.rand(
        count, 3, generator=g, dtype=D
    )
    clean = true[:, :1] * torch.exp(-true[:, 1:2] * X) + true[:, 2:]
    return true, clean + noise * torch.randn(count, 50, generator=g, dtype=D)


def start(y):
    low = y.amin(1)
    return torch.stack([y.amax(1) - low, torch.ones_like(low), low], -1)


def signed(y):
    """Return residuals (B, 1, N) and their Jacobian."""

    def function(p):
        return (p[:, :1] * torch.exp(-p[:, 1:2] * X.to(p.dtype)) + p[:, 2:] - y)[:, None]

    def jacobian(p):
        e = torch.exp(-p[:, 1:2] * X.to(p.dtype))
        return torch.stack([e, -p[:, :1] * X.to(p.dtype) * e, torch.ones_like(e)], -1)[:, None]

    return function, jacobian


def truth(y, weights=1.0):
    """Return what SciPy finds, one fit at a time."""
    x, root = X.numpy(), np.sqrt(weights)
    found = [
        least_squares(
            lambda p, row=row: root * (p[0] * np.exp(-p[1] * x) + p[2] - row), p0, xtol=1e-15, ftol=1e-15, gtol=1e-15
        ).x
        for row, p0 in zip(y.numpy(), start(y).numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(found))


@together()
@pytest.mark.parametrize("name", SIGNATURES)
def test_arguments(name):
    assert list(inspect.signature(getattr(torchimize, name)).parameters) == SIGNATURES[name].split()


@pytest.mark.parametrize("name", PARALLEL)
@pytest.mark.parametrize("given", [True, False])
def test_a_batch_is_fitted_where_scipy_fits_it(name, given):
    _, y = decays()
    function, jacobian = signed(y)
    p0 = start(y)
    former = p0.clone()
    path = getattr(torchimize, name)(p0, function, jacobian if given else None)
    assert torch.equal(p0, former), "the start was written into"
    assert all(step.shape == p0.shape for step in path) and 2 < len(path) < 60
    torch.testing.assert_close(path[-1], truth(y), rtol=1e-6, atol=1e-7)
    # each entry is its own: no problem gets worse from one to the next
    costs = torch.stack([function(step).square().sum((1, 2)) for step in [p0, *path]])
    assert (costs.diff(dim=0) <= 1e-12 * costs[:-1]).all()


@pytest.mark.parametrize("name", PLAIN)
def test_plain_variants_return_the_last(name):
    _, y = decays()
    function, jacobian = signed(y)
    found = getattr(torchimize, name)(start(y), function, jacobian, torch.ones(1, dtype=D), 1.0, 30)
    torch.testing.assert_close(found, truth(y), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", SINGLE)
def test_one_problem(name):
    _, y = decays(1)

    def function(p, x, row):
        return p[0] * torch.exp(-p[1] * x) + p[2] - row

    p0 = start(y)[0].requires_grad_()
    path = getattr(torchimize, name)(p0, function, args=(X, y[0]))
    assert torch.equal(path[0], p0) and path[0] is not p0
    assert not path[-1].requires_grad
    torch.testing.assert_close(path[-1], truth(y)[0], rtol=1e-6, atol=1e-7)


def test_the_code_of_the_seed_page_runs():
    _, y = decays(6)
    single, multi = signed(y[:1]), signed(y)
    initials, initials_batch, other_args = start(y)[0], start(y), None

    def cost_fun(p, other):
        return single[0](p[None])[0, 0]

    def jac_fun(p, other):
        return single[1](p[None])[0, 0]

    def multi_cost_fun_batch(p, other):
        return multi[0](p).expand(-1, 5, -1)

    def multi_jac_fun_batch(p, other):
        return multi[1](p).expand(-1, 5, -1, -1)

    lsq_gna, lsq_lma, lsq_gna_parallel = torchimize.lsq_gna, torchimize.lsq_lma, torchimize.lsq_gna_parallel
    one = lsq_gna(initials, cost_fun, args=(other_args,))
    other = lsq_lma(initials, function=cost_fun, jac_function=jac_fun, args=(other_args,))
    coeffs_list = lsq_gna_parallel(
        p=initials_batch,
        function=multi_cost_fun_batch,
        jac_function=multi_jac_fun_batch,
        args=(other_args,),
        wvec=torch.ones(5, dtype=torch.float64),
        ftol=1e-8,
        ptol=1e-8,
        gtol=1e-8,
        l=0.1,
        max_iter=40,
    )
    for found in (one[-1], other[-1], coeffs_list[-1][0]):
        torch.testing.assert_close(found, truth(y)[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(coeffs_list[-1], truth(y), rtol=1e-6, atol=1e-7)
    first = (coeffs_list[0] - initials_batch).norm(dim=1)
    whole = (lsq_gna_parallel(initials_batch, *multi_functions(multi))[0] - initials_batch).norm(dim=1)
    torch.testing.assert_close(first, 0.1 * whole, rtol=1e-6, atol=0)


def multi_functions(multi):
    return (lambda p: multi[0](p)), (lambda p: multi[1](p))


@pytest.mark.parametrize("name", PARALLEL)
def test_weights_multiply_the_squares(name):
    """Two groups of residuals, the second from other data: wvec weighs J'J, as SciPy's residuals times roots do."""
    _, y = decays(4)
    _, other = decays(4, seed=1)
    (f, J), (g, K) = signed(y), signed(other)
    wvec = torch.tensor([2.0, 0.5], dtype=D)
    path = getattr(torchimize, name)(
        start(y), lambda p: torch.cat([f(p), g(p)], 1), lambda p: torch.cat([J(p), K(p)], 1), wvec=wvec
    )
    x = X.numpy()
    for k in range(4):
        rows = (y[k].numpy(), other[k].numpy())
        found = least_squares(
            lambda p, rows=rows: np.concatenate(
                [np.sqrt(w) * (p[0] * np.exp(-p[1] * x) + p[2] - row) for w, row in zip((2.0, 0.5), rows, strict=True)]
            ),
            start(y)[k].numpy(),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        np.testing.assert_allclose(path[-1][k].numpy(), found.x, rtol=1e-6, atol=1e-7)


def test_newton_step():
    _, y = decays(3)
    f, J = signed(y)
    double = lambda p: f(p).expand(-1, 2, -1) * torch.tensor([[1.0], [3.0]], dtype=D)  # noqa: E731
    jacobian = lambda p: J(p) * torch.tensor([1.0, 3.0], dtype=D)[:, None, None]  # noqa: E731
    wvec = torch.tensor([0.5, 2.0], dtype=D)
    p0 = start(y)
    p, residuals, g, H = torchimize.newton_step_parallel(p0, double, jacobian, wvec)
    assert p is p0 and residuals.shape == (3, 2, 50)
    # 0.5 + 2 * 9 times the plain ones
    torch.testing.assert_close(g, 18.5 * torch.einsum("bnp,bn->bp", J(p0)[:, 0], f(p0)[:, 0]))
    torch.testing.assert_close(H, 18.5 * torch.einsum("bnp,bnq->bpq", J(p0)[:, 0], J(p0)[:, 0]))


def test_shapes_are_judged():
    _, y = decays(3)
    f, J = signed(y)
    check = torchimize.test_fun_dims_parallel
    assert check(start(y), f) is True  # without a Jacobian too
    assert check(start(y), f, J, (), torch.ones(1)) is True
    for arguments, message in [
        ((start(y)[0], f), "p must have shape"),
        ((start(y), lambda p: f(p)[:, 0]), "must return"),
        ((start(y), f, lambda p: J(p)[..., :2]), "Jacobian must have"),
        ((start(y), f, J, (), torch.ones(2)), "weight for each of the 1"),
    ]:
        with pytest.raises(AssertionError, match=message):
            check(*arguments)
    with pytest.raises(AssertionError, match="wvec must be a tensor, got list"):
        check(start(y), f, J, (), [1.0])
    with pytest.raises(OptionsError, match=r"p must be a tensor, got list: convert it with torch.as_tensor\(p\)"):
        torchimize.lsq_gna([1.0, 1.0, 1.0], f)
    with pytest.raises(OptionsError, match="jac_function must be callable, got Tensor"):
        torchimize.lsq_gna_parallel(start(y), f, J(start(y)))
    with pytest.raises(ShapeError, match=r"here \(3, 1, 50, 3\), got NoneType"):
        torchimize.lsq_gna_parallel(start(y), f, lambda p: None)
    with pytest.raises(OptionsError, match="'lev' or 'marq'"):
        torchimize.lsq_lma_parallel(start(y), f, J, meth="levenberg")


# ---- what the package itself does not solve -------------------------------------------------------------------------


@pytest.mark.parametrize("meth", ["lev", "marq"])
def test_signed_residuals_are_all_fitted(meth):
    """There, a wrong gain ratio loses 9 % of such fits, and all of them with `marq`."""
    true, y = decays(500, seed=3)
    path = torchimize.lsq_lma_parallel(start(y), *signed(y), meth=meth)
    reference = torchimize.lsq_lma_parallel(true, *signed(y))[-1]
    cost = signed(y)[0](path[-1]).square().sum((1, 2))
    best = signed(y)[0](reference).square().sum((1, 2))
    torch.testing.assert_close(cost, best, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", PARALLEL)
def test_a_problem_with_nan_leaves_the_others_alone(name):
    """There, one such row aborts the whole batch."""
    _, y = decays(5)
    y[2, 7] = torch.nan
    p0 = start(torch.nan_to_num(y))
    found = getattr(torchimize, name)(p0, *signed(y))[-1]
    others = torch.tensor([0, 1, 3, 4])
    torch.testing.assert_close(found[others], truth(y[others]), rtol=1e-6, atol=1e-7)
    assert torch.equal(found[2], p0[2])


def test_a_problem_already_solved_stays_where_it_is():
    """There, rows that are finished keep moving with the others."""
    _, y = decays(4)
    best = torchimize.lsq_lma_parallel(start(y), *signed(y))[-1]
    p0 = torch.cat([best[:2], start(y)[2:]])
    path = torchimize.lsq_lma_parallel(p0, *signed(y))
    settled = torch.stack(path)[2:, :2]
    assert len(path) > 4 and (settled == settled[0]).all()


@pytest.mark.parametrize("name", ["Chwirut1", "Gauss1", "Kirby2", "Misra1a", "Roszman1", "Rat43", "MGH09"])
def test_nist_in_parallel(name):
    """Both starts as a batch; the package solves 8 of 54 in parallel."""
    problem = nist.load(name)
    path = torchimize.lsq_lma_parallel(
        problem.starts, lambda p: problem.residuals(p)[:, None], ftol=1e-12, ptol=1e-12, gtol=1e-12, max_iter=500
    )
    assert (problem.digits(path[-1]) > 6).all()


def test_float32_stays_float32():
    _, y = decays()
    path = torchimize.lsq_lma_parallel(
        start(y).float(), *signed(y.float()), ftol=1e-6, ptol=1e-6, gtol=1e-6, max_iter=60
    )
    assert path[-1].dtype == torch.float32
    torch.testing.assert_close(path[-1].double(), truth(y), rtol=1e-3, atol=1e-4)


def test_no_iterations_return_the_start():
    _, y = decays(2)
    f, J = signed(y)
    assert torch.equal(torchimize.lsq_gna_parallel_plain(start(y), f, J, None, max_iter=0), start(y))
    assert len(torchimize.lsq_lma(start(y)[0], lambda p: f(p[None].expand(2, -1))[0, 0], max_iter=0)) == 1
