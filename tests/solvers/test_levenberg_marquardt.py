"""Levenberg-Marquardt: reference values, SciPy's solutions, units, options, batches."""

from collections import OrderedDict

import numpy as np
import pytest
import scipy.optimize
import torch

from manopt_torch import (
    DebugEntry,
    Euclidean,
    FletcherDamping,
    GradientProblem,
    HuberLoss,
    LeastSquaresProblem,
    LevenbergDamping,
    LevenbergMarquardtOptions,
    MarquardtDamping,
    MissingDerivativeError,
    NielsenDamping,
    OptionsError,
    Product,
    ResidualDamping,
    Rotations,
    ShapeError,
    StopAfterIteration,
    StopWhenChangeLess,
    StopWhenGradientNormLess,
    get_gradient,
    get_reason,
    get_record,
    levenberg_marquardt,
    record_to_dict,
    report,
    solve,
)
from manopt_torch.datasets import nist
from manopt_torch.linear_solvers import compiled
from tests.together import together

D = torch.float64
TIMES = torch.linspace(0, 5, 30, dtype=D)
T = torch.tensor([1, 2, 2.4, 3.1, 4.3, 5.1, 5.7, 6.2], dtype=D)
XS = torch.tensor(
    [1.7926888218350978, 4.080701652578803, 4.510454784478316, 6.44163899446108, 8.779266091173081, 9.99046003643165,
     11.383567405022262, 12.661526739028028], dtype=D)  # fmt: skip
YS = torch.tensor(
    [-2.89981608417956, -6.062187792164395, -7.217187782362094, -9.204644225025552, -13.026122239508274,
     -15.15659923171402, -17.076511907478242, -18.475183785109927], dtype=D)  # fmt: skip


def two_lines(xs, ys):
    return lambda p: torch.cat([T * p[..., :1] - xs, T * p[..., 1:] - ys], -1)


def decay(x, y):
    return x[..., :1] * torch.exp(-x[..., 1:2] * TIMES.to(x.dtype)) + x[..., 2:] - y


def decay_jacobian(x, y):
    e = torch.exp(-x[..., 1:2] * TIMES.to(x.dtype))
    return torch.stack([e, -x[..., :1] * TIMES.to(x.dtype) * e, torch.ones_like(e)], -1)


def decays(*batch, seed=0, dtype=D):
    """Return noisy decays and starts."""
    g = torch.Generator().manual_seed(seed)
    u = torch.rand((*batch, 3), generator=g, dtype=D)
    truth = torch.stack([1 + 4 * u[..., 0], 0.3 + 1.7 * u[..., 1], 0.5 + u[..., 2]], -1)
    y = decay(truth, 0.0) + 0.05 * torch.randn((*batch, 30), generator=g, dtype=D)
    x = torch.stack([y.amax(-1) - y.amin(-1), torch.ones_like(y[..., 0]), y.amin(-1)], -1)
    return y.to(dtype), x.to(dtype)


# ---- the reference values of Manopt.jl ------------------------------------------------------------------------------


def test_gradient_of_the_line_fits():
    p = LeastSquaresProblem(Euclidean(2), two_lines(XS, YS))
    want = torch.tensor([270.3617451389837, 677.6730784956912], dtype=D)
    torch.testing.assert_close(get_gradient(p, torch.tensor([4.0, 2.0], dtype=D)), want, rtol=1e-13, atol=0)


def test_the_rule_of_manopt_gives_its_iterates():
    stop = StopAfterIteration(200) | StopWhenGradientNormLess(1e-12) | StopWhenChangeLess(1e-12)
    o = levenberg_marquardt(
        Euclidean(2), two_lines(XS, YS), torch.zeros(2, dtype=D), damping=ResidualDamping(), stop=stop,
        record=[":Cost", ":Iterate", ":damping_term"], return_options=True,
    )  # fmt: skip
    costs, points, damping = (record_to_dict(o)[name] for name in (":Cost", ":Iterate", ":damping_term"))
    torch.testing.assert_close(points[0], torch.tensor([0.87425635, -1.30118105], dtype=D), rtol=0, atol=1e-8)
    torch.testing.assert_close(
        costs[:3], torch.tensor([281.3539412, 24.3262228, 0.222900821], dtype=D), rtol=1e-7, atol=0
    )
    torch.testing.assert_close(o.x, torch.tensor([2.009118224307926, -2.990228854901997], dtype=D), rtol=0, atol=1e-9)
    assert abs(float(o.cost) - 0.19403177082633477) < 1e-13
    assert damping[0] == 0.1


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
def test_zero_residuals_are_reached_exactly(batch):
    x = torch.zeros((*batch, 2), dtype=D)
    rule = ResidualDamping(expect_zero_residual=True)
    o = levenberg_marquardt(Euclidean(2), two_lines(2 * T, -3 * T), x, damping=rule, return_options=True)
    torch.testing.assert_close(o.x, torch.tensor([2.0, -3.0], dtype=D).expand(*batch, 2), rtol=0, atol=1e-14)
    assert (o.cost < 1e-28).all() and (torch.as_tensor(o.iterations) <= 8).all()


