import math
from itertools import pairwise, product

import pytest
import torch

from manopt_torch import (
    AdamRule,
    ClipNormRule,
    Euclidean,
    HeavyBallRule,
    ManifoldParameter,
    MissingDerivativeError,
    OptionsError,
    RMSPropRule,
    ShapeError,
    Sphere,
    Stiefel,
    ZhangSraRule,
)
from manopt_torch import training as tz
from tests.together import together

D = torch.float64
DIAGONAL = torch.tensor([1.0, 10.0], dtype=D)


def quadratic(x):
    return 0.5 * (DIAGONAL * x * x).sum()


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def run(modules, steps, f=quadratic, start=(1.0, 1.0), make=None):
    """Return the points after each step, the losses that steps returned, and the optimizer."""
    x = torch.nn.Parameter(torch.tensor(start, dtype=D))
    optimizer = tz.ModularOptimizer([x], modules) if make is None else make([x])
    calls = []

    def closure(backward=True):
        calls.append(backward)
        loss = f(x)
        if backward:
            optimizer.zero_grad()
            loss.backward()
        return loss

    points, losses = [], []
    for _ in range(steps):
        losses.append(torch.as_tensor(optimizer.step(closure)).item())
        points.append(x.detach().clone())
    return torch.stack(points), losses, optimizer, calls


# ---- the chain of the seed page, check C9 -----------------------------------------------------------------------------
def test_seed_chain():
    points, losses, _, calls = run([tz.ClipNorm(4), tz.LR(1e-3), tz.NesterovMomentum(0.9)], 3)
    expected = [
        [0.999243771735, 0.992437717354],
        [0.998160017144, 0.981652029401],
        [0.996776467094, 0.967965786835],
    ]
    torch.testing.assert_close(points, torch.tensor(expected, dtype=D), rtol=1e-11, atol=0)
    assert losses[0] == 5.5
    assert calls == [True] * 3


@pytest.mark.parametrize(
    ("order", "expected"),
    [("LCN", (0.9981, 0.981)), ("NCL", (0.999601985124, 0.996019851239))],
    ids=["LR first", "LR last"],
)
def test_order_matters_around_clipping(order, expected):
    modules = {"L": tz.LR(1e-3), "C": tz.ClipNorm(4), "N": tz.NesterovMomentum(0.9)}
    points, *_ = run([modules[c] for c in order], 1)
    torch.testing.assert_close(points[0], torch.tensor(expected, dtype=D), rtol=1e-11, atol=0)


# ---- equality with torch.optim ------------------------------------------------------------------------------------------
TWINS = {
    "sgd": ([tz.SGD(1e-4)], lambda q: torch.optim.SGD(q, 1e-4)),
    "sgd momentum": ([tz.SGD(1e-5, 0.9, 0.1)], lambda q: torch.optim.SGD(q, 1e-5, 0.9, 0.1)),
    "sgd nesterov decay": (
        [tz.SGD(1e-5, 0.9, weight_decay=0.1, nesterov=True)],
        lambda q: torch.optim.SGD(q, 1e-5, 0.9, weight_decay=0.1, nesterov=True),
    ),
    "polyak": ([tz.PolyakMomentum(0.9), tz.LR(1e-5)], lambda q: torch.optim.SGD(q, 1e-5, 0.9)),
    "adam": ([tz.Adam(), tz.LR(0.1)], lambda q: torch.optim.Adam(q, 0.1)),
    "adam alone": ([tz.Adam()], torch.optim.Adam),
    "adam with a rate": ([tz.Adam(0.1)], lambda q: torch.optim.Adam(q, 0.1)),
    "adamw": (
        [tz.Adam(1.0), tz.WeightDecay(0.1), tz.LR(0.1)],
        lambda q: torch.optim.AdamW(q, 0.1, weight_decay=0.1),
    ),
    "wrapped adamax": ([tz.Wrap(torch.optim.Adamax, lr=0.1)], lambda q: torch.optim.Adamax(q, 0.1)),
    "wrapped adagrad": ([tz.Wrap(torch.optim.Adagrad, lr=1.0), tz.LR(0.1)], lambda q: torch.optim.Adagrad(q, 0.1)),
}


@pytest.mark.parametrize("name", TWINS)
def test_equals_torch(name):
    modules, make = TWINS[name]
    ours, *_ = run(modules, 200, rosenbrock, (-3.0, -3.0))
    theirs, *_ = run(None, 200, rosenbrock, (-3.0, -3.0), make)
    assert (ours - theirs).abs().max() < 1e-12


def test_wrapped_lbfgs_equals_lbfgs():
    ours, *_ = run([tz.Wrap(torch.optim.LBFGS, lr=0.1)], 8, rosenbrock, (-1.1, 2.5))
    theirs, *_ = run(None, 8, rosenbrock, (-1.1, 2.5), lambda q: torch.optim.LBFGS(q, 0.1))
    assert (ours - theirs).abs().max() < 1e-8
    assert quadratic(run([tz.MakeClosure(tz.WeightDecay(0.1)), tz.Wrap(torch.optim.LBFGS)], 5)[0][-1]) < 1e-10
    with pytest.raises(OptionsError, match="MakeClosure"):
        run([tz.ClipNorm(0.1), tz.Wrap(torch.optim.LBFGS)], 1)


