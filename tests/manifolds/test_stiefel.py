"""Stiefel manifolds: closed forms, both metrics, orders of the retractions, large steps and the reach of the logarithm."""

import math
from collections.abc import Callable

import pytest
import scipy.linalg
import torch

from manopt_torch.errors import OptionsError
from manopt_torch.linalg import frame_log, frame_tangent, frame_transport
from manopt_torch.manifolds import Manifold, Rotations, Sphere, Stiefel
from manopt_torch.testing import check_manifold
from tests.together import together

METRICS = ["euclidean", "canonical"]
every_metric = pytest.mark.parametrize("metric", METRICS)
every_field = pytest.mark.parametrize("field", ["real", "complex"])


def draw(M: Manifold, *batch: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    x = M.random_point(*batch, generator=generator, dtype=dtype)
    return x, M.random_tangent(x, generator), M.random_tangent(x, generator)


@pytest.mark.parametrize(
    "M", [Stiefel(4, 2, metric="canonical"), Stiefel(3, 3), Stiefel(4, 2, field="complex")], ids=repr
)
def test_all_laws_hold_for_tall_and_square_frames(M: Manifold) -> None:
    report = check_manifold(M)
    assert report.passed, str(report)


# ---- closed forms -------------------------------------------------------------------------------------------------


@every_metric
def test_frames_of_one_vector_are_a_sphere(metric: str) -> None:
    M, S = Stiefel(4, 1, metric), Sphere(4)
    x, u, v = draw(M, 20)
    y = M.exp(x, u, torch.linspace(0, 3.0, 20))
    column = lambda a: a[..., 0]  # noqa: E731
    torch.testing.assert_close(column(y), S.exp(column(x), column(u), torch.linspace(0, 3.0, 20)))
    torch.testing.assert_close(column(M.log(x, y)), S.log(column(x), column(y)))
    torch.testing.assert_close(M.dist(x, y), S.dist(column(x), column(y)))
    moved = S.parallel_transport(*map(column, (x, y, v)))
    torch.testing.assert_close(column(M.parallel_transport(x, y, v)), moved, rtol=1e-12, atol=1e-12)
    for ours, theirs in (("qr", "projection"), ("polar", "projection")):
        step = S.retract(column(x), column(u), 0.3, theirs)
        torch.testing.assert_close(column(M.retract(x, u, 0.3, ours)), step)


@every_metric
def test_square_frames_turn_by_the_matrix_logarithm(metric: str) -> None:
    M = Stiefel(3, 3, metric)
    x, u, _ = draw(M)
    y = M.exp(x, u, 2.0)
    torch.testing.assert_close(y, x @ torch.from_numpy(scipy.linalg.expm(2.0 * (x.mT @ u).numpy())))
    turn = torch.from_numpy(scipy.linalg.logm((x.mT @ y).numpy()).real)
    torch.testing.assert_close(M.log(x, y), x @ turn)
    half = 1.0 if metric == "euclidean" else math.sqrt(0.5)
    torch.testing.assert_close(M.dist(x, y), half * torch.linalg.matrix_norm(turn))


@pytest.mark.parametrize(("kappa", "n", "field"), [(1, 2, "real"), (2, 3, "real"), (2, 5, "real"), (1, 3, "complex")])
def test_square_frames_go_the_way_that_shooting_finds(kappa: int, n: int, field: str) -> None:
    M = Stiefel(n, n, {1: "canonical", 2: "euclidean"}[kappa], field)
    x, u, v = draw(M, 6)
    y = M.exp(x, u, torch.linspace(0.0, 2.5, 6))  # the first one is x itself
    w = M.log(x, y)
    shot, residual = frame_log(x, y, kappa)
    assert (residual < 1e-12).all()
    torch.testing.assert_close(w, shot, rtol=0, atol=1e-12)
    single = torch.complex64 if field == "complex" else torch.float32
    torch.testing.assert_close(M.log(x.to(single), y.to(single)).to(w.dtype), w, rtol=0, atol=3e-6)
    moved = frame_tangent(y, frame_transport(x, w, v, kappa))
    torch.testing.assert_close(M.parallel_transport(x, y, v), moved, rtol=0, atol=1e-12)

    def derivatives(log: Callable[..., torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        def slope(z: torch.Tensor) -> torch.Tensor:
            along = torch.func.jvp(lambda z: log(x, z), (z,), (M.project_tangent(z, v),))[1]
            return (along.conj() * v).real.sum()

        bend, first = torch.func.grad_and_value(slope)(y)
        return first, M.project_tangent(y, bend)

    shooting = derivatives(lambda x, y: frame_log(x, y, kappa)[0])
    torch.testing.assert_close(derivatives(M.log), shooting, rtol=0, atol=1e-9)


def test_square_frames_know_their_logarithm_up_to_a_half_turn() -> None:
    M = Stiefel(4, 4)
    x, turn = torch.eye(4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    turn[1, 0] = turn[3, 2] = 3.1
    turn = turn - turn.mT  # two planes at once: longer than the injectivity radius
    assert M.norm(x, turn) > M.injectivity_radius()
    y = M.exp(x, turn)
    assert M.log_defined(x, y) and not M.log_defined(x, -y.mT @ y)
    torch.testing.assert_close(M.log(x, y), turn)


def test_the_canonical_metric_of_codimension_one_is_that_of_rotations() -> None:
    # a frame of n - 1 vectors is a rotation, whose lengths the canonical metric divides by the root of two
    M, R = Stiefel(3, 2, "canonical"), Rotations(3)
    x, u, _ = draw(M, 5)
    y = M.exp(x, u, 1.5)
    full = lambda a: torch.cat([a, torch.linalg.cross(a[..., 0], a[..., 1])[..., None]], -1)  # noqa: E731
    torch.testing.assert_close(M.dist(x, y), R.dist(full(x), full(y)) * math.sqrt(0.5))


@every_metric
@every_field
def test_two_planes_turn_at_once(metric: str, field: str) -> None:
    # each column turns in a plane of its own: a flat torus, on which all lengths are known
    M = Stiefel(4, 2, metric, field)
    x = torch.eye(4, dtype=torch.float64)[:, :2].to(torch.complex128 if field == "complex" else torch.float64)
    for a, b in ((0.3, -0.4), (1e-9, 2e-9), (1.2, 1.2)):
        u, y = torch.zeros_like(x), torch.zeros_like(x)
        u[2, 0], u[3, 1] = a, b
        y[0, 0], y[2, 0], y[1, 1], y[3, 1] = math.cos(a), math.sin(a), math.cos(b), math.sin(b)
        torch.testing.assert_close(M.exp(x, u), y)
        torch.testing.assert_close(M.log(x, y), u, rtol=1e-12, atol=1e-15 * abs(a))
        assert M.dist(x, y).item() == pytest.approx(math.hypot(a, b), rel=1e-12)
        assert M.norm(x, M.parallel_transport(x, y, u) + M.log(y, x)) <= 1e-13


@every_field
def test_a_turn_within_the_frame_counts_half_in_the_canonical_metric(field: str) -> None:
    for metric, length in (("euclidean", math.sqrt(2.0)), ("canonical", 1.0)):
        M = Stiefel(4, 2, metric, field)
        x = M.random_point(dtype=torch.float64)
        turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=x.dtype)
        assert M.norm(x, x @ turn).item() == pytest.approx(length)
        assert M.dist(x, M.exp(x, x @ turn, 0.5)).item() == pytest.approx(0.5 * length)


@every_metric
@every_field
def test_gradients_and_hessians_of_a_quadratic(metric: str, field: str) -> None:
    # f(x) = Re tr(x* D x C) / 2, whose restriction to geodesics is differentiated twice
    M = Stiefel(4, 2, metric, field)
    x, u, _ = draw(M)
    D = torch.diag(torch.arange(1.0, 5.0, dtype=x.dtype.to_real())).to(x.dtype)
    C = torch.diag(torch.tensor([1.0, 3.0])).to(x.dtype)
    f = lambda y: 0.5 * (y.conj() * (D @ y @ C)).real.sum()  # noqa: E731
    g, h = D @ x @ C, D @ u @ C
    t = torch.zeros((), dtype=torch.float64)
    first = torch.func.grad(lambda t: f(M.exp(x, u, t)))
    assert M.inner(x, M.egrad2rgrad(x, g), u).item() == pytest.approx(first(t).item(), rel=1e-12)
    second = torch.func.grad(first)(t).item()
    assert M.inner(x, M.ehess2rhess(x, g, h, u), u).item() == pytest.approx(second, rel=1e-12)


# ---- retractions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "orders"),
    [("euclidean", {"qr": 1, "polar": 2, "cayley": 1}), ("canonical", {"qr": 1, "polar": 1, "cayley": 2})],
)
@every_field
def test_orders_of_the_retractions_are_exactly_those_claimed(metric: str, field: str, orders: dict[str, int]) -> None:
    M = Stiefel(5, 3, metric, field)
    x, u, _ = draw(M, 4)
    for name, order in orders.items():
        errors = [(M.exp(x, u, t) - M.retract(x, u, t, name)).abs().amax((-2, -1)) for t in (1e-2, 1e-3)]
        torch.testing.assert_close(
            torch.log10(errors[0] / errors[1]), torch.full((4,), order + 1.0, dtype=torch.float64), rtol=0.02, atol=0
        )
    assert M.retraction_order == orders["qr"]


@together()
@every_field
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("length", [1.0, 1e3, 1e8])
def test_large_steps_stay_orthonormal_to_a_few_roundings(length: float, dtype: torch.dtype, field: str) -> None:
    M = Stiefel(10, 3, field=field)
    x, u, _ = draw(M, 20, dtype=dtype)
    for name in ("qr", "polar", "cayley"):
        assert M.off_manifold(M.retract(x, u, length, name)).max() <= 20 * torch.finfo(dtype).eps
    if length < 1e3:
        assert M.off_manifold(M.exp(x, u, 100.0)).max() <= 20 * torch.finfo(dtype).eps


@every_field
def test_inverse_retractions_are_nan_outside_their_image(field: str) -> None:
    M = Stiefel(4, 2, field=field)
    x, u, _ = draw(M, 2)
    for name in ("qr", "polar"):
        y = M.retract(x, u, 0.8, name)
        torch.testing.assert_close(M.inverse_retract(x, y, name), 0.8 * u)
        mixed = M.inverse_retract(x, torch.stack([y[0], -y[1]]), name)
        torch.testing.assert_close(mixed[0], 0.8 * u[0])
        assert torch.isnan(mixed[1]).all()


# ---- the reach of the logarithm ---------------------------------------------------------------------------------------


@every_metric
@pytest.mark.parametrize("shape", [(4, 2), (10, 3), (3, 3)], ids=str)
def test_the_logarithm_reaches_nine_tenths_of_the_injectivity_radius(metric: str, shape: tuple[int, int]) -> None:
    M = Stiefel(*shape, metric)
    x, u, _ = draw(M, 60)
    for share in (0.5, 0.9):
        length = share * M.injectivity_radius()
        y = M.exp(x, u, length)
        torch.testing.assert_close(M.log(x, y), length * u, rtol=0, atol=1e-12)
        assert M.log_defined(x, y).all()


@pytest.mark.parametrize(("shape", "metric", "radius"), [
    ((5, 2), "euclidean", math.pi),
    ((3, 3), "euclidean", math.pi * math.sqrt(2)),
    ((4, 1), "canonical", math.pi),
    ((3, 2), "canonical", math.pi),
    ((3, 3), "canonical", math.pi),
])  # fmt: skip
def test_a_loop_of_twice_the_injectivity_radius_shows_that_it_is_no_larger(
    shape: tuple[int, int], metric: str, radius: float
) -> None:
    M = Stiefel(*shape, metric)
    n, p = shape
    x, u = torch.eye(n, dtype=torch.float64)[:, :p], torch.zeros(n, p, dtype=torch.float64)
    u[-1, 0] = 1.0  # turns the first column to the last axis
    u[0, -1] = -1.0 if n == p else u[0, -1]
    u = u / M.norm(x, u)
    assert M.injectivity_radius() == pytest.approx(radius)
    torch.testing.assert_close(M.exp(x, u, 2 * radius), x, rtol=0, atol=1e-13)


def test_lower_bounds_stand_for_radii_that_are_not_known() -> None:
    assert Stiefel(4, 2, "canonical").injectivity_radius() == pytest.approx(0.894427 * math.pi, rel=1e-6)
    assert Stiefel(2, 2, field="complex").injectivity_radius() == pytest.approx(math.pi)  # exact: that of U(2)
    assert Stiefel(4, 2, field="complex").injectivity_radius() == pytest.approx(math.pi / math.sqrt(2))


@every_metric
def test_what_no_geodesic_or_no_short_one_reaches_is_told(metric: str) -> None:
    square, tall = Stiefel(3, 3, metric), Stiefel(4, 2, metric)
    x, u, _ = draw(square, 2)
    mirrored = square.exp(x, u, 0.5) * torch.tensor([1.0, 1.0, -1.0])  # the other component
    assert not square.log_defined(x, mirrored).any()
    back = torch.cat([mirrored[..., :-1], -mirrored[..., -1:]], -1)  # in the component of x, as near as any
    torch.testing.assert_close(square.exp(x, square.log(x, mirrored)), back)
    x, u, _ = draw(tall, 2)
    assert not tall.log_defined(x, -x).any()
    assert torch.isfinite(tall.log(x, -x)).all()
    assert not tall.log_defined(x, tall.exp(x, u, 1.01 * math.pi)).any()


@every_metric
@pytest.mark.parametrize("shape", [(3, 1), (5, 2), (4, 3)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_antipodes_are_half_a_turn_away(metric: str, shape: tuple[int, int], dtype: torch.dtype) -> None:
    # the straight way there is orthogonal to all tangent vectors
    M = Stiefel(*shape, metric)
    x, u, _ = draw(M, 30, dtype=dtype)
    tolerance = 100 * torch.finfo(dtype).eps
    y = torch.cat([x[..., :-1], -x[..., -1:]], -1)  # a column moves on a sphere, no faster than the frame
    torch.testing.assert_close(M.dist(x, y), torch.full((30,), math.pi, dtype=dtype), rtol=tolerance, atol=0)
    torch.testing.assert_close(M.exp(x, M.log(x, y)), y, rtol=0, atol=tolerance)
    assert not M.log_defined(x, y).any()
    if metric == "euclidean":  # all columns by half a turn each, in planes of their own
        far = math.pi * math.sqrt(shape[1])
        torch.testing.assert_close(M.dist(x, -x), torch.full((30,), far, dtype=dtype), rtol=tolerance, atol=0)
        # the triangle inequality, up to what is missing where the iteration does not converge
        assert ((M.dist(x, M.project_point(0.01 * u - x)) - far).abs() <= 0.02).all()


@every_metric
@pytest.mark.parametrize("distance", [1e-7, 1e-6, 1e-4, 0.01, 0.3, 1.0, 2.0, 2.4])
def test_float32_keeps_relative_accuracy(metric: str, distance: float) -> None:
    M = Stiefel(5, 2, metric)
    x, u, _ = draw(M, 50)
    x, y = x.float(), M.exp(x, u, distance).float()
    torch.testing.assert_close(M.dist(x, y).double(), M.dist(x.double(), y.double()), rtol=1e-6, atol=0)
    error = M.norm(x.double(), M.log(x, y).double() - M.log(x.double(), y.double()))
    assert (error <= 1e-6 * M.dist(x.double(), y.double())).all()


def test_drift_of_many_steps_stays_at_rounding() -> None:
    M = Stiefel(6, 2)
    x, u, _ = draw(M, 4, dtype=torch.float32)
    for move in (M.exp, M.retract):
        y, v = x, u
        for _ in range(200):
            z = move(y, v, 0.1)
            y, v = z, M.transport(y, z, v)
        assert M.off_manifold(y).max() <= 1e-6


# ---- random elements and errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("M", [Stiefel(4, 2, m, f) for m in METRICS for f in ("real", "complex")], ids=repr)
def test_random_tangents_are_uniform(M: Manifold) -> None:
    generator = torch.Generator().manual_seed(0)
    x = M.random_point(generator=generator, dtype=torch.float64)
    c = M.to_coordinates(x, M.random_tangent(x.expand(20000, *x.shape), generator))
    covariance = c.mT @ c / len(c)
    torch.testing.assert_close(covariance, torch.eye(M.dim, dtype=torch.float64) / M.dim, rtol=0, atol=0.05 / M.dim)


@pytest.mark.parametrize("field", ["real", "complex"])
def test_dimensions(field: str) -> None:
    for n, p in ((5, 2), (3, 3), (4, 1)):
        M = Stiefel(n, p, field=field)
        assert M.dim == (2 * n * p - p * p if field == "complex" else n * p - p * (p + 1) // 2)


@together()
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 3), r"Stiefel\(2, 3\): .*p <= n"),
        ((3, 0), r"Stiefel\(3, 0\): sizes are integers of at least 1"),
        ((3, 2.0), r"sizes are integers"),
        ((1, 1), "only two points"),
        ((3, 2, "hyperbolic"), "metric='hyperbolic' is not known; there is 'canonical' and 'euclidean'"),
        ((3, 2, "canonical", "quaternion"), "field='quaternion' is not known"),
    ],
)
def test_arguments_are_checked(arguments: tuple, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        Stiefel(*arguments)


def test_names_tell_what_is_not_the_default() -> None:
    assert repr(Stiefel(4, 2)) == "Stiefel(4, 2)"
    assert repr(Stiefel(4, 2, "canonical", "complex")) == "Stiefel(4, 2, metric='canonical', field='complex')"


@every_metric
def test_no_path_leads_from_the_frames_that_turn_to_those_that_mirror(metric: str) -> None:
    M = Stiefel(3, 3, metric=metric)
    x = Rotations(3).random_point(2, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.stack([x[0, 0], x[1, 0] @ torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=x.dtype))])
    d = M.dist(x, y)
    assert d[0, 0] == 0 and 0 < d[1, 0] < math.inf
    assert torch.equal(d[:, 1], torch.full((2,), math.inf, dtype=x.dtype))
    y.requires_grad_()
    assert torch.isfinite(torch.autograd.grad(M.squared_dist(x, y).sum(), y)[0]).all()
