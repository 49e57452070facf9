"""Mean, median and variance against closed forms."""

import math

import pytest
import torch

from manopt_torch import (
    Circle,
    Euclidean,
    GradientDescentOptions,
    Power,
    Product,
    Sphere,
    StopAfterIteration,
    SymmetricPositiveDefinite,
    get_reason,
    mean,
    median,
    variance,
)
from manopt_torch.errors import NonFiniteError, NotOnManifoldError, OptionsError, ShapeError
from tests.together import together

D = torch.float64
BATCHES = [(), (2,), (2, 3)]
TOLERANCE = {D: 1e-12, torch.float32: 2e-5}


def draw(*shape, seed=0, dtype=D):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def close(a, b, tolerance=1e-12):
    torch.testing.assert_close(a, torch.as_tensor(b, dtype=a.dtype).expand(a.shape), rtol=0, atol=tolerance)


def power(a, t):
    """Return a symmetric positive definite matrix to a power."""
    w, v = torch.linalg.eigh(a)
    return v * (w**t).unsqueeze(-2) @ v.mT


def spd(*shape, seed=0, dtype=D):
    a = draw(*shape, 3, 3, seed=seed)
    return (a @ a.mT + 0.5 * torch.eye(3, dtype=D)).to(dtype)


# ---- mean -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", [D, torch.float32])
def test_euclidean_mean_is_the_weighted_average(batch, dtype):
    x, w = draw(*batch, 5, 2, 2, dtype=dtype), draw(*batch, 5, seed=1, dtype=dtype).abs()
    M = Euclidean(2, 2)
    close(mean(M, x), x.mean(-3), TOLERANCE[dtype])
    share = w / w.sum(-1, keepdim=True)
    close(mean(M, x, weights=w), (share[..., None, None] * x).sum(-3), TOLERANCE[dtype])
    close(mean(M, x, weights=7 * w), mean(M, x, weights=w), TOLERANCE[dtype])
    assert mean(M, x).dtype == dtype


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", [D, torch.float32])
def test_mean_of_two_positive_definite_matrices_is_the_geometric_mean(batch, dtype):
    x = spd(*batch, 2)
    a, b = x[..., 0, :, :], x[..., 1, :, :]
    half, inverse = power(a, 0.5), power(a, -0.5)
    for weights, t in ((None, 0.5), (torch.tensor([3.0, 1.0]), 0.25)):
        truth = half @ power(inverse @ b @ inverse, t) @ half
        m = mean(SymmetricPositiveDefinite(3), x.to(dtype), weights=weights)
        torch.testing.assert_close(m, truth.to(dtype), rtol=100 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("batch", BATCHES)
def test_mean_of_commuting_matrices_is_the_exponential_of_the_mean_logarithm(batch):
    q = torch.linalg.qr(draw(3, 3))[0]
    logarithms, w = draw(*batch, 6, 3, seed=1), draw(*batch, 6, seed=2).abs()
    x = q * logarithms.exp().unsqueeze(-2) @ q.T
    x = 0.5 * (x + x.mT)
    w = w / w.sum(-1, keepdim=True)
    truth = q * (w[..., None] * logarithms).sum(-2).exp().unsqueeze(-2) @ q.T
    close(mean(SymmetricPositiveDefinite(3), x, weights=w), truth, 1e-11)


@pytest.mark.parametrize("dtype", [D, torch.float32])
def test_mean_on_the_sphere_of_symmetric_sets(dtype):
    for n in (2, 3, 5):  # of the axes
        close(mean(Sphere(n), torch.eye(n, dtype=dtype)), n**-0.5, TOLERANCE[dtype])
    # a cone around a pole
    angle = 2 * math.pi * torch.arange(7, dtype=D) / 7
    cone = torch.stack([0.6 * angle.cos(), 0.6 * angle.sin(), torch.full((7,), 0.8, dtype=D)], -1).to(dtype)
    close(mean(Sphere(3), cone), torch.tensor([0.0, 0.0, 1.0], dtype=dtype), TOLERANCE[dtype])


def test_mean_of_points_on_a_great_circle_is_that_of_their_angles():
    angle, w = torch.tensor([-0.4, 0.1, 0.3, 1.1], dtype=D), torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=D)
    x = torch.stack([angle.cos(), 0.6 * angle.sin(), 0.8 * angle.sin()], -1)
    m = mean(Sphere(3), x, weights=w)
    truth = (w * angle).sum() / 10
    close(m, torch.stack([truth.cos(), 0.6 * truth.sin(), 0.8 * truth.sin()]))


def test_results_stay_on_the_manifold_however_long_the_run():
    x = torch.eye(3, dtype=D)
    m = mean(Sphere(3), x, weights=[1, 2, 3], stop=StopAfterIteration(400))
    assert abs(torch.linalg.vector_norm(m).item() - 1) < 1e-14
    close(Sphere(3).log(m, x).T @ torch.tensor([1.0, 2.0, 3.0], dtype=D), 0.0, 1e-14)