# ---- rates ----------------------------------------------------------------------------------------------------------------
def test_last_rate_is_the_setting_lr():
    for modules, rate in (
        ([tz.Adam()], 1e-3),
        ([tz.Adam(), tz.LR(0.5)], 0.5),
        ([tz.LR(0.5), tz.ClipNorm(4)], 0.5),
        ([tz.ClipNorm(4)], 1.0),
        ([tz.Adam(), tz.BacktrackingLS()], 1.0),
    ):
        optimizer = tz.ModularOptimizer([torch.zeros(2, requires_grad=True)], modules)
        assert optimizer.param_groups[0]["lr"] == rate


def test_adam_with_a_line_search_descends():
    _points, losses, *_ = run([tz.Adam(), tz.BacktrackingLS()], 60, rosenbrock, (-1.1, 2.5))
    assert all(b <= a for a, b in pairwise(losses))
    assert losses[-1] < 2e-2 * losses[0]


@pytest.mark.parametrize(
    "modules", [[tz.Adam(), tz.LR(0.1)], [tz.LR(0.1), tz.NesterovMomentum()]], ids=["last", "amid"]
)
def test_scheduler_and_group_rates(modules):
    a, b = (torch.nn.Parameter(torch.ones(2, dtype=D)) for _ in range(2))
    c, d = (torch.nn.Parameter(torch.ones(2, dtype=D)) for _ in range(2))
    ours = tz.ModularOptimizer([{"params": [a], "lr": 0.2}, {"params": [b]}], modules)
    is_adam = len(modules) and isinstance(modules[0], type(tz.Adam()))
    groups = [{"params": [c], "lr": 0.2}, {"params": [d]}]
    theirs = torch.optim.Adam(groups, 0.1) if is_adam else torch.optim.SGD(groups, 0.1, 0.9, nesterov=True)
    rate = (lambda k: 0.5**k) if is_adam else (lambda k: 1.0)  # a rate ahead of the momentum acts earlier
    schedulers = [torch.optim.lr_scheduler.LambdaLR(optimizer, rate) for optimizer in (ours, theirs)]
    for _ in range(5):
        for optimizer, pair in ((ours, (a, b)), (theirs, (c, d))):
            optimizer.zero_grad()
            (quadratic(pair[0]) + quadratic(pair[1])).backward()
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    torch.testing.assert_close(torch.stack([a, b]), torch.stack([c, d]), rtol=1e-12, atol=1e-15)
    assert not torch.equal(a, b)


def test_settings_differ_between_groups_and_change_amid_training():
    pairs = [[torch.nn.Parameter(torch.ones(2, dtype=D)) for _ in range(2)] for _ in range(2)]
    ours = tz.ModularOptimizer(
        [{"params": pairs[0][:1], "momentum": 0.5}, {"params": pairs[0][1:]}], [tz.PolyakMomentum(0.9), tz.LR(0.01)]
    )
    theirs = torch.optim.SGD([{"params": pairs[1][:1], "momentum": 0.5}, {"params": pairs[1][1:]}], 0.01, 0.9)
    for k in range(9):
        for optimizer, pair in zip((ours, theirs), pairs, strict=True):
            if k == 3:
                optimizer.param_groups[1]["momentum"] = 0.8
            if k == 6:
                optimizer.param_groups[0]["momentum"] = 0.8
            optimizer.zero_grad()
            (quadratic(pair[0]) + quadratic(pair[1])).backward()
            optimizer.step()
    for mine, other in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=0)


def test_settings_by_place_and_unknown_ones():
    q = torch.zeros(2, requires_grad=True)
    optimizer = tz.ModularOptimizer([q], [tz.PolyakMomentum(0.5), tz.NesterovMomentum(0.7)])
    assert optimizer.param_groups[0]["0.momentum"] == 0.5
    assert optimizer.param_groups[0]["1.momentum"] == 0.7
    with pytest.raises(OptionsError, match=r"unknown setting momentum .* 1\.momentum"):
        tz.ModularOptimizer([{"params": [q], "momentum": 0.3}], [tz.PolyakMomentum(0.5), tz.NesterovMomentum(0.7)])
    with pytest.raises(OptionsError, match="momentum must lie in"):
        tz.ModularOptimizer([{"params": [q], "momentum": 1.3}], [tz.PolyakMomentum(0.5)])


def test_group_added_later():
    a, b = (torch.nn.Parameter(torch.ones(2, dtype=D)) for _ in range(2))
    c, d = (torch.nn.Parameter(torch.ones(2, dtype=D)) for _ in range(2))
    ours = tz.ModularOptimizer([a], [tz.PolyakMomentum(0.9), tz.LR(0.01)])
    theirs = torch.optim.SGD([c], 0.01, 0.9)
    for k in range(6):
        if k == 3:
            ours.add_param_group({"params": [b], "lr": 0.05})
            theirs.add_param_group({"params": [d], "lr": 0.05})
        for optimizer, pair in ((ours, (a, b)), (theirs, (c, d))):
            optimizer.zero_grad()
            (quadratic(pair[0]) + quadratic(pair[1])).backward()
            optimizer.step()
    torch.testing.assert_close(torch.stack([a, b]), torch.stack([c, d]), rtol=1e-12, atol=0)


