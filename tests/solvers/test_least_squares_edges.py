"""What the solvers of least squares do with options and neighbours of rarer kinds."""

import pytest
import torch

from manopt_torch import (
    AdaptiveWNGradient,
    CauchyLoss,
    CountedProblem,
    DistanceOverGradients,
    DoglegOptions,
    Euclidean,
    GaussNewtonOptions,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    NielsenDamping,
    NonmonotoneLinesearch,
    StopAfterIteration,
    StopWhenCostLess,
    TolerantLoss,
    WolfeLinesearch,
    solve,
)

TRUTH = torch.tensor([[2.0, 0.5], [1.0, 1.5], [3.0, 0.2]], dtype=torch.float64)
TIMES = torch.linspace(0, 4, 20, dtype=torch.float64)


def decay(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x[..., :1] * torch.exp(-x[..., 1:] * TIMES.to(x.dtype)) - y


DATA = (decay(TRUTH, torch.zeros(())),)


@pytest.mark.parametrize("lone", [True, False])
@pytest.mark.parametrize("stepsize", [NonmonotoneLinesearch(), WolfeLinesearch()], ids=lambda s: type(s).__name__)
def test_gauss_newton_goes_by_searches_that_look_at_gradients(stepsize: object, lone: bool) -> None:
    data, truth = ((DATA[0][0],), TRUTH[0]) if lone else (DATA, TRUTH)
    o = solve(LeastSquaresProblem(Euclidean(2), decay, data=data), GaussNewtonOptions(truth + 0.1, stepsize=stepsize))
    torch.testing.assert_close(o.x, truth, rtol=0, atol=1e-7)


@pytest.mark.parametrize("lone", [True, False])
@pytest.mark.parametrize("stepsize", [AdaptiveWNGradient(), DistanceOverGradients(0.1)], ids=lambda s: type(s).__name__)
def test_gauss_newton_lets_rules_that_learn_from_their_steps_remember_them(stepsize: object, lone: bool) -> None:
    data, truth = ((DATA[0][0],), TRUTH[0]) if lone else (DATA, TRUTH)
    o = solve(LeastSquaresProblem(Euclidean(2), decay, data=data), GaussNewtonOptions(truth + 0.1, stepsize=stepsize))
    torch.testing.assert_close(o.x, truth, rtol=0, atol=1e-6)
    assert (torch.as_tensor(o.iterations) < 200).all()


def test_counting_leaves_a_jacobian_of_single_precision_as_it_is() -> None:
    # the data of the problem within the counter have to be narrowed as well
    seen = []

    def watched(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append((x.dtype, y.dtype))
        return decay(x, y)

    problem = LeastSquaresProblem(Euclidean(2), watched, data=DATA)
    runs = [
        solve(p, LevenbergMarquardtOptions(TRUTH + 0.3, jacobian_dtype=torch.float32, stop=StopAfterIteration(3)))
        for p in (problem, CountedProblem(problem))
    ]
    assert torch.equal(runs[0].x, runs[1].x)
    assert {x == y for x, y in seen} == {True} and (torch.float32, torch.float32) in seen


@pytest.mark.parametrize("options", [DoglegOptions, LevenbergMarquardtOptions])
def test_a_problem_that_has_converged_does_not_stagnate_later(options: type) -> None:
    # a root of a square, met by the first step, and a farther one: further steps to the first have nothing to gain
    target = torch.tensor([[1.0], [4.0]], dtype=torch.float64)
    problem = LeastSquaresProblem(Euclidean(1), lambda x, b: x * x - b, data=(target,))
    few = {"max_damping": 1e-12, "initial_damping": 0.0} if options is LevenbergMarquardtOptions else {}
    start = torch.tensor([[1 + 1e-12], [9.0]], dtype=torch.float64)
    o = solve(problem, options(start, stop=StopAfterIteration(60) | StopWhenCostLess(1e-26), **few))
    assert o.iterations.tolist()[0] <= 1 and o.iterations.tolist()[1] >= 4
    assert o.stagnated.tolist()[0] is False


@pytest.mark.parametrize("loss", [TolerantLoss(0.5, 0.1), CauchyLoss(0.1)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_losses_round_alike_wherever_a_residual_stands(loss: object, dtype: torch.dtype) -> None:
    s = 3 * torch.rand(64, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    whole = loss.rho(s)  # type: ignore[attr-defined]
    for at in range(50):
        for length in (1, 3, 5, 7):
            part = loss.rho(s[at : at + length].clone())  # type: ignore[attr-defined]
            for a, b in zip(part, whole, strict=True):
                assert torch.equal(a, b[at : at + length])


def test_the_tolerant_loss_is_a_difference_of_logarithms() -> None:
    a, b = 2.0, 0.25
    s = torch.tensor([0.0, 1e-3, 0.2, 1.9, 2.0, 2.1, 9.0, 1e3, 1e300], dtype=torch.float64)
    zero = torch.zeros_like(s)
    z = (s - a) / b
    rho = TolerantLoss(a, b).rho(s)
    value = b * (torch.logaddexp(z, zero) - torch.logaddexp(zero - a / b, zero))
    torch.testing.assert_close(rho.value, value, rtol=1e-12, atol=1e-16)
    torch.testing.assert_close(rho.first, torch.sigmoid(z), rtol=1e-14, atol=0)
    torch.testing.assert_close(rho.second, torch.sigmoid(z) * torch.sigmoid(-z) / b, rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("acceleration", [False, True])
def test_no_iterate_leaves_its_bounds_by_as_much_as_a_rounding_error(dtype: torch.dtype, acceleration: bool) -> None:
    g = torch.Generator().manual_seed(3)
    sizes = 10.0 ** torch.randint(-6, 7, (200, 3), generator=g)
    middle = torch.randn(3, generator=g, dtype=dtype) * 10.0 ** torch.tensor([-3, 0, 2])
    low, up = middle - 0.3, middle + torch.tensor([0.1, 1.0, 30.0])
    target = (middle + sizes * torch.randn(200, 3, generator=g)).to(dtype)
    start = low + (up - low) * torch.rand(200, 3, generator=g).to(dtype)
    start = torch.minimum(torch.maximum(start, low), up)
    seen = []

    def bent(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        seen.append(x.detach())
        z = (x - y) * x.new_tensor([1.0, 2.0, 0.5])
        return z + 0.1 * z.square() / (1 + z.abs())

    problem = LeastSquaresProblem(Euclidean(3), bent, data=(target,))
    options = LevenbergMarquardtOptions(
        start, bounds=(low, up), geodesic_acceleration=acceleration, stop=StopAfterIteration(30)
    )
    solve(problem, options)
    assert all(bool(((low <= x) & (x <= up)).all()) for x in seen)
    assert bool(((options.x == low) | (options.x == up)).any())
    solve(problem, options)  # from where it has ended, which lies inside


@pytest.mark.parametrize("damping", [NielsenDamping(1), None], ids=repr)
def test_a_first_damping_that_is_a_whole_number_survives_compaction(damping: object) -> None:
    # of 20 problems all but two cannot start, so that these two go on alone from the first step on
    target = torch.full((20, 1), torch.nan, dtype=torch.float64)
    target[-2:] = 100.0
    problem = LeastSquaresProblem(Euclidean(1), lambda x, b: x * x - b, data=(target,))
    options = LevenbergMarquardtOptions(torch.ones(20, 1, dtype=torch.float64), damping=damping, initial_damping=1)
    solve(problem, options)
    torch.testing.assert_close(options.x[-2:], target[-2:].sqrt(), rtol=0, atol=1e-9)
    assert options.iterations[:18].eq(0).all() and options.damping_term.dtype == torch.float64
