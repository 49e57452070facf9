"""Numbers of the Manopt family and of closed forms that descent, criteria, counters and checks have to reproduce.

Cases are numbered as in the reference collected for this project; where a number was only known to a tolerance, that
tolerance is used.
"""

import math
from typing import Any

import pytest
import scipy.optimize
import torch

from manopt_torch import (
    ArmijoLinesearch,
    Circle,
    ConstantStepsize,
    CountedProblem,
    DecreasingStepsize,
    Euclidean,
    GradientDescentOptions,
    GradientProblem,
    HessianProblem,
    ManoptError,
    OptionsError,
    Sphere,
    StopAfter,
    StopAfterIteration,
    StopWhenAll,
    StopWhenAny,
    StopWhenChangeLess,
    StopWhenCostLess,
    StopWhenGradientNormLess,
    StopWhenRepeated,
    get_cost,
    get_cost_and_gradient,
    get_gradient,
    get_hessian,
    get_record,
    report,
    solve,
    steepest_descent,
)
from manopt_torch.testing import check_gradient, check_hessian

F64 = torch.float64
BATCHES = pytest.mark.parametrize("batch", [(), (3,)], ids=str)


def tensor(*rows: Any) -> torch.Tensor:
    return torch.tensor(rows, dtype=F64)


# ---- case 1: Rosenbrock ---------------------------------------------------------------------------------------------

ROSENBROCK_START = (0.1, 0.2)
ROSENBROCK_STEPS = (0.008478036692943839, 0.008054134858296647, 0.008478036692943839)
ROSENBROCK_COSTS = (3.0585424617184507, 2.1475797789583995, 1.6154047854997056)
ROSENBROCK_AFTER_200 = 0.10562873187751265


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    first, second = x.unbind(-1)
    return 100.0 * (first * first - second).square() + (first - 1.0).square()


@BATCHES
def test_case_1_rosenbrock_by_the_default_line_search(batch: Any) -> None:
    x = tensor(*ROSENBROCK_START).expand(*batch, 2)
    assert get_cost(GradientProblem(Euclidean(2), rosenbrock), x).flatten()[0].item() == pytest.approx(4.42, rel=1e-15)
    o = steepest_descent(Euclidean(2), rosenbrock, x, record=[":Stepsize", ":Cost"], return_options=True)
    rows = [tuple(torch.as_tensor(v, dtype=F64).flatten()[0].item() for v in row) for row in get_record(o)]
    assert len(rows) == 200
    assert [s for s, _ in rows[:3]] == pytest.approx(ROSENBROCK_STEPS, rel=1e-14)
    assert [f for _, f in rows[:3]] == pytest.approx(ROSENBROCK_COSTS, rel=1e-13)
    # hundreds of accept-or-reject decisions must all be the same; roundings of the gradient differ
    assert rows[-1][1] == pytest.approx(ROSENBROCK_AFTER_200, rel=1e-10)


def test_case_1_the_minimum_agrees_with_scipy() -> None:
    def value_and_gradient(x: Any) -> tuple[float, Any]:
        value, gradient = get_cost_and_gradient(GradientProblem(Euclidean(2), rosenbrock), torch.from_numpy(x))
        return value.item(), gradient.numpy()

    found = scipy.optimize.minimize(value_and_gradient, ROSENBROCK_START, jac=True, method="BFGS", tol=1e-10)
    stop = StopAfterIteration(20000) | StopWhenGradientNormLess(1e-5)
    search = ArmijoLinesearch(contraction_factor=0.5, sufficient_decrease=0.3)
    o = steepest_descent(
        Euclidean(2), rosenbrock, tensor(*ROSENBROCK_START), stepsize=search, stop=stop, return_options=True
    )
    assert report(o).converged == 1
    torch.testing.assert_close(o.x, torch.from_numpy(found.x), rtol=0, atol=1e-4)
    torch.testing.assert_close(o.x, tensor(1.0, 1.0), rtol=0, atol=1e-4)


# ---- case 4: mean on the circle -------------------------------------------------------------------------------------

ANGLES = tensor(-math.pi / 2, math.pi / 4, 0.0, math.pi / 4)
CIRCLE_START, CIRCLE_MINIMUM = 1.3570706051497867, 0.370110165040851


def circle_cost(x: torch.Tensor) -> torch.Tensor:
    return 0.1 * Circle().dist(x[..., None], ANGLES).square().sum(-1)


def circle_gradient(x: torch.Tensor) -> torch.Tensor:
    return -0.2 * Circle().log(x[..., None], ANGLES).sum(-1)


