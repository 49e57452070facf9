"""Powell's dogleg: published minima, radii of single problems, and its front function."""

import pytest
import torch

from manopt_torch import (
    DoglegOptions,
    Euclidean,
    LeastSquaresProblem,
    OptionsError,
    QRSolver,
    Rotations,
    StopAfterIteration,
    check_solver,
    dogleg,
    get_reason,
    get_record,
    solve,
)
from manopt_torch.datasets import nist

D = torch.float64
BATCHES = [(), (2,), (2, 3)]


def rosenbrock(x):
    return torch.stack([10 * (x[..., 1] - x[..., 0] ** 2), 1 - x[..., 0]], -1)


def powell_singular(x):
    a, b, c, d = x.unbind(-1)
    return torch.stack([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2], -1)


def helical_valley(x):
    a, b, c = x.unbind(-1)
    angle = torch.atan2(b, a) / (2 * torch.pi)
    return torch.stack([10 * (c - 10 * angle), 10 * (torch.hypot(a, b) - 1), c], -1)


def bard(x):
    y = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
    u = torch.arange(1, 16, dtype=D)
    v, a, b, c = 16 - u, *x.unsqueeze(-1).unbind(-2)
    return torch.tensor(y, dtype=D) - (a + u / (v * b + torch.minimum(u, v) * c))


def freudenstein_roth(x):
    a, b = x.unbind(-1)
    return torch.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b], -1)


# [MoreGarbowHillstrom]: problem, start, least sum of squares
PUBLISHED = [
    (rosenbrock, [-1.2, 1.0], 0.0),
    (powell_singular, [3.0, -1.0, 0.0, 1.0], 0.0),
    (helical_valley, [-1.0, 0.0, 0.0], 0.0),
    (bard, [1.0, 1.0, 1.0], 8.21487e-3),
    (freudenstein_roth, [0.5, -2.0], 48.9842),
]


@pytest.mark.parametrize(("residuals", "start", "minimum"), PUBLISHED, ids=lambda a: getattr(a, "__name__", ""))
@pytest.mark.parametrize("batch", BATCHES)
def test_published_minima(residuals, start, minimum, batch):
    x = torch.tensor(start, dtype=D).expand(*batch, -1).clone()
    o = dogleg(Euclidean(len(start)), residuals, x, return_options=True)
    torch.testing.assert_close(2 * o.cost, torch.full(batch, minimum, dtype=D), rtol=2e-6, atol=1e-14)


@pytest.mark.parametrize("name", nist.names("lower"))
def test_nist(name):
    p = nist.load(name)
    assert (p.digits(dogleg(Euclidean(len(p.certified)), p.residuals, p.starts)) > 6).all()


def test_units_do_not_matter():
    units = torch.tensor([1e-6, 1e5], dtype=D)
    start = torch.tensor([-1.2, 1.0], dtype=D)
    plain = dogleg(Euclidean(2), rosenbrock, start, return_options=True)
    scaled = dogleg(Euclidean(2), lambda x: rosenbrock(x / units), start * units, return_options=True)
    assert abs(plain.iterations - scaled.iterations) <= 2
    torch.testing.assert_close(scaled.x / units, plain.x, rtol=1e-8, atol=0)


def test_each_problem_has_its_own_radius_and_steps_stay_within_it():
    x = torch.tensor([[-1.2, 1.0], [0.9, 0.8], [-5.0, 3.0]], dtype=D)
    p = LeastSquaresProblem(Euclidean(2), rosenbrock)
    o = DoglegOptions(x, initial_radius=0.1, stop=StopAfterIteration(15))
    solve(p, o, record=[":radius", ":Iterate", ":gain_ratio", ":Cost"])
    before, at = torch.full((3,), 0.1, dtype=D), x
    cost = p.get_cost(x)
    for radius, now, ratio, value in get_record(o):
        length = ((now - at) * o.scaling.sqrt()).norm(dim=-1)
        moved = length > 0
        assert (length <= before * (1 + 1e-9)).all()
        assert (value[moved] < cost[moved]).all() and torch.equal(value[~moved], cost[~moved])
        assert (radius[~moved] <= before[~moved]).all()  # equal for one that has ended
        assert (radius[moved & (ratio < 0.25)] < before[moved & (ratio < 0.25)]).all()
        before, at, cost = radius, now, value
    assert len(set(before.tolist())) == 3