def test_parameters_without_gradient_stay():
    used, unused, frozen = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    frozen.requires_grad_(False)
    optimizer = tz.ModularOptimizer([used, unused, frozen], [tz.Adam(), tz.WeightDecay(0.1), tz.LR(0.1)])
    used.square().sum().backward()
    assert optimizer.step() is None
    assert (used < 1).all() and (unused == 1).all() and (frozen == 1).all()


# ---- derivatives from values, checks C11 ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("formula", "n_points", "bias", "calls"),
    [
        ("forward", 2, 0.5e-3, 3),
        ("backward", 2, -0.5e-3, 3),
        ("forward", 3, 0.0, 5),
        ("backward", 3, 0.0, 5),
        ("central", 2, 0.0, 4),
    ],
)
def test_finite_differences(formula, n_points, bias, calls):
    points, _, _optimizer, made = run([tz.FDM(1e-3, formula, n_points), tz.LR(0.1)], 1)
    gradient = (1.0 - points[0]) / 0.1
    torch.testing.assert_close(gradient, DIAGONAL * (1.0 + bias), rtol=0, atol=1e-9)
    assert made == [False] * calls


SIGNS = [torch.tensor(signs, dtype=D) for signs in product((-1.0, 1.0), repeat=3)]
A = torch.tensor([[2.0, 0.5, 0.0], [0.5, 3.0, 0.5], [0.0, 0.5, 4.0]], dtype=D)