@BATCHES
@pytest.mark.parametrize("gradient", [None, circle_gradient], ids=["autograd", "given"])
def test_case_4_mean_on_the_circle(batch: Any, gradient: Any) -> None:
    x = ANGLES[0].expand(batch)
    problem = GradientProblem(Circle(), circle_cost, gradient)
    assert get_cost(problem, x).flatten()[0].item() == pytest.approx(CIRCLE_START, rel=1e-15)
    stop = StopAfterIteration(500) | StopWhenChangeLess(1e-16)
    o = solve(problem, GradientDescentOptions(x, stepsize=ArmijoLinesearch(contraction_factor=0.99), stop=stop))
    torch.testing.assert_close(o.x, torch.zeros(batch, dtype=F64), rtol=0, atol=5e-10)
    torch.testing.assert_close(o.cost, torch.full(batch, CIRCLE_MINIMUM, dtype=F64), rtol=1e-14, atol=0)


def test_case_4_the_constant_step_contracts_by_the_known_factor() -> None:
    # the gradient is 4/5 x: a step of length s multiplies the angle by 1 - 4/5 s
    x = ANGLES[0]
    o = steepest_descent(
        Circle(),
        circle_cost,
        x,
        stepsize=ConstantStepsize(0.5),
        stop=StopAfterIteration(7),
        return_options=True,
    )
    assert o.x.item() == pytest.approx(x.item() * 0.6**7, rel=1e-13)


# ---- cases 8 and 19: Rayleigh quotients -----------------------------------------------------------------------------

MATRIX = tensor([2, 1, 0, 3], [1, 3, 4, 5], [0, 4, 3, 2], [3, 5, 2, 6])
EIGENVECTOR = tensor(-0.12360736888522528, -0.7737062449203089, 0.45842860609263136, 0.4194556925880891)
EIGENVALUE = -1.9209703856247156


@pytest.mark.parametrize(
    "x", [(0.0, 0.0, 0.0, 1.0), (0.7011245948687502, -0.1726003159556036, 0.38798265967671103, -0.5728026616491424)]
)
def test_case_8_lowest_eigenvector(x: tuple[float, ...]) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return (x * (x @ MATRIX)).sum(-1)

    start = Sphere(4).project_point(tensor(*x))
    stop = StopAfterIteration(5000) | StopWhenGradientNormLess(1e-7)
    o = steepest_descent(Sphere(4), f, start, stop=stop, return_options=True)
    assert report(o).converged == 1
    assert o.cost.item() == pytest.approx(EIGENVALUE, rel=1e-13)
    torch.testing.assert_close(o.x * torch.sign(o.x[2]), EIGENVECTOR, rtol=0, atol=1e-7)


def test_case_19_value_gradient_and_hessian_of_a_rayleigh_quotient() -> None:
    a = tensor([2, 0, 0], [0, 3, 4], [0, 4, 9])
    x = tensor(0, -2, 1) / math.sqrt(5)
    p = HessianProblem(Sphere(3), lambda x: (x * (x @ a)).sum(-1))
    value, gradient = get_cost_and_gradient(p, x)
    assert value.item() == pytest.approx(1.0, rel=1e-15)  # the eigenvalue of this eigenvector
    torch.testing.assert_close(gradient, torch.zeros(3, dtype=F64), rtol=0, atol=1e-15)
    # the Hessian is 2 (A - value) on the tangent space: 2 e1 for e1, as A e1 = 2 e1
    torch.testing.assert_close(get_hessian(p, x, tensor(1, 0, 0)), tensor(2, 0, 0), rtol=0, atol=1e-14)


# ---- case 51: the algebra of criteria -------------------------------------------------------------------------------


def test_case_51_criteria_combine() -> None:
    a, b, c = StopAfterIteration(200), StopWhenChangeLess(1e-6), StopWhenGradientNormLess(0.05)
    for joined in ((a & b) & c, a & (b & c), StopWhenAll(a, b, c)):
        assert type(joined) is StopWhenAll and joined.criteria == (a, b, c)
    for joined in ((a | b) | c, a | (b | c), StopWhenAny(a, b, c)):
        assert type(joined) is StopWhenAny and joined.criteria == (a, b, c)
    d = StopWhenAll(a, b, c)
    assert len((d & d).criteria) == 6
    assert [type(member) for member in (d | a).criteria] == [StopWhenAll, StopAfterIteration]
    with pytest.raises(OptionsError):
        StopAfter(-1.0)