def test_the_largest_radius_is_kept():
    x = torch.tensor([-1.2, 1.0], dtype=D)
    o = DoglegOptions(x, initial_radius=5.0, max_radius=0.05, stop=StopAfterIteration(10))
    solve(LeastSquaresProblem(Euclidean(2), rosenbrock), o, record=[":radius"])
    assert max(row[0] for row in get_record(o)) <= 0.05


def test_a_nan_wall_is_a_rejection():
    # the root of log x; the first whole step leads to negative numbers
    r = lambda x: torch.log(x) + 0 * torch.sqrt(x)  # noqa: E731
    x = dogleg(Euclidean(1), r, torch.tensor([[20.0], [0.5]], dtype=D), initial_radius=100.0)
    torch.testing.assert_close(x, torch.ones(2, 1, dtype=D), rtol=1e-8, atol=0)


def test_walls_all_around_end_a_run_soon():
    # finite where it starts and nowhere else
    r = lambda x: (x - 1) * torch.where(x == 0, 1.0, torch.nan)  # noqa: E731
    o = dogleg(Euclidean(1), r, torch.zeros(2, 1, dtype=D), return_options=True)
    assert (o.x == 0).all() and (o.iterations < 60).all()
    assert all("stagnated" in reason for reason in get_reason(o))


def test_singular_jacobians():
    # two parameters, of which only the sum counts
    r = lambda x: torch.stack([x.sum(-1) - 3, (x.sum(-1) - 3) * 2, x.sum(-1) ** 2 - 9], -1)  # noqa: E731
    x = dogleg(Euclidean(2), r, torch.tensor([[4.0, 0.0], [1.0, 7.0]], dtype=D))
    torch.testing.assert_close(x.sum(-1), torch.full((2,), 3.0, dtype=D), rtol=1e-9, atol=0)


@pytest.mark.parametrize("batch", BATCHES)
def test_rotations(batch):
    g = torch.Generator().manual_seed(1)
    M = Rotations(3)
    truth = M.random_point(*batch, generator=g, dtype=D)
    P = torch.randn(*batch, 3, 5, generator=g, dtype=D)
    start = M.exp(truth, M.random_tangent(truth, generator=g))
    x = dogleg(M, lambda R, P, Q: (R @ P - Q).flatten(-2), start, data=(P, truth @ P))
    torch.testing.assert_close(x, truth, rtol=0, atol=1e-9)


def test_the_laws_of_solvers_hold():
    start = torch.tensor([[-1.2, 1.0], [2.0, 0.5], [0.0, 0.0]], dtype=D)
    p = LeastSquaresProblem(Euclidean(2), lambda x, shift: rosenbrock(x) + shift, data=(0.1 * start,))
    check_solver(DoglegOptions, p, start, raise_on_failure=True)
    check_solver(lambda x: DoglegOptions(x, linear_solver=QRSolver()), p, start, raise_on_failure=True)


def test_one_nan_problem_leaves_the_others_alone():
    start = torch.tensor([[-1.2, 1.0], [2.0, 0.5], [0.0, 0.0]], dtype=D)
    r = lambda x, shift: rosenbrock(x) + shift  # noqa: E731
    data = (torch.zeros(3, 2, dtype=D),)
    clean = dogleg(Euclidean(2), r, start, data=data, return_options=True)
    data[0][1, 0] = torch.inf
    met = dogleg(Euclidean(2), r, start, data=data, return_options=True)
    assert torch.equal(clean.x[[0, 2]], met.x[[0, 2]]) and torch.equal(met.x[1], start[1])
    assert "non-finite at iteration 0" in get_reason(met)[1]


def test_rejections_cost_no_jacobian():
    o = dogleg(Euclidean(2), rosenbrock, torch.tensor([-1.2, 1.0], dtype=D), return_options=True)
    assert o.evaluations["residuals"] == o.iterations + 1
    assert o.evaluations["jacobian"] < o.evaluations["residuals"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"initial_radius": 0.0}, "initial_radius must lie"),
        ({"max_radius": -1.0}, "max_radius must lie"),
        ({"acceptance": 0.5}, "acceptance must lie"),
        ({"linear_solver": "qr"}, "linear_solver must be one such as"),
    ],
)
def test_arguments_are_checked(keywords, message):
    with pytest.raises(OptionsError, match=message):
        DoglegOptions(torch.zeros(2), **keywords)