def test_spsa_is_unbiased_and_descends():
    x = torch.tensor([1.0, -0.5, 2.0], dtype=D)
    problem = tz.RandomizedFDM(1e-2, distribution=lambda n, generator: next(draws))
    from manopt_torch import CostProblem

    cost = CostProblem(Euclidean(3), lambda x: 0.5 * (x * (x @ A)).sum(-1))
    draws = iter(SIGNS)
    estimates = torch.stack([problem.problem(cost).get_gradient(x) for _ in SIGNS])
    g = A @ x
    torch.testing.assert_close(estimates.mean(0), g, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close((estimates**2).sum(1).mean(), 3 * (g * g).sum(), rtol=1e-10, atol=0)
    draws = iter(SIGNS[:4] * 50)
    y = torch.nn.Parameter(x.clone())
    optimizer = tz.ModularOptimizer([y], [problem, tz.LR(0.1)])
    for _ in range(200):
        optimizer.step(lambda backward=True: 0.5 * (y * (A @ y)).sum())
    assert 0.5 * (y @ A @ y).item() < 1e-14


def test_forward_differences_have_the_bias_of_the_formula():
    from manopt_torch import CostProblem

    cost, h = CostProblem(Euclidean(3), lambda x: 0.5 * (x * (x @ A)).sum(-1)), 1e-2
    x, d = torch.tensor([1.0, -0.5, 2.0], dtype=D), SIGNS[0]
    provider = tz.RandomizedFDM(h, "forward", distribution=lambda n, generator: d)
    expected = d * (d @ A @ x + 0.5 * h * d @ A @ d)
    torch.testing.assert_close(provider.problem(cost).get_gradient(x), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("distribution", ["normal", "uniform", "sphere", "rademacher"])
def test_random_differences_have_the_right_mean(distribution):
    from manopt_torch import CostProblem

    cost = CostProblem(Euclidean(3), lambda x: x @ torch.tensor([1.0, -2.0, 3.0], dtype=D))
    provider = tz.RandomizedFDM(1e-2, n_samples=1500, distribution=distribution)
    g = provider.problem(cost).get_gradient(torch.zeros(3, dtype=D))
    torch.testing.assert_close(g, torch.tensor([1.0, -2.0, 3.0], dtype=D), rtol=0, atol=0.4)


def test_differences_at_the_start_of_a_step_alone():
    """Modules behind that evaluate elsewhere find differences there, or the closure's own gradients."""
    for make in (tz.FDM, tz.RandomizedFDM):
        ends = {}
        for everywhere in (True, False):
            modules = [make(1e-3, make_closure=everywhere), tz.Wrap(torch.optim.LBFGS, 0.1, max_iter=3)]
            points, _, _, calls = run(modules, 1)
            assert any(calls) is not everywhere
            assert points.isfinite().all()
            ends[everywhere] = points[0]
        assert not torch.equal(ends[True], ends[False])


def test_directions_drawn_for_each_evaluation():
    draws = []

    def drawn(n, generator):
        draws.append(torch.randn(n, generator=generator, dtype=D))
        return draws[-1]

    def steps(modules):
        draws.clear()
        run([*modules, tz.Wrap(torch.optim.LBFGS, 0.1, max_iter=3)], 2)
        return len({tuple(c.tolist()) for c in draws}), len(draws)

    assert steps([tz.RandomizedFDM(1e-3, distribution=drawn)]) == (2, 6)
    assert steps([tz.RandomizedFDM(1e-3, distribution=drawn, randomize_closure=True)]) == (6, 6)
    assert steps([tz.RandomizedFDM(1e-3, distribution=drawn, randomize_closure=True, randomize_every=2)]) == (4, 6)


def test_smoothing_irons_out():
    # the mean of x^2 + cos(20 x) over samples has the slope of x^2
    modules = [tz.ApproxGaussianSmoothing(60, 0.5), tz.LR(0.2)]
    points, *_ = run(modules, 12, lambda x: (x * x).sum() + torch.cos(20 * x).sum(), (2.0, -2.0))
    assert points[-1].abs().max() < 0.5


def test_evaluating_elsewhere_leaves_parameters_and_gradients():
    x = torch.nn.Parameter(torch.tensor([0.1, 0.2]))
    optimizer = tz.ModularOptimizer([x], [tz.LR(0.0), tz.MultiplicativeLS()])

    def closure(backward=True):
        loss = x.square().sum()
        if backward:
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
        return loss

    optimizer.step(closure)
    assert x.tolist() == torch.tensor([0.1, 0.2]).tolist()
    torch.testing.assert_close(x.grad, 2 * x.detach())


# ---- Newton, subspaces -----------------------------------------------------------------------------------------------------
def test_newton_with_backtracking_takes_one_step_and_two_evaluations():
    points, _, _, calls = run([tz.ExactNewton(), tz.BacktrackingLS()], 1)
    assert points[0].abs().max() < 1e-12
    assert len(calls) == 2


def test_newton_across_tensors_and_by_values_alone():
    a, b = torch.nn.Parameter(torch.tensor(-1.1, dtype=D)), torch.nn.Parameter(torch.tensor([2.5], dtype=D))
    for modules in ([tz.ExactNewton()], [tz.NewtonFDM(1e-3)]):
        with torch.no_grad():
            a.fill_(-1.1), b.fill_(2.5)
        optimizer = tz.ModularOptimizer([a, b], modules)

        def closure(backward=True, optimizer=optimizer):
            loss = rosenbrock((a, b[0]))
            if backward:
                optimizer.zero_grad()
                loss.backward()
            return loss

        for _ in range(8):
            optimizer.step(closure)
        assert abs(a.item() - 1) < 1e-3 and abs(b.item() - 1) < 1e-3


@together()
@pytest.mark.parametrize("fallback", ["lstsq", "safe_diag", "gd"])
@pytest.mark.parametrize("solver", ["cholesky", "lu", "cholesky_lu", "lstsq"])
def test_newton_where_the_hessian_is_singular(solver, fallback):
    points, *_ = run([tz.ExactNewton(solver=solver, fallback=fallback)], 1, lambda x: 0.5 * x[0] ** 2)
    assert torch.isfinite(points).all()
    assert points[0, 0] < 1 and points[0, 1] == 1


def test_newton_damping_and_validation():
    points, *_ = run([tz.ExactNewton(tikhonov=1.0)], 1)
    torch.testing.assert_close(points[0], 1 - DIAGONAL / (1 + DIAGONAL))
    # a step of Newton's method on the root of 1 + x^2 beyond 1 leads farther away
    points, *_ = run([tz.ExactNewton(validate=True, tol=0.0)], 1, lambda x: (1 + x * x).sqrt().sum(), (2.0, 2.0))
    torch.testing.assert_close(torch.linalg.vector_norm(points[0] - 2.0).item(), 1e-2)


def test_modules_before_newton_act():
    ours, *_ = run([tz.ClipNorm(1.0), tz.ExactNewton()], 1)
    g = DIAGONAL / torch.linalg.vector_norm(DIAGONAL)
    torch.testing.assert_close(ours[0], 1 - g / DIAGONAL)


def test_subspace_newton_by_values():
    points, _, _, calls = run([tz.Subspace(tz.ProjRandom(3)), tz.NewtonFDM(1e-3)], 2)
    assert quadratic(points[-1]) < 1e-10
    assert calls == [False] * 38  # 2 n^2 + 1 for n = 3, each step
    points, _losses, *_ = run([tz.Subspace(tz.ProjRandom(1)), tz.NewtonFDM(1e-3)], 30)
    assert quadratic(points[-1]) < 1e-6


PROJECTIONS = [
    tz.Proj2Masks(),
    tz.ProjAscent(),
    tz.ProjAscentRay(),
    tz.ProjGrad(),
    tz.ProjGradRay(),
    [tz.ProjLastGradDifference(), tz.ProjGrad()],
    [tz.ProjLastAscentDifference(), tz.ProjGrad()],
    tz.ProjNormalize(tz.ProjRandom(1)),
    [tz.ProjGradAscentDifference(), tz.ProjGrad()],
]


@pytest.mark.parametrize("projections", PROJECTIONS, ids=repr)
def test_projections_span_spaces_with_descent(projections):
    modules = [tz.Subspace(projections), tz.ExactNewton()]
    if not isinstance(projections, tz.ProjNormalize):
        modules.insert(0, tz.PolyakMomentum(0.5))
    _points, losses, *_ = run(modules, 40)
    assert all(b <= a * (1 + 1e-12) + 1e-300 for a, b in pairwise(losses))
    assert losses[-1] < 1e-6


def test_inside_a_subspace_gradients_and_searches_serve():
    for inside in (
        [tz.LR(0.05)],
        [tz.BacktrackingLS()],
        [tz.FDM(1e-4), tz.LR(0.05)],
        [tz.Wrap(torch.optim.SGD, lr=0.05)],
    ):
        _points, losses, *_ = run([tz.Subspace([tz.ProjNormalize(tz.ProjRandom(2))]), *inside], 5)
        assert losses[-1] < losses[0]


def test_newton_from_a_difference_of_gradients():
    points, *_ = run([tz.NewtonGradFDM()], 1)
    assert points.abs().max() < 1e-12
    # along the direction: u^2 / (H u), where that can be had
    H = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 0.0]], dtype=D)
    start = torch.tensor([1.0, -2.0, 3.0], dtype=D)
    b = torch.tensor([0.0, 0.0, 0.5], dtype=D)
    points, *_ = run([tz.NewtonGradFDM(1e-2)], 1, lambda x: 0.5 * x @ H @ x + b @ x, tuple(start.tolist()))
    g = H @ start + b
    expected = torch.where(H @ g == 0, g, g * g / (H @ g))
    torch.testing.assert_close(start - points[0], expected, rtol=1e-10, atol=1e-12)


