"""The start of a run: what is checked before anything happens."""

import math
import re

import numpy as np
import pytest
import torch

from manopt_torch import (
    AdamRule,
    ArmijoInitialGuess,
    ArmijoLinesearch,
    Circle,
    ComplexCircle,
    ConjugateGradientOptions,
    ConstantStepsize,
    CostProblem,
    CountedProblem,
    CyclicProximalPointOptions,
    DebugEntry,
    DebugEntryChange,
    DebugEvery,
    DebugGroup,
    DebugOptions,
    Euclidean,
    GaussNewtonOptions,
    GradientDescentOptions,
    GradientProblem,
    HestenesStiefelCoefficient,
    InverseBFGS,
    LeastSquaresProblem,
    LevenbergMarquardtOptions,
    LinearEvalOrder,
    MeshAdaptiveDirectSearchOptions,
    NelderMeadOptions,
    NielsenDamping,
    Power,
    Product,
    QRSolver,
    QuasiNewtonOptions,
    RecordEntryChange,
    Scaled,
    Sphere,
    Stiefel,
    StopAfterIteration,
    StopWhenNonFinite,
    StoreOptionsAction,
    WolfeLinesearch,
    solve,
)
from manopt_torch.errors import (
    MissingDerivativeError,
    NonFiniteError,
    NotOnManifoldError,
    OptionsError,
    ShapeError,
    UnknownSymbolError,
)

D = torch.float64
M = Euclidean(2)
P = GradientProblem(M, lambda x: 0.5 * (x * x).sum(-1))
X = torch.ones(2)
HALVE = {"stepsize": ConstantStepsize(0.5)}


def options(x, n=3, **more):
    return GradientDescentOptions(x, stop=StopAfterIteration(n), **{**HALVE, **more})


@pytest.mark.parametrize("x", [[1.0, 2.0], np.ones(2), 1.0, None, (torch.ones(2), 3.0)])
def test_a_start_that_is_no_tensor(x):
    with pytest.raises(OptionsError, match=r"start x must be a tensor or a tuple of tensors, got \w+: .*as_tensor"):
        solve(P, options(x))


def test_a_list_of_points_is_told_to_be_stacked():
    with pytest.raises(OptionsError, match=r"got list: convert it with torch.stack\(x\)"):
        solve(P, options([torch.ones(2), torch.zeros(2)]))


def test_a_start_of_parts_that_is_no_tuple_of_tensors():
    p = GradientProblem(Product(Sphere(3), M), lambda x: x[0][..., 0] + P.cost(x[1]))
    tensors = [torch.eye(3, dtype=D)[0], torch.ones(2, dtype=D)]
    wanted = r"the start x must be a tuple of tensors of shapes \(\(\*batch, 3\), \(\*batch, 2\)\), got a"
    with pytest.raises(OptionsError, match=wanted + r" list of Tensor, Tensor: write tuple\(x\)$"):
        solve(p, options(tensors))
    cure = r"write tuple\(torch.as_tensor\(part, dtype=torch.float64\) for part in x\)$"
    for x, got in (
        ([[1, 0, 0], [1, 1]], " list of list, list: "),
        (([1, 0, 0], tensors[1]), " tuple of list, Tensor: "),
    ):
        with pytest.raises(OptionsError, match=wanted + got + cure):
            solve(p, options(x))
        made = tuple(torch.as_tensor(part, dtype=D) for part in x)
        assert torch.equal(solve(p, options(made)).x[1], solve(p, options(tuple(tensors))).x[1])
    with pytest.raises(ShapeError, match=r"has 2 tensors, got 1: pass a tuple of tensors of shapes \(\(\*batch, 3\)"):
        solve(p, options(torch.ones(5)))
    with pytest.raises(OptionsError, match=r"floating point, got torch.int64: convert that part with .double\(\)"):
        solve(p, options((tensors[0], torch.ones(2, dtype=torch.int64))))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_a_start_of_integers(dtype):
    with pytest.raises(OptionsError, match=rf"must be of floating point, got {dtype}: convert it with x.double\(\)"):
        solve(P, options(torch.ones(2, dtype=dtype)))


@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(2, 3), torch.tensor(1.0), (torch.ones(2), torch.ones(2))])
def test_a_start_of_another_shape(x):
    with pytest.raises(ShapeError, match=r"a point of Euclidean\(2\) has"):
        solve(P, options(x))