def test_circle_means_of_case_4():
    x = torch.tensor([-math.pi / 2, math.pi / 4, 0.0, math.pi / 4], dtype=D)
    for start in (None, x[0], x[1]):
        o = mean(Circle(), x, start=start, return_options=True)
        close(o.x, 0.0)
    # f = 1/10 sum d^2 there; ours is 1/2 times the average
    assert math.isclose(o.cost.item() * 0.8, 0.370110165040851, rel_tol=1e-14)


def test_circle_mean_over_the_cut():
    x = torch.tensor([math.pi - 0.1, -math.pi + 0.3], dtype=D)
    assert math.isclose(mean(Circle(), x).item(), -math.pi + 0.1, rel_tol=1e-12)


@pytest.mark.parametrize("batch", BATCHES)
def test_means_of_tuples_are_tuples_of_means(batch):
    M = Product(Sphere(3), Product(Circle(), Euclidean(2)))
    base = torch.tensor([1.0, 0.0, 0.0], dtype=D)
    x = (
        Sphere(3).project_point(base + 0.3 * draw(*batch, 4, 3)),
        (draw(*batch, 4, seed=1) / 4, draw(*batch, 4, 2, seed=2)),
    )
    a, (b, c) = mean(M, x)
    close(a, mean(Sphere(3), x[0]), 1e-11)
    close(b, x[1][0].mean(-1), 1e-11)
    close(c, x[1][1].mean(-2), 1e-11)


def test_power_manifolds():
    x = draw(5, 4, 3).abs() + 0.2
    x = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    apart = torch.stack([mean(Sphere(3), x[:, k]) for k in range(4)])
    close(mean(Power(Sphere(3), 4), x), apart, 1e-11)


@together()
@pytest.mark.parametrize("function", [mean, median])
@pytest.mark.parametrize("stop", [None, StopAfterIteration(2)])
@pytest.mark.parametrize("count", [1, 4])
def test_points_all_in_one_place(function, stop, count):
    x = torch.tensor([0.6, 0.0, 0.8], dtype=D).expand(2, count, 3)
    o = function(Sphere(3), x, stop=stop, return_options=True)
    assert torch.equal(o.x, x[:, 0])
    assert o.iterations.tolist() == ([0, 0] if stop is None else [2, 2])
    assert not o.broken.any() and o.evaluations["cost"] <= 3


@pytest.mark.parametrize("function", [mean, median])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_the_data_does_not_matter(function, scale):
    x = torch.tensor([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 1.0]], dtype=D)
    close(function(Euclidean(2), scale * x) / scale, function(Euclidean(2), x), 1e-9)


def test_weights_of_zero_leave_points_out():
    x = spd(4)
    close(
        mean(SymmetricPositiveDefinite(3), x, weights=[0, 1, 0, 1]), mean(SymmetricPositiveDefinite(3), x[1::2]), 1e-10
    )


@pytest.mark.parametrize("function", [mean, median])
def test_batches_agree_with_lone_runs(function):
    x = Sphere(3).project_point(torch.tensor([1.0, 0.0, 0.0], dtype=D) + 0.4 * draw(2, 3, 5, 3))
    w = draw(2, 3, 5, seed=1).abs()
    together = function(Sphere(3), x, weights=w)
    for i in range(2):
        for j in range(3):
            close(together[i, j], function(Sphere(3), x[i, j], weights=w[i, j]), 1e-10)
    close(function(Sphere(3), x, weights=w[0, 0]), function(Sphere(3), x, weights=w[0, 0].expand(2, 3, 5)))


def test_large_batches_leave_finished_problems_behind():
    x = draw(8, 8, 4, 1)
    x[::2] = x[::2, :, :1]  # half of them are done at the start
    close(mean(Euclidean(1), x), x.mean(-2))


# ---- variance -------------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", [D, torch.float32])
def test_euclidean_variance(batch, dtype):
    x = draw(*batch, 6, 3, dtype=dtype)
    v = variance(Euclidean(3), x)
    assert v.shape == batch and v.dtype == dtype
    close(v, x.var(-2).mean(-1), TOLERANCE[dtype])
    close(variance(Euclidean(3), x, x[..., 0, :]), (x - x[..., :1, :]).square().sum((-1, -2)) / 15, TOLERANCE[dtype])


def test_weighted_variance():
    x, w = draw(6, 3), torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], dtype=D)
    share = w / 21
    c = (share[:, None] * x).sum(0)
    close(variance(Euclidean(3), x, weights=w), 6 / 5 / 3 * (share * (x - c).square().sum(-1)).sum())
    close(variance(Euclidean(3), x, weights=torch.ones(6)), variance(Euclidean(3), x))


def test_variance_on_curved_manifolds():
    # three axes have distance arccos(3^-1/2) to their mean, the sphere dimension 2
    close(variance(Sphere(3), torch.eye(3, dtype=D)), 3 * math.acos(3**-0.5) ** 2 / 4)
    q = torch.linalg.qr(draw(3, 3))[0]
    logarithms = draw(5, 3, seed=1)
    x = q * logarithms.exp().unsqueeze(-2) @ q.T
    truth = (logarithms - logarithms.mean(0)).square().sum() / (4 * 6)
    close(variance(SymmetricPositiveDefinite(3), 0.5 * (x + x.mT)), truth, 1e-11)


