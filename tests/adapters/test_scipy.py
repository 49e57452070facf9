import pytest
import scipy.optimize
import torch

from manopt_torch import (
    CostProblem,
    Euclidean,
    GradientProblem,
    HessianProblem,
    ManifoldParameter,
    MissingDerivativeError,
    NonFiniteError,
    OptionsError,
    Product,
    Sphere,
    UnknownKeywordError,
)
from manopt_torch.adapters.scipy import ScipyDE, ScipyMinimize, scipy_minimize

D = torch.float64


def rosenbrock(a, b):
    return 100 * (b - a**2) ** 2 + (1 - a) ** 2


def minimised(split, method, dtype=D, **settings):
    """Return loss, parameters, number of calls and SciPy's result, for one tensor of two entries or two of one."""
    start = torch.tensor([-1.1, 2.5], dtype=dtype)
    q = [torch.nn.Parameter(part.clone()) for part in (start.split(1) if split else (start,))]
    optimizer, calls = ScipyMinimize(q, method=method, **settings), []

    def closure(backward=True):
        calls.append(backward)
        loss = rosenbrock(*torch.cat(q))
        if backward:
            optimizer.zero_grad()
            loss.backward()
        return loss

    loss = optimizer.step(closure)
    return loss.item(), torch.cat(q).detach(), calls, optimizer.result


METHODS = ["Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "SLSQP", "trust-constr"]
METHODS += ["trust-ncg", "trust-krylov", "trust-exact", None]


@pytest.mark.parametrize("method", METHODS)
def test_methods_on_one_and_two_tensors(method):
    settings = {"options": {"maxiter": 100}} if method == "COBYLA" else {}
    loss, x, _, _ = minimised(False, method, **settings)
    assert loss < (10.0 if method == "COBYLA" else 1e-7)
    again, y, _, _ = minimised(True, method, **settings)
    assert again == loss
    assert torch.equal(x, y)


def test_dogleg_where_it_may():
    start = torch.nn.Parameter(torch.tensor([1.5, 2.0], dtype=D))
    optimizer = ScipyMinimize([start], method="dogleg")

    def closure(backward=True):
        loss = ((start - 1) ** 2).sum() + ((start - 1) ** 4).sum()
        if backward:
            optimizer.zero_grad()
            loss.backward()
        return loss

    assert optimizer.step(closure).item() < 1e-8


def test_counts_are_those_of_scipy():
    _, _, calls, result = minimised(True, "L-BFGS-B")
    assert len(calls) == result.nfev
    assert all(calls)


@pytest.mark.parametrize("method", ["SLSQP", "TNC", "CG", "BFGS"])
def test_single_precision_parameters(method):
    loss, x, _, result = minimised(True, method, torch.float32)
    assert loss < 1.0
    assert x.dtype == torch.float32
    assert result.x.dtype == "float64"


def test_bounds_constraints_and_callback():
    _, x, _, _ = minimised(True, "L-BFGS-B", bounds=(-2.0, 0.5))
    assert x.max() <= 0.5
    half = {"type": "ineq", "fun": lambda v: 0.25 - v @ v}
    _, x, _, _ = minimised(False, "SLSQP", constraints=[half])
    assert x @ x <= 0.25 + 1e-6
    seen = []
    minimised(False, "BFGS", callback=lambda intermediate_result: seen.append(intermediate_result.fun))
    assert seen == sorted(seen, reverse=True) and len(seen) > 10


@pytest.mark.parametrize("method", ["BFGS", "CG", "L-BFGS-B", "SLSQP", "TNC", "trust-constr"])
def test_callback_ends(method):
    seen = []

    def callback(x, *rest):
        seen.append(x)
        if len(seen) == 3:
            raise StopIteration

    loss, x, *_ = minimised(False, method, callback=callback)
    assert len(seen) == 3
    assert loss == rosenbrock(*x).item()


def test_derivatives_of_scipy_instead():
    loss, _, calls, _ = minimised(True, "BFGS", jac="2-point")
    assert loss < 1e-6 and not any(calls)
    loss, *_ = minimised(True, "trust-constr", hess=scipy.optimize.BFGS())
    assert loss < 1e-8


def test_differential_evolution():
    x = torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=D))
    optimizer = ScipyDE([x], bounds=(-5, 5), rng=0, maxiter=40, popsize=8)
    assert optimizer.step(lambda backward=True: ((x - 1) ** 2).sum()).item() < 1e-8
    torch.testing.assert_close(x.detach(), torch.ones(2, dtype=D), rtol=0, atol=1e-4)