def test_parts_of_different_kinds():
    p = GradientProblem(Product(M, Circle()), lambda x: x[1])
    with pytest.raises(ShapeError, match="differ in dtype or device"):
        solve(p, options((torch.ones(2), torch.tensor(1.0, dtype=D))))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_start_that_is_not_finite_is_named_by_its_indices(bad):
    x = torch.ones(2, 3, 2)
    x[1, 0, 1] = x[0, 2, 0] = bad
    with pytest.raises(NonFiniteError, match=r"holds NaN or infinity at batch indices \[\(0, 2\), \(1, 0\)\]"):
        solve(P, options(x))
    with pytest.raises(NonFiniteError, match=r"the start x holds NaN or infinity$"):
        solve(P, options(x[1, 0]))


def test_a_start_off_the_manifold():
    p = GradientProblem(Sphere(3), lambda x: x[..., 0])
    x = torch.eye(3, dtype=D)
    x[1] *= 2
    with pytest.raises(NotOnManifoldError, match=r"at batch indices \[\(1,\)\] is off Sphere\(3\).*project_point"):
        solve(p, options(x))


def test_data_of_another_batch():
    p = GradientProblem(M, lambda x, c: (c[:, None] * x).sum(-1), data=(torch.ones(4),))
    with pytest.raises(ShapeError, match=r"data\[0\] has shape \(4,\) but the start has batch axes \(5,\)"):
        solve(p, options(torch.ones(5, 2)))


@pytest.mark.parametrize("cost", [lambda x: (x * x).sum(), lambda x: x * x, lambda x: 1.0])
def test_costs_of_another_shape(cost):
    with pytest.raises(ShapeError, match="the cost must return"):
        solve(GradientProblem(M, cost), options(torch.ones(5, 2)))


@pytest.mark.parametrize(
    ("gradient", "error", "told"),
    [
        (lambda x: x[0], ShapeError, r"gradient has batch axes \(\), the point has \(5,\)"),
        (lambda x: x[..., :1], ShapeError, r"has shape \(\*batch, 2\), got \(5, 1\)"),
        (lambda x: x.double(), OptionsError, "gradient is of torch.float64, the start x of torch.float32"),
        (lambda x: x.to("meta"), OptionsError, "gradient is on meta, the start x on cpu"),
    ],
)
def test_given_gradients_that_do_not_fit(gradient, error, told):
    with pytest.raises(error, match=told):
        solve(GradientProblem(M, P.cost, gradient), options(torch.ones(5, 2)))


@pytest.mark.parametrize("x", [torch.ones(2), torch.ones(5, 2)])
def test_a_cost_on_another_device(x):
    with pytest.raises(OptionsError, match="cost is on meta, the start x on cpu"):
        solve(GradientProblem(M, lambda x: P.cost(x).to("meta")), options(x))
    with pytest.raises(OptionsError, match="cost is on meta, the start x on cpu"):
        solve(CostProblem(M, lambda x: P.cost(x).to("meta")), MeshAdaptiveDirectSearchOptions(x))


def test_the_capability_check_names_need_and_cure():
    with pytest.raises(
        MissingDerivativeError,
        match="GradientDescentOptions needs a gradient, CostProblem has none: use GradientProblem",
    ):
        solve(CostProblem(M, P.cost), options(torch.ones(2)))


@pytest.mark.parametrize("wrong", [None, P.cost, M])
def test_no_problem(wrong):
    with pytest.raises(OptionsError, match=r"expected a Problem such as GradientProblem\(M, cost\), got"):
        solve(wrong, options(torch.ones(2)))


@pytest.mark.parametrize("wrong", [None, torch.ones(2), GradientDescentOptions])
def test_no_options(wrong):
    with pytest.raises(OptionsError, match="expected Options"):
        solve(P, wrong)


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        (GradientDescentOptions, "GradientDescentOptions(x)"),
        (NelderMeadOptions, "NelderMeadOptions(x)"),
        (DebugOptions, "DebugOptions(options, debug)"),
    ],
)
@pytest.mark.parametrize("lists", [{}, {"debug": [":Cost"], "record": [":Cost"]}])
def test_a_class_of_options_is_told_to_be_called(wrong, cure, lists):
    told = f"expected Options (or decorated ones), got the class {wrong.__name__}: write {cure}"
    with pytest.raises(OptionsError, match=f"^{re.escape(told)}$"):
        solve(P, wrong, **lists)