@together()
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ResidualDamping(2.0), "acceptance"),
        (lambda: ResidualDamping(least=-1.0), "least"),
        (lambda: ResidualDamping(increase=0.5), "increase"),
        (lambda: LevenbergDamping(decrease=0.5), "decrease"),
        (lambda: NielsenDamping(shrink=1.0), "shrink"),
        (lambda: NielsenDamping(-1.0), "initial"),
        (lambda: NielsenDamping(scaling="guess"), "scaling"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), initial_damping=-1.0), "initial_damping"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), jacobian_dtype="float32"), "such as torch.float32"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), damping=0.1), "damping must be one such as NielsenDamping"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), min_damping=-1.0), "min_damping"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), min_damping=1.0, max_damping=0.5), "max_damping"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), acceptance=1.5), "acceptance"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), chunk_size=0), "chunk_size"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), damping=NielsenDamping), "damping"),
        (lambda: LevenbergMarquardtOptions(torch.zeros(2), linear_solver="qr"), "linear_solver"),
    ],
)
def test_bad_numbers_are_named(make, named):
    with pytest.raises(OptionsError, match=named):
        make()


# ---- against SciPy --------------------------------------------------------------------------------------------------


def test_two_hundred_small_problems_agree_with_scipy():
    y, x = decays(200)
    o = levenberg_marquardt(Euclidean(3), decay, x, jacobian=decay_jacobian, data=(y,), return_options=True)
    assert (o.reason_code > 1).all()
    for k in range(200):
        one = y[k].numpy()

        def f(p, one=one):
            return p[0] * np.exp(-p[1] * np.linspace(0, 5, 30)) + p[2] - one

        s = scipy.optimize.least_squares(f, x[k].numpy(), method="lm", xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert abs(float(o.cost[k]) - s.cost) <= 1e-9 * s.cost
        np.testing.assert_allclose(o.x[k].numpy(), s.x, rtol=3e-6, atol=1e-7)


# ---- units, shapes, precision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Misra1a", "Chwirut2", "MGH17", "Hahn1", "BoxBOD", "MGH10", "Eckerle4", "Bennett5"])
def test_units_of_the_parameters_do_not_matter(name):
    data = nist.load(name)
    starts, n = data.starts.repeat(2, 1), data.starts.shape[-1]
    g = torch.Generator().manual_seed(len(name))
    units = 10 ** (12 * torch.rand(4, n, generator=g, dtype=D) - 6)
    x = levenberg_marquardt(Euclidean(n), lambda b, u: data.residuals(b * u), starts / units, data=(units,))
    assert (data.digits(x * units) >= 6).all()


def test_every_way_to_the_jacobian_leads_to_the_same_fit():
    y, x = decays(6)
    runs = [
        levenberg_marquardt(Euclidean(3), decay, x, jacobian=way, data=(y,))
        for way in (None, decay_jacobian, "forward", "reverse", "finite")
    ]
    for found in runs[1:]:
        torch.testing.assert_close(found, runs[0], rtol=1e-8, atol=1e-9)


def test_single_precision_reaches_the_cost_of_double_precision():
    y, x = decays(100)
    best = levenberg_marquardt(Euclidean(3), decay, x, data=(y,))
    o = levenberg_marquardt(Euclidean(3), decay, x.float(), data=(y.float(),), return_options=True)
    assert o.x.dtype == o.cost.dtype == torch.float32 and (o.reason_code > 1).all()
    least = 0.5 * decay(best, y).square().sum(-1)
    assert (0.5 * decay(o.x.double(), y).square().sum(-1) <= least * (1 + 1e-6)).all()


def test_a_jacobian_of_single_precision_serves_a_point_of_double_precision():
    y, x = decays(20)
    o = levenberg_marquardt(
        Euclidean(3), decay, x, jacobian=decay_jacobian, data=(y,), jacobian_dtype=torch.float32, return_options=True
    )
    assert o.x.dtype == o.system[0].dtype == D and (o.reason_code > 1).all()
    torch.testing.assert_close(o.x, levenberg_marquardt(Euclidean(3), decay, x, data=(y,)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "rule",
    [
        LevenbergDamping(),
        MarquardtDamping(),
        FletcherDamping(),
        LevenbergDamping(increase=2.0, decrease=3.0),
        *(NielsenDamping(scaling=s) for s in ("identity", "largest", "current", "first")),
    ],
    ids=repr,
)
def test_every_damping_rule_solves_easy_fits(rule):
    y, x = decays(40)
    o = levenberg_marquardt(Euclidean(3), decay, x, data=(y,), damping=rule, return_options=True)
    assert (o.reason_code > 1).all()
    torch.testing.assert_close(o.x, levenberg_marquardt(Euclidean(3), decay, x, data=(y,)), rtol=1e-7, atol=1e-8)


def test_geodesic_acceleration_saves_steps_in_a_bent_valley():
    def rosenbrock(x):
        return torch.stack([100 * (x[..., 1] - x[..., 0] ** 2), 1 - x[..., 0]], -1)

    x = torch.tensor([[-1.2, 1.0], [-3.0, 4.0]], dtype=D)
    plain, accelerated = (
        levenberg_marquardt(Euclidean(2), rosenbrock, x, geodesic_acceleration=on, return_options=True)
        for on in (False, True)
    )
    for o in (plain, accelerated):
        torch.testing.assert_close(o.x, torch.ones(2, 2, dtype=D), rtol=0, atol=1e-9)
    assert (accelerated.iterations < plain.iterations).all()
    lone = levenberg_marquardt(Euclidean(2), rosenbrock, x[0], geodesic_acceleration=True)
    torch.testing.assert_close(lone, torch.ones(2, dtype=D), rtol=0, atol=1e-9)


def test_points_in_several_parts():
    """Align two clouds by a rotation and a shift."""
    g = torch.Generator().manual_seed(0)
    M = Product(Rotations(3), Euclidean(3))
    a = torch.randn(5, 3, 8, generator=g, dtype=D)
    turn = 0.4 * torch.randn(5, 3, 3, generator=g, dtype=D)
    truth = torch.linalg.matrix_exp(turn - turn.mT), torch.randn(5, 3, generator=g, dtype=D)

    def residuals(x, a, b):
        return (x[0] @ a + x[1].unsqueeze(-1) - b).flatten(-2)

    def jacobian(x, a, b):
        # d (R a)_ik / d R_jl = delta_ij a_lk
        eye = torch.eye(3, dtype=D)
        by_turn = torch.einsum("ij,blk->bikjl", eye, a).flatten(1, 2)
        return by_turn, eye[:, None].expand(3, 8, 3).flatten(0, 1).expand(len(a), 24, 3)

    b = residuals(truth, a, torch.zeros_like(a)).unflatten(-1, (3, 8))
    start = torch.eye(3, dtype=D).repeat(5, 1, 1), torch.zeros(5, 3, dtype=D)
    for way in (None, jacobian):
        x = levenberg_marquardt(M, residuals, start, jacobian=way, data=(a, b))
        torch.testing.assert_close(x, truth, rtol=0, atol=1e-9)


# ---- batches --------------------------------------------------------------------------------------------------------


def test_pieces_and_compaction_change_no_bit():
    y, x = decays(1100)
    runs = [
        levenberg_marquardt(Euclidean(3), decay, x, data=(y,), return_options=True, chunk_size=size, compact=compact)
        for size, compact in (("auto", True), (None, False), (100, True), (333, False))
    ]
    for o in runs[1:]:
        for name in ("x", "cost", "gradient", "iterations", "reason_code", "damping_term"):
            assert torch.equal(getattr(o, name), getattr(runs[0], name)), name
    folded = levenberg_marquardt(
        Euclidean(3), decay, x.unflatten(0, (11, 100)), data=(y.unflatten(0, (11, 100)),), chunk_size=64
    )
    assert torch.equal(folded.flatten(0, 1), runs[0].x)


def test_pieces_bound_how_much_is_evaluated_at_once():
    y, x = decays(1100)
    sizes = []

    def watched(x, y):
        sizes.append(len(x))
        return decay(x, y)

    o = levenberg_marquardt(Euclidean(3), watched, x, data=(y,), chunk_size=200, return_options=True)
    assert max(sizes) <= 200
    assert o.evaluations["residuals"] == o.evaluations["jacobian"] == int(o.iterations.max()) + 1


def test_bad_data_in_one_problem_are_its_own_affair():
    y, x = decays(5)
    broken = y.clone()
    broken[2, 7] = torch.nan
    clean, met = (levenberg_marquardt(Euclidean(3), decay, x, data=(d,), return_options=True) for d in (y, broken))
    others = [0, 1, 3, 4]
    assert torch.equal(clean.x[others], met.x[others]) and torch.equal(met.x[2], x[2])
    assert "non-finite at iteration 0" in get_reason(met)[2]


def test_a_trial_that_is_not_finite_is_a_rejection():
    def residuals(x, y):
        return torch.cat([torch.log(x) - y, 0.1 * x], -1)

    x = torch.full((3, 1), 5.0, dtype=D)
    y = torch.tensor([[-8.0], [0.0], [-3.0]], dtype=D)  # the first steps lead below zero
    o = levenberg_marquardt(Euclidean(1), residuals, x, data=(y,), initial_damping=0.0, return_options=True)
    assert (o.reason_code > 1).all() and (o.x > 0).all() and o.damping_term[0] > 0
    torch.testing.assert_close(o.gradient, torch.zeros_like(o.x), rtol=0, atol=1e-6)


def test_problems_that_start_at_their_solution_end_at_once():
    x = torch.tensor([[2.0, -3.0], [0.0, 0.0]], dtype=D)
    o = levenberg_marquardt(Euclidean(2), two_lines(2 * T, -3 * T), x, return_options=True)
    assert o.iterations[0] == 0 and o.iterations[1] > 0
    assert "perpendicular" in get_reason(o)[0]


def test_what_can_be_recorded_and_printed():
    y, x = decays(3)
    entries = [":Iteration", ":Cost", ":damping_term", ":gain_ratio", ":residual_norm", ":active_count", ":cosine"]
    o = LevenbergMarquardtOptions(x)
    solve(LeastSquaresProblem(Euclidean(3), decay, data=(y,)), o, record=entries)
    rows = record_to_dict(o)
    torch.testing.assert_close(rows[":residual_norm"], (2 * rows[":Cost"]).sqrt())
    assert rows[":damping_term"].shape == rows[":gain_ratio"].shape == (len(get_record(o)), 3)
    printed = []
    debug = [DebugEntry("damping_term", print=printed.append), DebugEntry("gain_ratio", print=printed.append)]
    lone = LeastSquaresProblem(Euclidean(3), lambda x: decay(x, y[0]))
    solve(lone, LevenbergMarquardtOptions(x[0], stop=StopAfterIteration(3)), debug=debug)
    assert printed[0].startswith("damping_term: 0.1gain_ratio: nan") and len(printed) == 4


# ---- bad input ------------------------------------------------------------------------------------------------------


@together()
@pytest.mark.parametrize("batch", [(), (4,)], ids=str)
@pytest.mark.parametrize(
    ("residuals", "jacobian", "message"),
    [
        (lambda x: x[..., :0], None, "no residuals"),
        (lambda x: x.sum(-1), None, "residuals must have shape"),
        (lambda x: 3.0, None, "residuals must be a tensor"),
        (lambda x: x, lambda x: x, "Jacobian must have shape"),
        (lambda x: x, lambda x: x.unsqueeze(-1).expand(*x.shape, 3), "Jacobian must have shape"),
    ],
)
def test_wrong_shapes_are_named(batch, residuals, jacobian, message):
    with pytest.raises(ShapeError, match=message):
        levenberg_marquardt(Euclidean(2), residuals, torch.ones((*batch, 2), dtype=D), jacobian=jacobian)


def test_other_problems_are_refused():
    with pytest.raises(MissingDerivativeError, match="LeastSquaresProblem"):
        solve(GradientProblem(Euclidean(2), lambda x: x.sum(-1)), LevenbergMarquardtOptions(torch.ones(2)))


def test_a_fit_whose_residuals_vanish_at_the_origin_converges():
    def residuals(x):
        return torch.stack([x[..., 0] + x[..., 1] ** 3, x[..., 1] - x[..., 0] ** 2], -1)

    start = torch.tensor([[0.5, 0.7], [-1.0, 0.4]], dtype=D)
    for x in (start, start[0]):
        o = levenberg_marquardt(Euclidean(2), residuals, x, return_options=True)
        assert report(o).converged == x[..., 0].numel(), get_reason(o)
        assert o.x.abs().max() < 1e-25


def test_compile_falls_back_with_a_warning():
    y, x = decays(1100)

    def outside(x, y):
        return torch.as_tensor(decay(x, y).numpy())

    with pytest.warns(RuntimeWarning, match="compile=True has no effect"):
        found = levenberg_marquardt(Euclidean(3), outside, x, jacobian="finite", data=(y,), compile=True)
    torch.testing.assert_close(found, levenberg_marquardt(Euclidean(3), decay, x, data=(y,)), rtol=0, atol=1e-6)


def test_no_problems_need_no_compiler():
    y, x = decays(3)
    for compile in (False, True):  # a warning is an error here
        o = levenberg_marquardt(Euclidean(3), decay, x[:0], data=(y[:0],), compile=compile, return_options=True)
        assert o.x.shape == (0, 3) and o.kernel is None


@pytest.mark.slow
def test_compiled_steps_find_the_same_fits():
    y, x = decays(70)
    weights = torch.linspace(0.5, 1.5, 30, dtype=D)
    # the Jacobian by autograd is compiled in the next test
    compiled, plain = (
        levenberg_marquardt(
            Euclidean(3), decay, x, jacobian=decay_jacobian, weights=weights, loss=HuberLoss(0.1), data=(y,),
            compile=on, return_options=True,
        )
        for on in (True, False)
    )  # fmt: skip
    assert compiled.kernel is not None
    assert all(part is not fn for fn, part in compiled.programs.items())
    torch.testing.assert_close(compiled.x, plain.x, rtol=0, atol=1e-7)
    torch.testing.assert_close(compiled.cost, plain.cost, rtol=1e-12, atol=0)
    assert report(compiled).converged == 70


def test_what_is_compiled_is_the_same_in_blocks_and_in_one(monkeypatch):
    # as it is written down, not compiled
    monkeypatch.setattr("torch._inductor.compile", lambda graph, inputs, options: graph)
    y, x = decays(3, 6)
    weights = torch.linspace(0.5, 1.5, 30, dtype=D)

    def jacobian(x, y):  # writes into what it has made
        J = torch.empty(*y.shape, 3, dtype=D)
        J[..., 0] = torch.exp(-x[..., 1:2] * TIMES)
        J[..., 1] = -x[..., :1] * TIMES * J[..., 0]
        J[..., 2] = 1
        return J

    def no_rule(*_, **__):
        raise RuntimeError("there is no batching rule for this")

    def fit(**how):
        return levenberg_marquardt(Euclidean(3), decay, x, weights=weights, data=(y,), return_options=True, **how)

    plain, in_blocks, by_autograd = fit(), fit(jacobian=jacobian, compile=True), fit(compile=True)
    monkeypatch.setattr(compiled, "_kernels", OrderedDict())
    monkeypatch.setattr(torch.func, "vmap", no_rule)
    in_one, in_one_by_autograd = fit(jacobian=jacobian, compile=True), fit(compile=True)
    assert (in_blocks.kernel.block, in_one.kernel.block) == (16, None)
    for o in (in_blocks, by_autograd, in_one, in_one_by_autograd):
        torch.testing.assert_close(o.x, plain.x, rtol=0, atol=1e-7)
        torch.testing.assert_close(o.cost, plain.cost, rtol=1e-12, atol=0)


@pytest.mark.slow
def test_what_was_compiled_serves_again_only_where_it_does_the_same(monkeypatch):
    # what the kernels are made of does not matter here
    monkeypatch.setattr("torch._inductor.compile", lambda graph, inputs, options: graph)
    shift, y = [1.0], torch.arange(8, dtype=D).reshape(4, 2)

    def fit(count):
        residuals = lambda x, y: torch.stack([x[..., 0] - y[..., 0], shift[0] * x[..., 1] - y[..., 1]], -1)  # noqa: E731
        o = levenberg_marquardt(
            Euclidean(2), residuals, torch.ones(count, 2, dtype=D), data=(y[:count],), compile=True, return_options=True
        )
        return o.kernel, o.x

    (first, found), (second, again) = fit(4), fit(3)
    assert first is second
    torch.testing.assert_close(found, y)
    torch.testing.assert_close(again, y[:3])
    shift[0] = 2.0
    third, scaled = fit(4)
    assert third is not first
    torch.testing.assert_close(scaled, y / torch.tensor([1.0, 2.0], dtype=D))