@together()
@pytest.mark.parametrize("curved", [False, True])
def test_hessians_all_at_once_are_those_one_by_one(curved):
    """More parameters than are differentiated at a time, on a sphere and in Euclidean space."""
    torch.manual_seed(0)
    W = torch.randn(70, 70, dtype=D)
    ends = []
    for batched in (True, False):
        value = torch.linspace(1.0, 2.0, 70, dtype=D)
        x = ManifoldParameter(value / value.norm(), Sphere(70)) if curved else torch.nn.Parameter(value)
        y = torch.nn.Parameter(torch.tensor(0.3, dtype=D))
        optimizer = tz.ModularOptimizer([x, y], [tz.ExactNewton(10.0, batched_hessian=batched)])

        def closure(backward=True, x=x, y=y, optimizer=optimizer):
            loss = torch.tanh(W @ x).square().sum() + (y - x.sum()) ** 2
            if backward:
                optimizer.zero_grad()
                loss.backward()
            return loss

        optimizer.step(closure)
        ends.append(torch.cat([x.detach(), y.detach()[None]]))
        assert optimizer._problem.counts.hessian == 70 + (not curved)
    torch.testing.assert_close(*ends, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype):
    """What torch has for wider numbers only is done with those, and rounded."""
    # I - L / 2 with the periodic second difference L
    L = torch.tensor([[2.0, -0.5, 0.0, -0.5], [-0.5, 2.0, -0.5, 0.0], [0.0, -0.5, 2.0, -0.5], [-0.5, 0.0, -0.5, 2.0]])
    start = torch.tensor([1.0, -2.0, 0.5, 4.0])
    smooth = start - 0.5 * torch.linalg.solve(L, start)
    zero = torch.zeros(4)
    for modules, end in (
        ([tz.ExactNewton()], zero),
        ([tz.NewtonFDM(0.25)], zero),
        ([tz.LaplacianSmoothing(0.5), tz.LR(0.5)], smooth),
    ):
        x = torch.nn.Parameter(start.to(dtype))
        optimizer = tz.ModularOptimizer([x], modules)

        def closure(backward=True, x=x, optimizer=optimizer):
            loss = 0.5 * (x * x).sum()
            if backward:
                optimizer.zero_grad()
                loss.backward()
            return loss

        optimizer.step(closure)
        torch.testing.assert_close(x.detach(), end.to(dtype), rtol=0, atol=0.02)


def test_a_hessian_that_vmap_cannot_take():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            return g * Slope.apply(ctx.saved_tensors[0])

    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return 3 * x**2

        @staticmethod
        def backward(ctx, g):
            # a value is asked for
            return g * 6 * ctx.saved_tensors[0] if g.abs().sum().item() >= 0 else g

    f = lambda x: Cube.apply(x).sum()  # noqa: E731
    with pytest.raises(OptionsError, match="batched_hessian=False"):
        run([tz.ExactNewton()], 1, f)
    points, *_ = run([tz.ExactNewton(batched_hessian=False)], 1, f)
    torch.testing.assert_close(points[0], torch.full((2,), 0.5, dtype=D))


# ---- searches ----------------------------------------------------------------------------------------------------------------
def test_parabolas_are_minimised_at_once():
    g = DIAGONAL
    best = float((g * g).sum() / (g * DIAGONAL * g).sum())
    for search in (tz.MinimizeQuadraticLS(), tz.MinimizeQuadratic3PointsLS(), tz.ScipyMinimizeScalarLS()):
        points, *_ = run([search], 1)
        torch.testing.assert_close(points[0], 1 - best * g, rtol=1e-6, atol=1e-9)


def test_quadratic_search_follows_the_direction():
    # after Sign the move is along the signs, not along the gradient
    points, *_ = run([tz.Sign(), tz.MinimizeQuadraticLS()], 1)
    torch.testing.assert_close(points[0, 0], points[0, 1])
    assert points[0, 0] < 0.5