@pytest.mark.parametrize(
    ("stop", "cure"), [(StopAfterIteration, r"StopAfterIteration\(n\)"), (StopWhenNonFinite, r"StopWhenNonFinite\(\)")]
)
def test_a_class_of_criteria_is_told_to_be_called(stop, cure):
    with pytest.raises(OptionsError, match=rf"got the class {stop.__name__}: write {cure}$"):
        solve(P, GradientDescentOptions(torch.ones(2), stop=stop))
    with pytest.raises(OptionsError, match=r"got <class 'int'>$"):  # to call this one would be no cure
        solve(P, GradientDescentOptions(torch.ones(2), stop=int))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (ConstantStepsize, lambda kind: GradientDescentOptions(X, stepsize=kind)),
        (AdamRule, lambda kind: GradientDescentOptions(X, direction=kind)),
        (ArmijoLinesearch, lambda kind: ConjugateGradientOptions(X, stepsize=kind)),
        (HestenesStiefelCoefficient, lambda kind: ConjugateGradientOptions(X, coefficient=kind)),
        (InverseBFGS, lambda kind: QuasiNewtonOptions(X, direction_update=kind)),
        (ArmijoInitialGuess, lambda kind: WolfeLinesearch(initial_guess=kind)),
        (LinearEvalOrder, lambda kind: CyclicProximalPointOptions(X, order=kind)),
        (NielsenDamping, lambda kind: LevenbergMarquardtOptions(X, damping=kind)),
        (QRSolver, lambda kind: GaussNewtonOptions(X, linear_solver=kind)),
    ],
)
def test_a_class_in_place_of_a_functor_is_told_how_to_be_called(kind, options):
    with pytest.raises(OptionsError, match=rf"got the class {kind.__name__}: write {kind.__name__}\(\)$"):
        options(kind)
    with pytest.raises(OptionsError, match="got <class 'int'>$"):
        options(int)


@pytest.mark.parametrize("stop", [5, StopAfterIteration, lambda p, o, i: True])
def test_no_criterion(stop):
    with pytest.raises(OptionsError, match=r"stop must be a stopping criterion such as StopAfterIteration\(100\), got"):
        solve(P, GradientDescentOptions(torch.ones(2), stop=stop))


def test_an_unknown_retraction_is_found_before_the_first_evaluation():
    p = CountedProblem(P)
    with pytest.raises(OptionsError, match=r"Euclidean\(2\) has no retraction 'qr'; it has 'exp', 'projection'"):
        solve(p, options(torch.ones(2), retraction_method="qr"))
    assert p.count(":Cost") == 0


def test_unknown_symbols_are_found_before_anything_is_printed(capsys):
    for lists in ({"debug": ["hello", ":Kost"]}, {"record": [":Kost"], "debug": ["hello"]}):
        with pytest.raises(UnknownSymbolError, match=":Kost is no symbol and no field of GradientDescentOptions"):
            solve(P, options(torch.ones(2)), **lists)
    assert capsys.readouterr().out == ""


def test_a_field_that_an_action_reads_is_looked_for_before_anything_is_printed(capsys):
    change = lambda p, o, present, former: 0.0  # noqa: E731
    for action in (DebugEntry("nothing"), DebugEntryChange("nothing", change), DebugGroup([DebugEntry("nothing")])):
        o = options(torch.ones(2))
        with pytest.raises(UnknownSymbolError, match="nothing is no symbol and no field of .*fields are x, stop"):
            solve(P, o, debug=[":Cost", DebugEvery(action, 2)])
        assert o.x0 is None
    with pytest.raises(UnknownSymbolError, match="nothing is no symbol"):
        solve(P, options(torch.ones(2)), debug=["hello"], record=[RecordEntryChange("nothing", change)])
    with pytest.raises(UnknownSymbolError, match="has no field nothing to store"):
        StoreOptionsAction(["nothing"])(P, options(torch.ones(2)), 1)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("space", "x"),
    [
        (Sphere(2), torch.eye(2, dtype=torch.complex64)),
        (Stiefel(2, 1, field="complex"), torch.eye(2)[:, :1]),
        (Product(Sphere(2), Power(Euclidean(1), 2)), (torch.eye(2)[0], torch.zeros(2, 1, dtype=torch.complex64))),
        (Scaled(Product(Sphere(2), ComplexCircle(2)), 2.0), (torch.eye(2)[0], torch.ones(2))),
    ],
)
def test_real_starts_for_real_points_and_complex_ones_for_complex(space, x):
    with pytest.raises(OptionsError, match=rf"the start x is of .*, but the points of {re.escape(repr(space))} are"):
        solve(GradientProblem(space, lambda x: 0.0), GradientDescentOptions(x))


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64, torch.bool])
def test_costs_are_real_numbers(kind):
    for p in (
        CostProblem(M, lambda x: x[..., 0].to(kind)),
        GradientProblem(M, lambda x: x[..., 0].to(kind), torch.clone),
    ):
        kinds = (NelderMeadOptions,) if type(p) is CostProblem else (GradientDescentOptions, NelderMeadOptions)
        for x in (torch.ones(2), torch.ones(3, 2)):
            for make in kinds:
                with pytest.raises(OptionsError, match=f"must return real floating-point numbers, got {kind}"):
                    solve(p, make(x))