def test_variance_of_tuples():
    M, x = Product(Euclidean(2), Euclidean()), (draw(4, 2), draw(4, seed=1))
    close(variance(M, x), (x[0].var(0).sum() + x[1].var(0)) / 3)


# ---- arguments ------------------------------------------------------------------------------------------------------


def test_options_come_back_on_request():
    o = mean(Sphere(3), torch.eye(3, dtype=D), return_options=True)
    assert isinstance(o, GradientDescentOptions)
    assert "gradient norm below" in get_reason(o)
    assert median(Euclidean(1), draw(3, 1), stop=StopAfterIteration(2), return_options=True).iterations == 2


def test_the_start_is_taken():
    x, start = draw(2, 5, 3), draw(2, 3, seed=1)
    for function in (mean, median):
        assert torch.equal(function(Euclidean(3), x, start=start, stop=StopAfterIteration(0)), start)
    assert torch.equal(mean(Euclidean(3), x, stop=StopAfterIteration(0)), x[:, 0])


@together()
@pytest.mark.parametrize("function", [mean, median, variance])
@pytest.mark.parametrize(
    ("weights", "error", "told"),
    [
        (torch.ones(3), ShapeError, r"weights need shape \(2, 4\) or \(4,\), got \(3,\)"),
        (torch.ones(4, 4), ShapeError, r"got \(4, 4\)"),
        (torch.ones(1, 4), ShapeError, r"got \(1, 4\)"),
        (torch.ones(1, 2, 4), ShapeError, r"got \(1, 2, 4\)"),
        (torch.tensor(1.0), ShapeError, r"got \(\)"),
        (
            torch.tensor([1.0, -1.0, 2.0, 3.0]),
            OptionsError,
            r"nonnegative and finite.*batch indices \[\(0,\), \(1,\)\]",
        ),
        (torch.tensor([[1.0, 1, 1, 1], [0.0, 0, 0, 0]]), OptionsError, r"at batch indices \[\(1,\)\]"),
        (torch.tensor([1.0, math.nan, 2.0, 3.0]), OptionsError, "nonnegative and finite"),
        (torch.tensor([1.0, math.inf, 2.0, 3.0]), OptionsError, "nonnegative and finite"),
    ],
)
def test_bad_weights(function, weights, error, told):
    with pytest.raises(error, match=told):
        function(Euclidean(2), torch.ones(2, 4, 2), weights=weights)


def test_weights_may_be_integers_or_a_list():
    x = draw(3, 2)
    for weights in ([1, 2, 3], torch.tensor([1, 2, 3])):
        close(mean(Euclidean(2), x, weights=weights), (x * torch.tensor([[1.0], [2], [3]])).sum(0) / 6)


@together()
@pytest.mark.parametrize("function", [mean, median, variance])
@pytest.mark.parametrize(
    ("M", "x"), [(Euclidean(2), torch.ones(2)), (Euclidean(2), torch.ones(3, 0, 2)), (Circle(), torch.tensor(1.0))]
)
def test_points_need_an_axis_of_their_own(function, M, x):
    with pytest.raises(ShapeError, match=r"expected points of shape \(\*batch, N, \*point_shape\) with N >= 1, got"):
        function(M, x)


@pytest.mark.parametrize("function", [mean, median])
def test_starts_of_another_batch(function):
    with pytest.raises(ShapeError, match=r"start needs one point for each problem, batch axes \(3,\), got \(\)"):
        function(Euclidean(2), torch.ones(3, 4, 2), start=torch.ones(2))


def test_centers_of_another_batch():
    with pytest.raises(ShapeError, match=r"center needs one point for each problem, batch axes \(3,\), got \(4,\)"):
        variance(Euclidean(2), torch.ones(3, 4, 2), torch.ones(4, 2))


def test_variance_of_one_point():
    with pytest.raises(ShapeError, match="variance needs at least two points, got 1"):
        variance(Euclidean(2), torch.ones(1, 2))


def test_points_with_nan():
    x = torch.ones(2, 3, 2)
    x[1, 0, 0] = math.nan
    with pytest.raises(NonFiniteError, match=r"batch indices \[\(1,\)\]"):
        mean(Euclidean(2), x)


@pytest.mark.parametrize("function", [mean, median, variance])
def test_every_point_is_checked_not_only_the_first(function):
    x = torch.eye(3, dtype=D).repeat(2, 1, 1)
    x[1, 2] *= 2
    with pytest.raises(NotOnManifoldError, match=r"the point at batch indices \[\(1, 2\)\] is off Sphere\(3\)"):
        function(Sphere(3), x)
    with pytest.raises(OptionsError, match="points must be of floating point, got torch.int64"):
        function(Sphere(3), torch.eye(3, dtype=torch.int64))