def test_grid_searches_stop_as_told():
    _, _, _, calls = run([tz.BacktrackingLS(init=1.0, mul=0.5, num=10)], 1)
    assert calls == [True] + [False] * 4  # 1, 1/2, 1/4 increase, 1/8 does not
    points, _, _, calls = run([tz.MultiplicativeLS(1e-2, 2.0, 10)], 1)
    # 0.01 ... 0.16; the fifth is worse than the fourth
    assert len(calls) == 6
    torch.testing.assert_close(points[0], 1 - 0.08 * DIAGONAL)
    points, *_ = run([tz.BacktrackingLS(init=100.0, num=2)], 1)
    assert (points == 1).all()


def test_search_amid_a_chain_scales():
    points, *_ = run([tz.MinimizeQuadraticLS(), tz.LR(0.5)], 1)
    whole, *_ = run([tz.MinimizeQuadraticLS()], 1)
    torch.testing.assert_close(1 - points[0], 0.5 * (1 - whole[0]))


def test_loss_increase():
    points, *_ = run([tz.LR(1.0), tz.ZeroOnLossIncrease()], 1)
    assert (points == 1).all()
    points, *_ = run([tz.Lambda(lambda g: -0.01 * g), tz.NegateOnLossIncrease()], 1)
    torch.testing.assert_close(points[0], 1 - 0.01 * DIAGONAL)
    # the other side of a step that is far too long is no better: torchzero went from 5.5 to 500
    points, *_ = run([tz.LR(10.0), tz.NegateOnLossIncrease()], 1)
    assert (points == 1).all()


@pytest.mark.parametrize("module", [tz.RandomSearch(-2, 2), tz.CyclicRS(-2, 2)], ids=repr)
def test_random_search_never_worsens(module):
    _, losses, _, calls = run([module], 60)
    assert all(b <= a for a, b in pairwise(losses))
    assert losses[-1] < 0.5
    assert not any(calls)


def test_quasi_newton_solves_rosenbrock():
    points, *_ = run([tz.QuasiNewton(), tz.BacktrackingLS()], 80, rosenbrock, (-1.1, 2.5))
    assert rosenbrock(points[-1]) < 1e-12


def test_dropout_drops_with_its_probability():
    x = torch.nn.Parameter(torch.zeros(10_000))
    optimizer = tz.ModularOptimizer([x], [tz.LR(1.0), tz.LRDropout(0.9)])
    x.sum().backward()
    optimizer.step()
    assert 0.89 < (x == 0).double().mean() < 0.91


# ---- manifolds -----------------------------------------------------------------------------------------------------------------
def test_manifold_parameters_stay_and_converge():
    M = torch.diag(torch.arange(1.0, 6.0, dtype=D))
    frame = ManifoldParameter(torch.eye(5, 2, dtype=D).flip(0).contiguous(), Stiefel(5, 2))
    points = ManifoldParameter(
        Sphere(3).random_point(4, generator=torch.Generator().manual_seed(0), dtype=D), Sphere(3)
    )
    shift = torch.nn.Parameter(torch.ones(2, dtype=D))
    modules = [tz.ClipNorm(10.0), tz.Adam(1.0), tz.Cautious(), tz.LR(0.1)]
    for chain in ([tz.NesterovMomentum(0.6), tz.LR(0.05)], modules, [tz.QuasiNewton(), tz.BacktrackingLS()]):
        with torch.no_grad():
            frame.copy_(torch.linalg.qr(torch.ones(5, 2, dtype=D) + torch.eye(5, 2, dtype=D)).Q)
        optimizer = tz.ModularOptimizer([frame, points, shift], chain)

        def closure(backward=True, optimizer=optimizer):
            loss = (frame * (M @ frame)).sum() + points[:, 2].sum() + shift.square().sum()
            if backward:
                optimizer.zero_grad()
                loss.backward()
            return loss

        first = closure(False).item()
        for _ in range(60):
            optimizer.step(closure)
        assert closure(False).item() < min(first, 3.0 - 4.0 + 0.6)
        assert (frame.mT @ frame - torch.eye(2, dtype=D)).abs().max() < 1e-12
        assert (points.norm(dim=-1) - 1).abs().max() < 1e-12


def test_agrees_with_the_solver():
    from manopt_torch import (
        ConstantStepsize,
        GradientDescentOptions,
        GradientProblem,
        HeavyBallRule,
        StopAfterIteration,
        solve,
    )

    start = torch.tensor([0.6, 0.8, 0.0], dtype=D)
    o = GradientDescentOptions(
        start, direction=HeavyBallRule(0.7), stepsize=ConstantStepsize(0.1), stop=StopAfterIteration(20)
    )
    solve(GradientProblem(Sphere(3), lambda x: x[..., 2]), o)
    x = ManifoldParameter(start.clone(), Sphere(3))
    optimizer = tz.ModularOptimizer([x], [tz.PolyakMomentum(0.7), tz.LR(0.1)])
    for _ in range(20):
        optimizer.zero_grad()
        x[2].backward()
        optimizer.step()
    torch.testing.assert_close(x.detach(), o.x, rtol=1e-13, atol=1e-14)