def test_a_cost_that_returns_a_python_number_is_told_how_to_return_a_tensor():
    with pytest.raises(ShapeError, match=r"got float: compute it by torch operations, or wrap .* torch.as_tensor"):
        solve(CostProblem(M, lambda x: 1.0), NelderMeadOptions(torch.ones(2)))


def test_inference_mode_is_named_where_it_forbids_derivatives():
    with torch.inference_mode(), pytest.raises(MissingDerivativeError, match="torch.inference_mode"):
        solve(P, options(torch.ones(2)))


def test_a_start_from_inference_mode_is_copied_where_derivatives_are_wanted():
    with torch.inference_mode():
        start = torch.ones(2, 2)
    plain = solve(P, options(torch.ones(2, 2)))
    assert torch.equal(solve(P, options(start)).x, plain.x)


@pytest.mark.parametrize("x", [torch.ones(2), torch.ones(3, 2)], ids=["lone", "batch"])
def test_callables_that_write_into_the_point(x):
    def cost(x):
        return x.mul_(2).square().sum(-1)

    with pytest.raises(OptionsError, match="the cost writes into the point .* x.clone()"):
        solve(CostProblem(M, cost), MeshAdaptiveDirectSearchOptions(x.clone()))
    given = GradientProblem(M, lambda x: x.square().sum(-1), lambda x: x.mul_(2))
    with pytest.raises(OptionsError, match="the cost or the gradient writes into the point"):
        solve(given, options(x.clone()))


def test_a_cost_that_writes_into_its_point_is_named_where_autograd_notices_first():
    x = torch.ones(3)
    with pytest.raises(OptionsError, match=r"the cost writes into the point .* x.clone\(\)"):
        solve(GradientProblem(Euclidean(3), lambda x: x.mul_(2).sum(-1)), GradientDescentOptions(x))
    assert torch.equal(x, torch.ones(3))


def squares(x, a):
    """Half of the squared length of a x, by a product of matrices: torch converts no dtypes there."""
    return 0.5 * (a @ x.unsqueeze(-1)).square().sum((-2, -1))


@pytest.mark.parametrize("batch", [(), (2,)], ids=str)
@pytest.mark.parametrize(("own", "other"), [(D, torch.float32), (torch.float32, D)])
def test_data_of_another_dtype_than_the_start(own, other, batch):
    x, a = torch.ones(*batch, 2, dtype=own), torch.eye(2, dtype=other).expand(*batch, 2, 2)
    weights = torch.ones(batch, dtype=own)  # these fit, and are not named
    told = rf"the start x is of {own}, but data\[1\] of {other} \(.*pass the start as x.to\({other}\), or data of the"
    cost = lambda x, w, a: w * squares(x, a)  # noqa: E731
    for make in (options, NelderMeadOptions):
        with pytest.raises(OptionsError, match=told) as caught:
            solve(GradientProblem(M, cost, data=(weights, a)), make(x))
        assert isinstance(caught.value.__cause__, RuntimeError)
    residuals = LeastSquaresProblem(M, lambda x, w, a: (a @ x.unsqueeze(-1)).squeeze(-1), data=(weights, a))
    with pytest.raises(OptionsError, match=told):
        solve(residuals, LevenbergMarquardtOptions(x))
    for start, data in ((x.to(other), (weights.to(other), a)), (x, (weights, a.to(own)))):  # both cures do
        assert solve(GradientProblem(M, cost, data=data), options(start, 1)).x.tolist() == (0.5 * x).tolist()


def test_tensors_of_another_dtype_that_the_cost_has_from_elsewhere():
    a = torch.eye(2)
    with pytest.raises(
        OptionsError, match=r"x is of torch.float64, and a callable .* of two dtypes .*by x.to"
    ) as caught:
        solve(GradientProblem(M, lambda x: squares(x, a)), options(torch.ones(2, dtype=D)))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_other_errors_of_a_cost_are_left_as_they_are():
    def cost(x, a):
        raise RuntimeError("dtype of my own")

    with pytest.raises(RuntimeError, match="^dtype of my own$"):
        solve(GradientProblem(M, cost, data=(torch.ones(2),)), options(torch.ones(2, dtype=D)))