def test_case_51_repeated_and_cost_criteria() -> None:
    p = GradientProblem(Euclidean(), lambda x: x * x)
    o = GradientDescentOptions(tensor(0.3)[0])
    repeated = StopWhenRepeated(StopAfterIteration(2), 3)
    assert not repeated(p, o, 0)
    assert [bool(repeated(p, o, i)) for i in (1, 2, 2, 3)] == [False, False, False, True]
    assert not repeated(p, o, 0)  # counts from zero again
    assert not repeated(p, o, 2)
    assert StopWhenCostLess(0.1)(p, o, 1)  # 0.3 squared
    assert not StopWhenCostLess(0.05)(p, o, 1)


def test_iterations_end_exactly() -> None:
    # v0.1 of Manopt.jl took one step too many
    stop = StopAfterIteration(20)
    assert [stop(None, None, i) for i in (19, 20, 21)] == [False, True, True]
    assert "20" in stop.reason(None, 20)


# ---- case 52: counting ----------------------------------------------------------------------------------------------


def test_case_52_counts() -> None:
    a = tensor([2, 1, 0], [1, 2, 1], [0, 1, 2])
    M, x = Sphere(3), tensor(1, 0, 0)
    p = CountedProblem(GradientProblem(M, lambda x: (x * (x @ a)).sum(-1), lambda x: M.project_tangent(x, 2 * x @ a)))
    get_cost(p, x)
    get_gradient(p, x)
    get_gradient(p, x)
    assert (p.count(":Cost"), p.count(":Gradient"), p.count(":Hessian")) == (1, 2, 0)
    get_cost_and_gradient(p, x)
    assert (p.count("Cost"), p.count("gradient")) == (2, 3)
    assert p.count(":ProximalMaps") == -1
    with pytest.raises(OptionsError, match="counted are"):
        p.count(":ProximalMaps", mode="error")
    p.reset()
    assert (p.count(":Cost"), p.count(":Gradient")) == (0, 0)


# ---- case 53: step sizes --------------------------------------------------------------------------------------------


def test_case_53_decreasing_steps() -> None:
    # s_i = (l - i a) f^i / i^e
    assert [DecreasingStepsize().at(i) for i in (1, 2, 4)] == [1.0, 0.5, 0.25]
    assert DecreasingStepsize(1.0).at(200) == 0.005
    assert DecreasingStepsize(10.0, 0.5, 1.0, 2.0).at(3) == pytest.approx(7.0 * 0.125 / 9.0, rel=1e-15)


# ---- case 54: checks of derivatives ---------------------------------------------------------------------------------


def log_problem(factor: float) -> tuple[GradientProblem, torch.Tensor, torch.Tensor]:
    """Return half the squared distance to e1 on the sphere of dimension ten, with a multiple of its gradient."""
    M, q = Sphere(11), torch.eye(11, dtype=F64)[0]
    x = torch.zeros(11, dtype=F64)
    x[:4] = 0.5
    p = GradientProblem(M, lambda x: 0.5 * M.squared_dist(x, q.expand_as(x)), lambda x: factor * M.log(x, q))
    return p, x, M.log(x, q)


def test_case_54_gradients() -> None:
    assert check_gradient(*log_problem(-1.0))
    wrong = log_problem(-0.5)
    assert not check_gradient(*wrong)
    with pytest.raises(ManoptError, match="not that of the cost"):
        check_gradient(*wrong, raise_on_failure=True)
    linear = GradientProblem(Euclidean(), lambda x: 3.0 * x, lambda x: torch.full_like(x, 3.0))
    assert check_gradient(linear).exact


def test_case_54_hessians() -> None:
    a, x, u = tensor([2, 1], [1, 2]), tensor(1, 2), tensor(1, 0)

    def problem(gradient: Any, hessian: Any) -> HessianProblem:
        return HessianProblem(Euclidean(2), lambda x: 0.5 * (x * (x @ a)).sum(-1), gradient, hessian)

    right = check_hessian(problem(lambda x: x @ a, lambda x, u: u @ a), x, u)
    assert right and right.exact
    shifted = tensor([0, 0], [1, 0])  # u @ shifted is [0 1; 0 0] u
    for hessian, found in (
        (lambda x, u: u * u, "not linear"),
        (lambda x, u: u @ shifted, "not symmetric"),
    ):
        wrong = check_hessian(problem(lambda x: 2 * x @ a, hessian), x, u)
        assert not wrong and any(found in failure for failure in wrong.failures)
        assert any("not that of the cost" in failure for failure in wrong.failures)