def test_solvers_take_the_modules():
    from manopt_torch import GradientDescentOptions, HessianProblem, StopAfterIteration, StopWhenGradientNormLess, solve

    A = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=D))
    problem = HessianProblem(Sphere(3), lambda x: (x * (x @ A)).sum(-1))
    start = Sphere(3).random_point(5, generator=torch.Generator().manual_seed(1), dtype=D)
    for direction in (tz.QuasiNewton(), tz.Subspace(tz.ProjNormalize(tz.ProjRandom(2)), modules=[tz.BacktrackingLS()])):
        o = GradientDescentOptions(start, direction=direction, stop=StopAfterIteration(60))
        solve(problem, o)
        assert (o.cost - 1).abs().max() < 1e-4
    # one problem starts where it ends, and a search alone is no worse for it
    start = torch.cat([start, torch.tensor([[1.0, 0.0, 0.0]], dtype=D)])
    for direction in (tz.QuasiNewton(), tz.Subspace(tz.ProjNormalize(tz.ProjRandom(2)), modules=[tz.BacktrackingLS()])):
        o = GradientDescentOptions(
            start, direction=direction, stop=StopAfterIteration(30) | StopWhenGradientNormLess(1e-6)
        )
        solve(problem, o)
        assert (o.cost - 1).abs().max() < 1e-3
        assert o.iterations[-1] == 0
    near = torch.tensor([[1.0, 0.1, 0.1], [1.0, -0.1, 0.05]], dtype=D)
    near = near / near.norm(dim=-1, keepdim=True)
    for direction in (tz.ExactNewton(), tz.NewtonFDM(1e-3)):
        o = GradientDescentOptions(near, direction=direction, stepsize=tz.BacktrackingLS(), stop=StopAfterIteration(6))
        solve(problem, o)
        assert (o.cost - 1).abs().max() < 1e-9


@together()
@pytest.mark.parametrize(
    "module",
    [
        tz.Sign(),
        tz.ClipValue(),
        tz.WeightDecay(),
        tz.LaplacianSmoothing(),
        tz.NewtonGradFDM(),
        tz.RandomSearch(),
        tz.Wrap(torch.optim.SGD),
    ],
    ids=repr,
)
def test_euclidean_modules_are_refused_on_curved_parameters(module):
    x = ManifoldParameter(torch.tensor([1.0, 0.0]), Sphere(2))
    with pytest.raises(OptionsError, match=type(module).__name__):
        tz.ModularOptimizer([x], [module])


# ---- refusals --------------------------------------------------------------------------------------------------------------------
def test_refusals():
    q = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(OptionsError, match="modules must be such as"):
        tz.ModularOptimizer([q], [torch.relu])
    with pytest.raises(OptionsError, match="put it first"):
        tz.ModularOptimizer([q], [tz.LR(0.1), tz.FDM()])
    with pytest.raises(OptionsError, match="put it first"):
        tz.ModularOptimizer([q], [tz.LR(0.1), tz.RandomSearch()])
    with pytest.raises(OptionsError, match="put it first"):
        tz.ModularOptimizer([q], [tz.ClipNorm(), tz.Subspace(tz.ProjRandom()), tz.NewtonFDM()])
    with pytest.raises(OptionsError, match="real floating-point"):
        tz.ModularOptimizer([torch.ones(2, dtype=torch.complex64, requires_grad=True)], [tz.LR(0.1)])
    with pytest.raises(OptionsError, match="asks for the step size"):
        tz.ModularOptimizer([q], [ZhangSraRule()])
    with pytest.raises(OptionsError, match="remembers"):
        tz.MakeClosure(AdamRule())
    assert tz.MakeClosure(ClipNormRule(1.0)).rules


def test_what_cannot_be_split_or_differentiated():
    q, r = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    groups = [{"params": [q], "decay": 0.5}, {"params": [r]}]
    with pytest.raises(OptionsError, match="cannot differ between groups"):
        tz.ModularOptimizer(groups, [RMSPropRule(inner=HeavyBallRule(0.9))])
    with pytest.raises(MissingDerivativeError, match="hessian"):
        tz.ModularOptimizer([q], [tz.FDM(), tz.ExactNewton()])
    with pytest.raises(MissingDerivativeError, match="NewtonFDM"):
        run([tz.FDM(), tz.Subspace(tz.ProjRandom(2)), tz.ExactNewton()], 1)
    # entries of coordinates stand for themselves, wherever the parameters live
    x = ManifoldParameter(torch.tensor([0.6, 0.8, 0.0]), Sphere(3))
    optimizer = tz.ModularOptimizer([x], [tz.Subspace(tz.ProjNormalize(tz.ProjRandom(2))), tz.Sign(), tz.LR(0.1)])
    for _ in range(100):
        optimizer.zero_grad()
        x[2].backward()
        optimizer.step()
    assert x[2].item() < -0.9