def test_refusals():
    q = ManifoldParameter(torch.tensor([1.0, 0.0]), Sphere(2))
    for make in (ScipyMinimize, ScipyDE):
        with pytest.raises(OptionsError, match="curved"):
            make([q])
    with pytest.raises(OptionsError, match="curved"):
        scipy_minimize(GradientProblem(Sphere(2), lambda x: x[..., 0]), torch.tensor([0.0, 1.0]))
    with pytest.raises(OptionsError, match="batch axes"):
        scipy_minimize(GradientProblem(Euclidean(2), lambda x: x[..., 0]), torch.zeros(3, 2))
    problem = GradientProblem(Euclidean(2), lambda x: x.square().sum(-1))
    with pytest.raises(NonFiniteError, match="NaN"):
        scipy_minimize(problem, torch.tensor([1.0, torch.nan]))
    with pytest.raises(OptionsError, match="floating point"):
        scipy_minimize(problem, torch.tensor([1, 2]))
    with pytest.raises(OptionsError, match="expected a Problem"):
        scipy_minimize(lambda x: x.square().sum(-1), torch.ones(2))
    with pytest.raises(UnknownKeywordError, match="unknown keyword gtol; it takes problem"):
        scipy_minimize(problem, torch.ones(2), "BFGS", gtol=1e-3)


@pytest.mark.parametrize("method", ["BFGS", "trust-krylov", "trust-exact", "trust-constr"])
def test_problems(method):
    M = Product(Euclidean(), Euclidean(1))
    problem = HessianProblem(M, lambda x: rosenbrock(x[0], x[1][..., 0]))
    x = scipy_minimize(problem, (torch.tensor(-1.1, dtype=D), torch.tensor([2.5], dtype=D)), method)
    assert rosenbrock(x[0], x[1][0]).item() < 1e-8
    assert x[1].shape == (1,)


def test_hessians_are_made_at_once_where_that_can_be():
    """Of more parameters than are differentiated together; one after the other if `vmap` cannot take the cost."""
    from manopt_torch.adapters.scipy_views import ProblemView

    W = torch.randn(70, 70, dtype=D, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(-1, 1, 70, dtype=D)
    f = lambda x: torch.tanh(x @ W).square().sum(-1)  # noqa: E731
    known = torch.func.hessian(f)(x)
    kinds = {
        "graph": HessianProblem(Euclidean(70), f),
        "given": HessianProblem(
            Euclidean(70), f, euclidean_hessian=lambda x, u: known @ u if u.sum().item() < 99 else u
        ),
    }
    for problem in kinds.values():
        view = ProblemView(problem, x)
        torch.testing.assert_close(torch.from_numpy(view.hessian(view.start()).copy()), known, rtol=1e-10, atol=1e-12)


def test_complex_steps_are_refused():
    for wanted in ({"jac": "cs"}, {"hess": "cs", "method": "trust-constr"}):
        with pytest.raises(OptionsError, match="autograd"):
            scipy_minimize(HessianProblem(Euclidean(2), lambda x: x.square().sum(-1)), torch.ones(2), **wanted)


def test_problems_without_derivatives():
    cost = CostProblem(Euclidean(2), lambda x: rosenbrock(x[..., 0], x[..., 1]))
    start = torch.tensor([-1.1, 2.5], dtype=D)
    assert cost.get_cost(scipy_minimize(cost, start, "Powell")).item() < 1e-8
    with pytest.raises(MissingDerivativeError, match="GradientProblem"):
        scipy_minimize(cost, start, "BFGS")
    result = scipy_minimize(cost, start, "BFGS", jac="2-point", return_result=True)
    assert result.fun < 1e-6
    gradient = GradientProblem(Euclidean(2), lambda x: rosenbrock(x[..., 0], x[..., 1]))
    with pytest.raises(MissingDerivativeError, match="HessianProblem"):
        scipy_minimize(gradient, start, "trust-ncg")
    assert gradient.get_cost(scipy_minimize(gradient, start, "trust-constr")).item() < 1e-8