def test_closures_are_asked_for():
    q = torch.nn.Parameter(torch.ones(2))
    q.grad = torch.ones(2)
    with pytest.raises(OptionsError, match="call step"):
        tz.ModularOptimizer([q], [tz.BacktrackingLS()]).step()
    optimizer = tz.ModularOptimizer([q], [tz.BacktrackingLS()])

    def plain():
        optimizer.zero_grad()
        loss = q.square().sum()
        loss.backward()
        return loss

    with pytest.raises(OptionsError, match="backward=True"):
        optimizer.step(plain)
    optimizer = tz.ModularOptimizer([q], [tz.Adam()])
    assert float(optimizer.step(plain)) == 2.0
    assert math.isclose(float(q[0].detach()), 0.999, rel_tol=1e-6)


def test_line_searches_and_parameters_are_counted():
    q = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(OptionsError, match="one line search at most"):
        tz.ModularOptimizer([q], [tz.BacktrackingLS(), tz.LR(0.5), tz.MinimizeQuadraticLS()])
    for nothing in ([], torch.nn.Identity(), [torch.ones(2)]):
        with pytest.raises(OptionsError, match="no parameters to train"):
            tz.ModularOptimizer(nothing, [tz.LR(0.1)])
    with pytest.raises(OptionsError, match="modules must be such as .* got 3"):
        tz.Subspace(tz.ProjRandom(), modules=[3])
    with pytest.raises(OptionsError, match=r"LR itself: call it, LR\(...\)"):
        tz.ModularOptimizer([q], [tz.LR])
    with pytest.raises(OptionsError, match=r"Lambda\(relu\)"):
        tz.ModularOptimizer([q], [torch.relu])
    made = torch.optim.SGD([q], 0.1)
    for optimizer in (made, torch.optim.SGD):
        with pytest.raises(OptionsError, match=r"an optimizer: Wrap\(torch.optim.SGD, lr=...\)"):
            tz.ModularOptimizer([q], [optimizer])
    with pytest.raises(OptionsError, match="made already, SGD"):
        tz.Wrap(made)


def test_wrapped_lbfgs_takes_transposed_parameters():
    target = torch.arange(6.0, dtype=D).reshape(3, 2)
    q = torch.nn.Parameter(torch.zeros(2, 3, dtype=D).mT)
    optimizer = tz.ModularOptimizer([q], [tz.Wrap(torch.optim.LBFGS)])

    def closure(backward=True):
        loss = (q - target).square().sum()
        if backward:
            optimizer.zero_grad()
            loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(q.detach(), target)


@pytest.mark.parametrize("modules", ["momentum", "momentum in a further subspace"])
def test_momentum_inside_a_subspace_of_a_solver(modules):
    """It remembers coordinates: with the gradient as the only vector, multiples of the present gradient."""
    from manopt_torch import (
        ConstantStepsize,
        GradientDescentOptions,
        GradientProblem,
        ScaleRule,
        StopAfterIteration,
        solve,
    )

    inside = [HeavyBallRule(0.5), ScaleRule(0.1)]
    if modules != "momentum":
        # the gradient by the only coordinate is itself a multiple of the unit vector of that coordinate
        inside = [tz.Subspace(tz.ProjNormalize(tz.ProjGrad())), *inside]
    start = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=D)
    start[0, 0] = 0.0  # at its end from the beginning
    problem = GradientProblem(Euclidean(4), lambda x: 0.05 * x.square().sum(-1))
    direction = tz.Subspace(tz.ProjGrad(), modules=inside)
    step = {"stepsize": ConstantStepsize(1.0), "stop": StopAfterIteration(6)}
    o = GradientDescentOptions(start, direction=direction, **step)
    solve(problem, o)
    x, v = start, torch.zeros(2, 3, 1, dtype=D)
    for _ in range(6):
        g = 0.1 * x
        v = 0.5 * v + g.square().sum(-1, keepdim=True)
        x = x - 0.1 * v * g
    torch.testing.assert_close(o.x, x, rtol=1e-13, atol=1e-15)


def test_noise_of_several_kinds():
    for kind in ("normal", "uniform", "sphere", "rademacher"):
        q = torch.nn.Parameter(torch.zeros(20000, dtype=D))
        q.grad = torch.zeros_like(q)
        tz.ModularOptimizer([q], [tz.AddNoise(0.1, kind)]).step()
        x = q.detach()
        assert abs(x.mean()) < 3e-3 and abs(x.std() / 0.1 - 1) < 0.02
        assert x.abs().max() <= {"uniform": 0.1 * math.sqrt(3), "rademacher": 0.1}.get(kind, 1.0) * (1 + 1e-12)
    q = torch.nn.Parameter(torch.zeros(3, dtype=D))
    q.grad = torch.zeros_like(q)
    with pytest.raises(ShapeError, match="shape \\(3,\\), got shape \\(2,\\)"):
        tz.ModularOptimizer([q], [tz.AddNoise(0.1, lambda dim, generator: torch.ones(2))]).step()


@pytest.mark.parametrize("modules", ["search", "search amid"])
def test_searches_stay_where_the_direction_is_not_finite(modules):
    after = {"search": [tz.BacktrackingLS()], "search amid": [tz.BacktrackingLS(), tz.LR(0.5)]}[modules]
    broken = tz.Lambda(lambda u: u * torch.nan)
    points, *_ = run([broken, *after], 2)
    assert points.tolist() == [[1.0, 1.0]] * 2
